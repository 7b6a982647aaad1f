/**
 * This machine's kernel as a judge: images mounted through a loop device, which takes root.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { type Judge, probed } from "./judge.ts";

function canLoopMount(): boolean {
  return process.getuid?.() === 0 && spawnSync("losetup", ["-f"], { stdio: "ignore" }).status === 0;
}

/** Whether images can be mounted here. */
export function loopMounts(): Judge {
  return probed(canLoopMount, "run as root where a loop device is free, with mount and losetup");
}

/** Mounts an image, runs `body` on the folder, and always unmounts. */
export function withLoopMount<T>(
  image: string,
  folder: string,
  options: string,
  body: (folder: string) => T,
): T {
  execFileSync("mount", ["-o", `loop,${options}`, image, folder], { stdio: "pipe" });
  try {
    return body(folder);
  } finally {
    execFileSync("umount", [folder], { stdio: "pipe" });
  }
}
