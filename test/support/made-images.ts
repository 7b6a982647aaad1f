/**
 * Images made by mke2fs for tests that write to them.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { places, scratch } from "./scratch.ts";

/** Arguments of mke2fs by what they make; the seed of hashes is always the same. */
export const MADE_IMAGES: Readonly<Record<string, string>> = {
  "ext2 without dir_index, 1k": "-t ext2 -b 1024 -O ^dir_index",
  "ext2, 4k, no file types": "-t ext2 -b 4096 -O ^filetype,^dir_index",
  "ext3, 1k": "-t ext3 -b 1024",
  "ext3, 4k": "-t ext3 -b 4096",
  "ext4, 1k": "-t ext4 -b 1024",
  "ext4, 4k": "-t ext4 -b 4096",
  "ext4 without checksums, 1k": "-t ext4 -b 1024 -O ^metadata_csum,^64bit",
  "ext4 without checksums, 4k": "-t ext4 -b 4096 -O ^metadata_csum",
  "ext4, inline data, 1k": "-t ext4 -b 1024 -O inline_data -I 256",
  "ext4, inline data, long inodes": "-t ext4 -b 4096 -O inline_data -I 1024",
  "ext4, inline data, no dir_index": "-t ext4 -b 1024 -O inline_data,^dir_index -I 256",
  "ext4, large_dir, 1k": "-t ext4 -b 1024 -O large_dir",
  "ext4, 64k": "-t ext4 -b 65536",
};

/** A fresh image of `megabytes`. */
export function madeImage(options: string, megabytes: number, ...more: string[]): Uint8Array {
  const path = scratch(places["tmpfs"] ?? places["disk"], "made.img");
  writeFileSync(path, "");
  truncateSync(path, megabytes * 2 ** 20);
  const uuid = "0c6a5b1e-1d0f-4d0e-9c3a-3f0b7d9a2e11";
  const fixed = ["-q", "-F", "-U", uuid, "-E", `hash_seed=${uuid}`];
  execFileSync("mke2fs", [...fixed, ...options.split(" "), ...more, path], { stdio: "pipe" });
  return new Uint8Array(readFileSync(path));
}
