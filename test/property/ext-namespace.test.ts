/**
 * Names and attributes: seeded streams of calls, errors included, on filesystems of every kind and
 * on a naive model. Results agree call by call, and the trees at the end, at the next mount too.
 */
import { expect, test } from "vitest";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { Prng } from "../../src/lib/prng.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { NamespaceModel } from "../support/namespace-model.ts";
import { callOurs, linesOfOurs } from "../support/namespace-ours.ts";
import { LARGE, NamespaceStream } from "../support/namespace-stream.ts";

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
