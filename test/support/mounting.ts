/**
 * Mounts of the command in tests: made in the background, and always taken away.
 */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { MakeVolumeOptions } from "../../src/node/make-image.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { type Judge, probed } from "../judges/judge.ts";
import { daxkit, jsonLines } from "./daxkit.ts";
import { places, scratch } from "./scratch.ts";

function canMount(): boolean {
  if (process.getuid?.() !== 0 || process.env["DAXKIT_FFI"] === "off") return false;
  try {
    closeSync(openSync("/dev/fuse", "r+"));
    return spawnSync("fusermount3", ["-V"]).error === undefined;
  } catch {
    return false;
  }
}

/** Whether FUSE mounts can be made here. */
export function fuseMounts(): Judge {
  return probed(canMount, "run as root where /dev/fuse opens; apt-get install fuse3");
}

/** An image in a folder of its own, and a directory beside it. */
export interface MountPlace {
  readonly folder: string;
  readonly image: string;
  readonly directory: string;
}

/** A fresh image, not mounted; whatever is mounted there goes after the test. */
export function mountPlace(make: MakeVolumeOptions = {}, bytes = 2 ** 24): MountPlace {
  const image = scratch(places["tmpfs"] ?? places["disk"], "disk.img");
  const folder = join(image, "..");
  const directory = join(folder, "mnt");
  mkdirSync(directory);
  makeVolume(image, { size: { bytes }, ...make });
  onTestFinished(() => sweep(folder));
  return { folder, image, directory };
}

/** What is mounted below a folder, the last one first. */
export function mountsBelow(folder: string): string[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const points = lines.map((line) => line.split(" ")[1] ?? "");
  return points.filter((point) => point.startsWith(`${folder}/`)).toReversed();
}

function sweep(folder: string): void {
  for (const point of mountsBelow(folder)) spawnSync("umount", ["-i", "-l", point]);
}

/** Mounts in the background; the number of the process that serves it. */
export function mountInBackground(
  { image, directory }: MountPlace,
  ...words: readonly string[]
): number {
  const { status, stdout, stderr } = daxkit(["mount", "--json", "-b", ...words, image, directory]);
  if (status !== 0) throw new Error(stderr);
  const [{ pid }] = jsonLines(stdout) as [{ pid: number }];
  return pid;
}

/** What `e2fsck -fn` finds wrong: nothing is the empty string. */
export function complaintsOf(image: string): string {
  const { status, stdout } = spawnSync("e2fsck", ["-fn", image], { encoding: "utf8" });
  return status === 0 ? "" : `${status}: ${stdout}`;
}

/**
 * The same of an image that nobody closed, once its journal was replayed and what was open without
 * a name is gone, which is all that e2fsck does when it is not told to check. The image is changed.
 */
export function complaintsAfterReplay(image: string): string {
  const { status, stdout } = spawnSync("e2fsck", ["-p", image], { encoding: "utf8" });
  return status === null || status > 1 ? `${status}: ${stdout}` : complaintsOf(image);
}

/** Whether a process is there, and no zombie. */
export function lives(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  try {
    return !/\) Z /u.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
