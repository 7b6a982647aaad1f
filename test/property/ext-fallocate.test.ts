/**
 * Contents of files: seeded streams of writes, truncations and fallocate in all its modes on
 * filesystems of every kind, and on a naive model. Results agree call by call, and so do bytes,
 * data and holes, and which blocks are allocated; our own check has nothing to say.
 */
import { describe, expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { Prng } from "../../src/lib/prng.ts";
import { extentsIn } from "../../src/vfs/extents.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { FileModel } from "../support/contents-model.ts";
import { type DataCall, DataStream } from "../support/contents-stream.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { tighten } from "../support/little-room.ts";
import { callOurs } from "../support/namespace-ours.ts";

const CALLS = Number(process.env["DAXKIT_DATA_CALLS"] ?? 300);
const SEED = Number(process.env["DAXKIT_DATA_SEED"] ?? 0);
const FILES = 4;

const KINDS: Readonly<Record<string, MakeExtOptions>> = {
  ext2: { type: "ext2", blockSize: 1024 },
  "ext3, 4k": { type: "ext3", blockSize: 4096 },
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k": { type: "ext4", blockSize: 4096 },
  "ext4, 64k": { type: "ext4", blockSize: 65_536, features: "^has_journal", force: true },
  "ext4, no checksums": { type: "ext4", blockSize: 1024, features: "^metadata_csum,uninit_bg" },
  "ext4, no journal": { type: "ext4", blockSize: 2048, features: "^has_journal" },
  bigalloc: { type: "ext4", blockSize: 1024, clusterSize: 8192, features: "bigalloc" },
};

/** Which blocks of a file are there, by what FIEMAP says. */
function allocatedOf(inode: Inode, blockSize: number): boolean[] {
  const blocks: (true | undefined)[] = [];
  for (const { offset, length } of extentsIn(inode, 0, 2 ** 40)) {
    for (let at = offset; at < offset + length; at += blockSize) blocks[at / blockSize] = true;
  }
  return Array.from(blocks, (block) => block ?? false);
}

function trimmed(blocks: readonly boolean[]): readonly boolean[] {
  return blocks.slice(0, blocks.lastIndexOf(true) + 1);
}

function checkAgainst(filesystem: ExtFilesystem, file: string, model: FileModel): void {
  const inode = filesystem.root.lookup(file) as Inode;
  const { blockSize } = filesystem.volume.superblock;
  expect(inode.size).toBe(model.size);
  const bytes = new Uint8Array(model.size);
  daxRead(inode, bytes, 0);
  expect(Buffer.compare(bytes, model.bytes)).toBe(0);
  expect(allocatedOf(inode, blockSize)).toEqual(trimmed(model.allocated));
}

function makeFiles(filesystem: ExtFilesystem): string[] {
  const names = Array.from({ length: FILES }, (_, i) => `file${i}`);
  for (const name of names) writingOf(filesystem.root).make(name, plainFile);
  return names;
}

describe.each(Object.entries(KINDS))("%s", (name, options) => {
  test.each(["room", "little room"])(
    "files are as the model says; transactions with %s",
    (room) => {
      const image = emptyImage(options, 16);
      const filesystem = mountToWrite(image);
      if (room === "little room") tighten(filesystem);
      const { blockSize, clusterSize } = filesystem.volume.superblock;
      const extents = options.type === "ext4";
      const names = makeFiles(filesystem);
      const files = new Map(
        names.map((file) => [file, new FileModel({ blockSize, clusterSize, extents })]),
      );
      const dice = new Prng(SEED + name.length);
      const most = Math.max(120_000, 8 * clusterSize);
      const rules = { blockSize, clusterSize, most, far: false, protect: false };
      const stream = new DataStream(dice, () => dice.pick(names), rules);
      const differences: unknown[] = [];
      for (let i = 0; i < CALLS && differences.length === 0; i++) {
        const call: DataCall = stream.next();
        const ours = callOurs(filesystem, call);
        const theirs = files.get(call.at as string)?.call(call);
        if (ours !== theirs) differences.push({ i, ours, theirs, call });
      }
      expect(differences).toEqual([]);
      for (const [file, model] of files) checkAgainst(filesystem, file, model);
      filesystem.unmount();
      expect(complaints(image)).toEqual([]);
      const again = mountToWrite(image);
      for (const [file, model] of files) checkAgainst(again, file, model);
    },
  );
});
