/**
 * What e2fsck says about an image that was written.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { places, scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";

/** Lines that are no complaint. */
const HARMLESS = [
  /^\s*$/u,
  /^Pass \d/u,
  / files \([\d.]+% non-contiguous\), /u,
  // An offer to optimise what Linux itself writes.
  /extent tree \(at level \d+\) could be (shorter|narrower)/u,
];

/** Everything that `e2fsck -fn` complains about, and its exit status unless that is 0. */
export function e2fsckSays(bytes: Uint8Array): string[] {
  const path = scratch(places["tmpfs"] ?? places["disk"], "written.img");
  writeSparse(path, bytes);
  const { status, stdout } = spawnSync("e2fsck", ["-fn", path], { encoding: "utf8" });
  // A test may ask about hundreds.
  rmSync(path);
  const said = stdout.split("\n").filter((line) => !HARMLESS.some((rule) => rule.test(line)));
  return status === 0 ? said : [...said, `exit status ${status}`];
}

/** Runs of numbers, as e2fsck's `differences:` lists them after a minus: `-12 -(20--31)`. */
export function missingIn(said: readonly string[], what: "Block" | "Inode"): number[] {
  const line = said.find((text) => text.startsWith(`${what} bitmap differences:`)) ?? "";
  const all: number[] = [];
  for (const [, first = "", last = first] of line.matchAll(/-\(?(\d+)(?:--(\d+)\))?/gu)) {
    for (let n = Number(first); n <= Number(last); n++) all.push(n);
  }
  return all;
}
