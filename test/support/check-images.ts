/**
 * Small images of many kinds for damage: made by mke2fs from a tree, with what only debugfs can put
 * in, and without complaint from e2fsck.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** One image: arguments of mke2fs, and commands of debugfs for it afterwards. */
export interface CheckImage {
  readonly size: string;
  readonly mke2fs: string;
  readonly debugfs?: readonly string[];
  /** Filled with deep maps and a deep index, instead of one of everything. */
  readonly deep?: true;
}

const ATTRIBUTES = [
  "ea_set d1/f3 user.short abc",
  "ea_set d1/f4 user.one some-value",
  "ea_set d1/f4 user.long LONG",
  "ea_set d2 user.directory LONG",
];

/** Every image by name. */
export const CHECK_IMAGES: Readonly<Record<string, CheckImage>> = {
  "ext2-1k": { size: "4M", mke2fs: "-t ext2 -b 1024 -g 2048", debugfs: ATTRIBUTES },
  "ext2-rev0": { size: "4M", mke2fs: "-t ext2 -r 0 -b 1024" },
  "ext2-2k-plain": {
    size: "4M",
    mke2fs: "-t ext2 -b 2048 -O ^filetype,^dir_index,^sparse_super,^resize_inode",
  },
  "ext3-1k-128": { size: "4M", mke2fs: "-t ext3 -b 1024 -I 128", debugfs: ATTRIBUTES },
  "ext4-1k": { size: "4M", mke2fs: "-t ext4 -b 1024 -g 1024", debugfs: ATTRIBUTES },
  "ext4-4k": { size: "8M", mke2fs: "-t ext4 -b 4096", debugfs: ATTRIBUTES },
  "ext4-nocsum": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -g 1024 -O ^metadata_csum,^64bit",
    debugfs: ATTRIBUTES,
  },
  "ext4-uninit": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -g 1024 -O ^metadata_csum,uninit_bg,^64bit,^flex_bg",
    debugfs: ATTRIBUTES,
  },
  "ext4-noextents": { size: "4M", mke2fs: "-t ext4 -b 1024 -O ^extents,^64bit" },
  "ext4-metabg": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -g 256 -N 512 -O meta_bg,^resize_inode,sparse_super2,^flex_bg",
  },
  "ext4-bigalloc": {
    size: "8M",
    mke2fs: "-t ext4 -b 1024 -C 4096 -O bigalloc",
    debugfs: ATTRIBUTES,
  },
  "ext4-inline": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -I 256 -O inline_data",
    debugfs: ATTRIBUTES,
  },
  "ext4-eainode": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -O ea_inode,large_dir",
    debugfs: [...ATTRIBUTES, "ea_set -f BIG d1/f5 user.big", "ea_set -f BIG d1/f6 user.big"],
  },
  "ext4-orphan": { size: "4M", mke2fs: "-t ext4 -b 1024 -O orphan_file,metadata_csum_seed" },
  "ext4-mmp": { size: "4M", mke2fs: "-t ext4 -b 1024 -O mmp" },
  "ext4-quota": { size: "4M", mke2fs: "-t ext4 -b 1024 -O quota,project" },
  "ext4-casefold": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -O casefold",
    debugfs: ["sif many flags 0x40081000", "sif d1 flags 0x40080000"],
  },
  "ext4-encrypt": {
    size: "4M",
    mke2fs: "-t ext4 -b 1024 -O encrypt",
    debugfs: ["sif d3/f3 flags 0x80800", "ea_set -f CONTEXT d3/f3 c"],
  },
  "ext4-deep": { size: "6M", mke2fs: "-t ext4 -b 1024 -O ^has_journal", deep: true },
  "ext3-deep": { size: "6M", mke2fs: "-t ext3 -b 1024 -O ^has_journal", deep: true },
  "ext4-512": { size: "8M", mke2fs: "-t ext4 -b 2048 -I 512 -O ^has_journal", debugfs: ATTRIBUTES },
};

/** A tree with what files can be; `folder` must be new. */
export function makeCheckTree(folder: string): void {
  for (let d = 0; d < 4; d++) {
    mkdirSync(join(folder, `d${d}`), { recursive: true });
    for (let i = 0; i < 8; i++) {
      const bytes = Buffer.alloc(i * 597, d + 1);
      writeFileSync(join(folder, `d${d}`, `f${i}`), bytes);
    }
  }
  mkdirSync(join(folder, "d0", "inner", "deep"), { recursive: true });
  mkdirSync(join(folder, "many"));
  for (let i = 0; i < 110; i++) {
    writeFileSync(join(folder, "many", `entry-${"m".repeat(i % 40)}-${i}`), "");
  }
  writeFileSync(join(folder, "large"), Buffer.alloc(400_000, 7));
  writeFileSync(join(folder, "holes"), "");
  for (let i = 0; i < 12; i++) {
    writeFileSync(join(folder, "holes"), Buffer.alloc(100, i + 1), { flag: "a" });
    truncateSync(join(folder, "holes"), (i + 1) * 20_000);
  }
  symlinkSync("short", join(folder, "fast"));
  symlinkSync("long/".repeat(40), join(folder, "slow"));
  linkSync(join(folder, "large"), join(folder, "hard"));
  execFileSync("mkfifo", [join(folder, "fifo")]);
  if (process.getuid?.() === 0) execFileSync("mknod", [join(folder, "null"), "c", "1", "3"]);
}

/** A tree whose maps and indexes have as many levels as small blocks allow. */
export function makeDeepTree(folder: string): void {
  mkdirSync(join(folder, "wide"), { recursive: true });
  mkdirSync(join(folder, "d1"));
  writeFileSync(join(folder, "wide", "first"), "one");
  for (let i = 0; i < 5200; i++) {
    linkSync(join(folder, "wide", "first"), join(folder, "wide", `name-${i}-${i * 7919}`));
  }
  const fragments = openSync(join(folder, "fragments"), "w");
  for (let i = 0; i < 420; i++) writeSync(fragments, Buffer.alloc(900, i), 0, 900, i * 4096);
  closeSync(fragments);
  const far = openSync(join(folder, "far"), "w");
  for (const place of [0, 20_000, 300_000, 700_000, 70_000_000, 70_300_000]) {
    writeSync(far, Buffer.alloc(900, 5), 0, 900, place);
  }
  closeSync(far);
}

/** Makes an image from a tree; its bytes. `folder` takes files for a moment. */
export function makeCheckImage(
  { size, mke2fs, debugfs = [] }: CheckImage,
  tree: string,
  folder: string,
): Uint8Array<ArrayBuffer> {
  const path = join(folder, "made.img");
  writeFileSync(path, "");
  execFileSync("truncate", ["-s", size, path]);
  const words = ["-q", "-F", "-d", tree, ...mke2fs.split(" "), path];
  execFileSync("mke2fs", words, { stdio: "pipe" });
  const big = join(folder, "big-value");
  writeFileSync(big, Buffer.alloc(5000, "v"));
  const context = join(folder, "context");
  writeFileSync(context, Buffer.concat([Buffer.from([1, 1, 4, 3]), Buffer.alloc(24, 9)]));
  const commands = debugfs.map((line) =>
    line.replace("BIG", big).replace("LONG", "x".repeat(200)).replace("CONTEXT", context),
  );
  if (commands.length > 0) {
    spawnSync("debugfs", ["-w", "-f", "-", path], { input: commands.join("\n") });
  }
  // Quotas are counted, and directories get their index.
  spawnSync("e2fsck", ["-fyD", path]);
  const bytes = Uint8Array.from(readFileSync(path));
  rmSync(path);
  return bytes;
}
