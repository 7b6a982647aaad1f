/**
 * What GNU tar and getfattr see in a folder, to be compared with what they see in another one.
 */
import { spawnSync } from "node:child_process";
import { same } from "../support/bytes.ts";

/** All that GNU tar sees in a folder, and attributes in an order of our own. */
export function told(root: string): Buffer {
  const see = ["--sort=name", "--format=posix", "--numeric-owner"];
  const times = "--pax-option=delete=atime,delete=ctime";
  const words = [...see, times, "--exclude=./lost+found", "-C", root, "-cf", "-", "."];
  const { stdout } = spawnSync("tar", words, { maxBuffer: 2 ** 28 });
  const get = ["-Rhd", "-m", "-", "--", "."];
  const attributes = spawnSync("getfattr", get, { cwd: root, encoding: "latin1" }).stdout;
  const files = attributes.split("\n\n").map((each) => each.split("\n").toSorted().join("\n"));
  return Buffer.concat([stdout, Buffer.from(files.toSorted().join("\n\n"), "latin1")]);
}

/** GNU tar's members of one, by their blocks, for a message that helps. */
export function difference(ours: Buffer, theirs: Buffer): string {
  if (same(ours, theirs)) return "";
  const [a, b] = [ours, theirs].map((input) =>
    spawnSync("tar", ["-tvf", "-", "--numeric-owner"], { input, encoding: "utf8" }).stdout.split(
      "\n",
    ),
  ) as [string[], string[]];
  const i = a.findIndex((line, k) => line !== b[k]);
  return `differ: ${a[i]} | ${b[i]}`;
}
