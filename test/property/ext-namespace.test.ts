/**
 * Names and attributes: seeded streams of calls, errors included, on filesystems of every kind and
 * on a naive model. Results agree call by call, and the trees at the end, at the next mount too.
 */
import { expect, test } from "vitest";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { Prng } from "../../src/lib/prng.ts";
import { S_IFLNK } from "../../src/vfs/modes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { NamespaceModel } from "../support/namespace-model.ts";
import { callOurs, linesOfOurs } from "../support/namespace-ours.ts";
import { type Call, LARGE, NamespaceStream } from "../support/namespace-stream.ts";

const CALLS = Number(process.env["DAXKIT_NAMESPACE_CALLS"] ?? 1500);
const KINDS: Readonly<Record<string, MakeExtOptions>> = {
  ext2: { type: "ext2", blockSize: 1024, inodeSize: 256 },
  "ext2, 4k, linear": { type: "ext2", blockSize: 4096, inodeSize: 256, features: "^dir_index" },
  ext3: { type: "ext3", blockSize: 2048, inodeSize: 256 },
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k": { type: "ext4", blockSize: 4096, features: "orphan_file" },
  "ext4, no checksums": { type: "ext4", blockSize: 1024, features: "^metadata_csum,uninit_bg" },
  "ext4, no journal": {
    type: "ext4",
    blockSize: 1024,
    features: "^has_journal,meta_bg,^resize_inode",
  },
  "ext4, bigalloc": { type: "ext4", blockSize: 1024, clusterSize: 4096, features: "bigalloc" },
  "ext4, inline data": { type: "ext4", blockSize: 1024, inodeSize: 512, features: "inline_data" },
};

test.each(Object.entries(KINDS))("%s", (name, options) => {
  const image = emptyImage({ inodes: 1500, ...options });
  const filesystem = mountToWrite(image);
  const model = new NamespaceModel(filesystem.volume.superblock.blockSize);
  const stream = new NamespaceStream(new Prng(name.length + 100), 400);
  const calls = [LARGE, ...Array.from({ length: CALLS }, () => stream.next())];
  const differences = calls.flatMap((call) => {
    const [ours, theirs] = [callOurs(filesystem, call), model.call(call)];
    return ours === theirs ? [] : [{ ours, theirs, call }];
  });
  expect(differences.slice(0, 3)).toEqual([]);
  expect(linesOfOurs(filesystem)).toEqual(model.lines());
  filesystem.unmount();
  expect(complaints(image)).toEqual([]);
  expect(linesOfOurs(mountToWrite(image))).toEqual(model.lines());
});

const FULL: Readonly<Record<string, readonly [megabytes: number, MakeExtOptions]>> = {
  ext2: [1, { type: "ext2", blockSize: 1024, inodeSize: 256 }],
  "ext4 with a journal": [2, { type: "ext4", blockSize: 1024 }],
  "ext4, 4k": [8, { type: "ext4", blockSize: 4096, features: "orphan_file" }],
  "ext4, inline data": [3, { type: "ext4", blockSize: 1024, features: "inline_data" }],
};

test.each(Object.entries(FULL))("a disk that is full: %s", (name, [megabytes, options]) => {
  const image = emptyImage({ inodes: 1500, ...options }, megabytes);
  const filesystem = mountToWrite(image);
  const model = new NamespaceModel(filesystem.volume.superblock.blockSize);
  const stream = new NamespaceStream(new Prng(name.length + 200), 2000, "filling");
  const target = `nowhere/${"t".repeat(500)}`;
  const fillers = Array.from({ length: 1400 }, (_, i): Call => {
    return { op: "make", path: `large/fill${i}`, mode: S_IFLNK, rdev: 0, target };
  });
  const more = Array.from({ length: 2 * CALLS }, () => stream.next());
  const calls = [LARGE, ...fillers, { op: "unlink", path: "large/fill7" } as const, ...more];
  const refused = new Set<string>();
  const differences = calls.flatMap((call) => {
    const ours = callOurs(filesystem, call);
    // Whatever finds no room has changed nothing.
    if (ours === "ENOSPC") refused.add(call.op);
    const theirs = ours === "ENOSPC" ? ours : model.call(call);
    return ours === theirs ? [] : [{ ours, theirs, call }];
  });
  expect(differences.slice(0, 3)).toEqual([]);
  expect(refused).toContain("make");
  expect(linesOfOurs(filesystem)).toEqual(model.lines());
  filesystem.unmount();
  expect(complaints(image)).toEqual([]);
  expect(linesOfOurs(mountToWrite(image))).toEqual(model.lines());
});
