// A second commit.
import fs from "node:fs";
import git from "isomorphic-git";

const dir = "/data/repository";
const author = { name: "A", email: "a@example.org", timestamp: 1e9 + 1, timezoneOffset: 0 };
fs.writeFileSync(`${dir}/file`, "second\n");
await git.add({ fs, dir, filepath: "file" });
console.log(`ack ${await git.commit({ fs, dir, message: "second", author })}`);
