/**
 * The filesystems that judges run on.
 */
import { rmSync } from "node:fs";
import { must } from "./processes.ts";

/** By name: what mke2fs is told. */
export const IMAGES: Readonly<Record<string, readonly string[]>> = {
  ext4: ["-t", "ext4", "-b", "4096"],
  "ext4-1k": ["-t", "ext4", "-b", "1024"],
  ext2: ["-t", "ext2", "-b", "4096"],
  "ext2-1k": ["-t", "ext2", "-b", "1024"],
  ext3: ["-t", "ext3"],
  inline: ["-t", "ext4", "-b", "4096", "-O", "inline_data", "-I", "256"],
  "ext4-large-inodes": ["-t", "ext4", "-I", "1024", "-O", "inline_data"],
};

/** Makes a sparse image of `mib` MiB. */
export async function makeImage(name: string, path: string, mib: number): Promise<void> {
  const options = IMAGES[name];
  if (options === undefined) {
    throw new Error(`no image '${name}'; there are ${Object.keys(IMAGES).join(", ")}`);
  }
  rmSync(path, { force: true });
  await must("truncate", ["-s", `${mib}M`, path]);
  // Without the background thread that zeroes tables: what is compared must stand still.
  await must("mke2fs", ["-q", "-F", "-E", "lazy_itable_init=0", ...options, path]);
}
