/**
 * This machine's kernel as a judge: images mounted through a loop device, which takes root.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Judge, probed } from "./judge.ts";

function canLoopMount(): boolean {
  return process.getuid?.() === 0 && spawnSync("losetup", ["-f"], { stdio: "ignore" }).status === 0;
}

/** Whether images can be mounted here. */
export function loopMounts(): Judge {
  return probed(canLoopMount, "run as root where a loop device is free, with mount and losetup");
}

/** Mounts an image; `loopUnmount` has to follow. */
export function loopMount(image: string, folder: string, options = "rw"): void {
  execFileSync("mount", ["-o", `loop,${options}`, image, folder], { stdio: "pipe" });
}

/** Mounts an image, runs `body` on the folder, and always unmounts. */
export function withLoopMount<T>(
  image: string,
  folder: string,
  options: string,
  body: (folder: string) => T,
): T {
  loopMount(image, folder, options);
  try {
    return body(folder);
  } finally {
    loopUnmount(folder);
  }
}

/** How often a thing is tried, and milliseconds between. */
const TRIES = 1200;
const PAUSE_MS = 50;

function again(what: () => string | undefined): void {
  for (let tries = 1; ; tries++) {
    const reason = what();
    if (reason === undefined) return;
    if (tries >= TRIES) throw new Error(reason);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}

/**
 * Unmounts, and waits until the kernel has let go of the image. Somebody on the machine may just
 * look through all mounts; and whoever has made a mount namespace of his own meanwhile has the
 * mount there too: as long as he lives the filesystem is at work, and its journal not empty.
 */
export function loopUnmount(folder: string): void {
  const backing = backingOf(folder);
  const held = backing === undefined ? "" : readFileSync(backing, "utf8");
  again(() => {
    const { status, stderr } = spawnSync("umount", [folder], { encoding: "utf8" });
    if (status === 0) return undefined;
    if (!stderr.includes("busy")) throw new Error(stderr);
    return stderr;
  });
  if (backing === undefined) return;
  again(() => (holds(backing, held) ? `${backing} still is ${held}` : undefined));
}

/** Where the kernel says which file is behind what is mounted there. */
function backingOf(folder: string): string | undefined {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const device = lines.find((line) => line.split(" ")[1] === folder)?.split(" ")[0];
  const loop = device?.match(/^\/dev\/(loop\d+)$/u)?.[1];
  return loop === undefined ? undefined : `/sys/block/${loop}/loop/backing_file`;
}

function holds(backing: string, held: string): boolean {
  try {
    return readFileSync(backing, "utf8") === held;
  } catch {
    return false;
  }
}
