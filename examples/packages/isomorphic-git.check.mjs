// The branch leads to a whole commit with its file, and to the new one once that was promised.
import git from "isomorphic-git";

export default async ({ fs, acked, mount }) => {
  const dir = `${mount}/repository`;
  const oid = await git.resolveRef({ fs, dir, ref: "main" });
  const { blob } = await git.readBlob({ fs, dir, oid, filepath: "file" });
  const text = Buffer.from(blob).toString();
  if (acked.length > 0) return oid === acked[0] || "the promised commit is not on the branch";
  return /^(?:first|second)\n$/.test(text) || "the file of the commit is torn";
};
