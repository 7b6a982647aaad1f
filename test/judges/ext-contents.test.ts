/**
 * Names, attributes and contents: one stream of calls, errors included, made by us and by this
 * machine's kernel on images that are the same. Every result, the bytes, where data and holes and
 * blocks are, and both trees have to agree; e2fsck has nothing to say about either image.
 *
 * What differs on purpose, and is kept from differing here:
 * - The kernel writes zeros to unwritten extents of up to 32 KiB rather than split them; it is told
 *   not to (`extent_max_zeroout_kb`), so that data and holes can be compared.
 * - It calls cached pages data, and finds no data in files with block maps before they have
 *   blocks; files are written and dropped from its cache before it is asked.
 * - Linux 6.18 loses data of files that have just moved out of their inodes: write 16 bytes at 35,
 *   append 3072, write 2048 at 57630, and read 67978 from 8195 on: zeros, from then on and on the
 *   disk. It does not with `nodelalloc`, which is what it is given.
 * - When `insert` is refused because of blocks behind the end, the file has grown already, and
 *   stays so; ours does not. Nothing is allocated so far behind the end.
 * - With bigalloc it miscounts the blocks of some inodes by a cluster, which e2fsck then says of
 *   its image.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import type { DataCall } from "../support/contents-stream.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { BEGINNING, MixedStream } from "../support/mixed-stream.ts";
import { callOurs, linesOfOurs } from "../support/namespace-ours.ts";
import type { Call } from "../support/namespace-stream.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts } from "./loop-mount.ts";
import { callKernel } from "./namespace-kernel.ts";

const tools = programs(["mke2fs", "e2fsck", "python3"], "apt-get install e2fsprogs python3");
const judge = tools.missing ? tools : loopMounts();
/** Calls of each stream; the long run has more. */
const CALLS = Number(process.env["DAXKIT_CONTENTS_CALLS"] ?? 1500);
const SEED = Number(process.env["DAXKIT_CONTENTS_SEED"] ?? 0);

/** Files that are there after most of a stream, at least. */
const FILES_LEFT = 10;

interface Kind {
  readonly options: string;
  readonly blockSize: number;
  readonly clusterSize?: number;
  readonly mount?: string;
}

/** See above: what moved out of an inode has its blocks at once. */
const SAFE = { mount: "noatime,nodelalloc" };

const KINDS: Readonly<Record<string, Kind>> = {
  "ext2, 1k": { options: "-t ext2 -b 1024", blockSize: 1024 },
  "ext4, 1k": { options: "-t ext4 -b 1024", blockSize: 1024 },
  "ext4, inline data": {
    options: "-t ext4 -b 1024 -I 256 -O inline_data",
    blockSize: 1024,
    ...SAFE,
  },
  bigalloc: { options: "-t ext4 -b 1024 -C 4096 -O bigalloc", blockSize: 1024, clusterSize: 4096 },
  "ext4, 4k, orphan file": { options: "-t ext4 -b 4096 -O orphan_file", blockSize: 4096 },
  ext3: { options: "-t ext3 -b 1024", blockSize: 1024 },
  "ext2, 4k, short inodes, linear": {
    options: "-t ext2 -b 4096 -I 128 -O ^dir_index",
    blockSize: 4096,
  },
  "ext4, 2k, no journal": { options: "-t ext4 -b 2048 -O ^has_journal", blockSize: 2048 },
  "ext4, no checksums, 32 bit": {
    options: "-t ext4 -b 1024 -O ^metadata_csum,^64bit,uninit_bg",
    blockSize: 1024,
  },
  "ext4, no huge files": { options: "-t ext4 -b 4096 -O ^huge_file,^flex_bg", blockSize: 4096 },
  "ext4, no extents": { options: "-t ext4 -b 1024 -O ^extents,^64bit", blockSize: 1024 },
  "inline data, long inodes": {
    options: "-t ext4 -b 4096 -I 1024 -O inline_data",
    blockSize: 4096,
    ...SAFE,
  },
  "bigalloc, 4k": {
    options: "-t ext4 -b 4096 -C 65536 -O bigalloc",
    blockSize: 4096,
    clusterSize: 65_536,
  },
  "large_dir, seed, meta_bg": {
    options: "-t ext4 -b 1024 -O large_dir,metadata_csum_seed,meta_bg,^resize_inode",
    blockSize: 1024,
  },
};

function callsOf({ blockSize, clusterSize = blockSize }: Kind, seed: number) {
  const options = { blockSize, clusterSize, most: 200_000, far: true, protect: true };
  const stream = new MixedStream(new Prng(seed), options);
  return [...BEGINNING, ...Array.from({ length: CALLS }, (): Call | DataCall => stream.next())];
}

/** What e2fsck may say of an image that Linux has written with bigalloc. */
function mayBeWrong({ clusterSize }: Kind, line: string): boolean {
  if (clusterSize === undefined) return false;
  return /^Inode \d+, i_blocks is \d+, should be|WARNING: |^exit status 4$/u.test(line);
}

describe.skipIf(judge.missing)(`the kernel${judge.hint}`, () => {
  test.each(inSlices(Object.entries(KINDS), 4, 2))("%s", { timeout: 600_000 }, (name, kind) => {
    const calls = callsOf(kind, SEED + name.length);
    const image = madeImage(kind.options, 64, "-N", "4096");
    const kernel = callKernel(image, calls, kind);
    const filesystem = mountToWrite(image);
    const differences: unknown[] = [];
    for (const [i, call] of calls.entries()) {
      const ours = callOurs(filesystem, call);
      const theirs = kernel.results[i];
      if (ours !== theirs) differences.push({ i, ours, theirs, call });
      if (differences.length > 3) break;
    }
    expect(differences).toEqual([]);
    expect(linesOfOurs(filesystem)).toEqual(kernel.lines);
    filesystem.unmount();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    expect(e2fsckSays(kernel.image).filter((line) => !mayBeWrong(kind, line))).toEqual([]);
    // What we have written is the same to the kernel that reads it.
    expect(callKernel(image, []).lines).toEqual(kernel.lines);
  });

  const journalled = Object.entries(KINDS).filter(
    ([, { options }]) => !/ext2|\^has_j/u.test(options),
  );
  test.each(inSlices(journalled, 4, 2))("%s: a crash", { timeout: 600_000 }, (name, kind) => {
    const calls = callsOf(kind, SEED + name.length + 50);
    const { image } = callKernel(madeImage(kind.options, 64, "-N", "4096"), calls, {
      crash: "now",
    });
    // What Linux makes of it when it mounts it, and what we do.
    const theirs = callKernel(image, []);
    expect(theirs.lines.length).toBeGreaterThan(FILES_LEFT);
    const filesystem = mountToWrite(image);
    expect(linesOfOurs(filesystem)).toEqual(theirs.lines);
    filesystem.unmount();
    expect(e2fsckSays(image).filter((line) => !mayBeWrong(kind, line))).toEqual([]);
    expect(callKernel(image, []).lines).toEqual(theirs.lines);
  });
});
