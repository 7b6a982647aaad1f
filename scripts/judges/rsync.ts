/**
 * rsync: a tree with everything that a filesystem keeps goes to the mount and comes back.
 */
import { join } from "node:path";
import { expectClean, expectSameTree, treeLines } from "./aftermath.ts";
import { type Figures, type Judge, type Place, beside, folderIn } from "./judge.ts";
import { makeImage } from "./images.ts";
import { mountAs } from "./mounts.ts";
import { Failure, must } from "./processes.ts";

const OPTIONS = ["-aHAX", "--numeric-ids", "--sparse"];

async function copy(from: string, to: string, ...more: readonly string[]): Promise<number> {
  const args = [...OPTIONS, ...more, "--delete", `${from}/`, `${to}/`];
  const { output, seconds } = await must("rsync", args);
  if (more.length > 0 && output !== "") throw new Failure(`rsync sees differences:\n${output}`);
  return seconds;
}

/** There and back, and everything is the same. */
async function bothWays(place: Place, elsewhere: string): Promise<Figures> {
  const source = folderIn(elsewhere, "source");
  const back = folderIn(elsewhere, "back");
  const there = folderIn(place.folder, "tree");
  const files = place.number("files", 150, 10_000);
  // All attributes of a file share one block.
  const value = /1k|ext3/u.test(place.image) ? 150 : 600;
  const numbers = [files, place.seed, value].map(String);
  await must("python3", [beside("make-tree.py"), source, ...numbers]);
  const out = await copy(source, there);
  const home = await copy(there, back);
  await copy(source, there, "-n", "-i", "-c");
  await copy(there, source, "-n", "-i", "-c");
  await copy(there, back, "-n", "-i", "-c");
  const original = await treeLines(source, true);
  expectSameTree(original, await treeLines(there, true), "what rsync brought differs");
  expectSameTree(original, await treeLines(back, true), "what rsync brought back differs");
  place.say(`${files} files there in ${out.toFixed(1)} s, back in ${home.toFixed(1)} s`);
  const entries = original.split("\n").length - 1;
  return { entries, there: Number(out.toFixed(2)), back: Number(home.toFixed(2)) };
}

/** The other side is the kernel's own ext4, which keeps all that is compared. */
async function rsync(place: Place): Promise<Figures> {
  const image = join(place.scratch, "elsewhere.img");
  await makeImage("ext4", image, place.size === "full" ? 2048 : 128);
  const mounted = await mountAs("kernel", image, folderIn(place.scratch, "elsewhere"), "/dev/null");
  let figures: Figures;
  try {
    figures = await bothWays(place, mounted.folder);
  } finally {
    await mounted.unmount();
  }
  await expectClean(image);
  return figures;
}

export const RSYNC: Judge = {
  name: "rsync",
  summary: "rsync -aHAX both ways: links, ACLs, xattrs, sparse files, devices, times",
  mib: { small: 128, full: 2048 },
  programs: ["rsync", "setfacl", "python3"],
  run: rsync,
};
