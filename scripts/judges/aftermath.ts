/**
 * What must hold once a judge is done: e2fsck finds nothing, and the kernel's own driver sees the
 * tree that was seen through the mount.
 */
import { rmSync } from "node:fs";
import { resolve } from "node:path";
import { mountAs } from "./mounts.ts";
import { Failure, must, run } from "./processes.ts";

/** What e2fsck says of a filesystem that is fine. */
const HARMLESS = [
  /^\s*$/u,
  /^e2fsck \d/u,
  /^Pass \d/u,
  / files \([\d.]+% non-contiguous\), /u,
  // An offer to optimise what Linux itself writes.
  /extent tree \(at level \d+\) could be (shorter|narrower)/u,
];
const SHOWN = 8;

/** Fails when `e2fsck -fn` finds anything in `image`. */
export async function expectClean(image: string): Promise<void> {
  const { status, said } = await run("e2fsck", ["-fn", image]);
  const complaints = said.split("\n").filter((line) => !HARMLESS.some((rule) => rule.test(line)));
  if (status === 0 && complaints.length === 0) return;
  throw new Failure(`e2fsck -fn: status ${status}\n${complaints.slice(0, SHOWN).join("\n")}`);
}

/** What e2fsck says when it replays a journal and finds nothing wrong. */
const REPLAYED = [
  /: recovering journal$/u,
  /: Clearing orphaned inode /u,
  // The superblock's sums of what the groups say, which nobody keeps during a mount.
  /^Setting free (inodes|blocks) count to /u,
  ...HARMLESS,
];

/**
 * Fails unless e2fsck finds nothing wrong in a copy of an image whose server was killed, but a
 * journal to replay. The image itself stays as it is, for whoever mounts it next.
 */
export async function expectRecovers(image: string): Promise<void> {
  const copy = `${image}.copy`;
  await must("cp", ["--sparse=always", image, copy]);
  const { said } = await run("e2fsck", ["-fp", copy]);
  const wrong = said.split("\n").filter((line) => !REPLAYED.some((rule) => rule.test(line)));
  if (wrong.length > 0) throw new Failure(`e2fsck -fp after a crash:\n${wrong.join("\n")}`);
  await expectClean(copy);
  rmSync(copy);
}

/** All that is under a folder; `loose` leaves out what a copy cannot have. */
export async function treeLines(folder: string, loose = false): Promise<string> {
  const script = resolve(import.meta.dirname, "tree-lines.py");
  const { output } = await must("python3", [script, folder, ...(loose ? ["--loose"] : [])]);
  return output;
}

/** The same lines with times cut to seconds, for a mount that shows no more (fuse2fs). */
function inSeconds(lines: string): string {
  return lines.replaceAll(/ (\d{10})\d{9}(?= )/gu, " $1");
}

/** Fails where two trees differ, and says which lines. */
export function expectSameTree(one: string, other: string, what: string): void {
  if (one === other) return;
  const [ours, theirs] = [new Set(one.split("\n")), new Set(other.split("\n"))];
  const gone = [...ours].filter((line) => !theirs.has(line)).map((line) => `- ${line}`);
  const come = [...theirs].filter((line) => !ours.has(line)).map((line) => `+ ${line}`);
  const shown = [...gone.slice(0, SHOWN), ...come.slice(0, SHOWN)].join("\n");
  throw new Failure(`${what}: ${gone.length} lines gone, ${come.length} others\n${shown}`);
}

/** Compares the kernel's view of an unmounted image with `lines`; `folder` is empty. */
export async function expectKernelAgrees(
  image: string,
  folder: string,
  lines: string,
  coarse: boolean,
): Promise<void> {
  const mounted = await mountAs("kernel", image, folder, "/dev/null", "ro");
  try {
    const seen = await treeLines(folder);
    const [ours, theirs] = coarse ? [inSeconds(lines), inSeconds(seen)] : [lines, seen];
    expectSameTree(ours, theirs, "the kernel sees another tree");
  } finally {
    await mounted.unmount();
  }
}
