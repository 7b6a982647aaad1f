/**
 * Files that are written and cut at random beside a naive model, on images that need no mke2fs; and
 * what is remembered of their maps is what the media say.
 */
import { describe, expect, test } from "vitest";
import { EXT4_INLINE_DATA_FL } from "../../src/format/ext-inode.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { Prng } from "../../src/lib/prng.ts";
import { DataStream, STALE } from "../support/data-stream.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { fillFree } from "../support/fill-free.ts";

const SEED = Number(process.env["DAXKIT_SEED"] ?? 5);
const STEPS = Number(process.env["DAXKIT_DATA_STEPS"] ?? 200);
const BIGALLOC = { features: "bigalloc", clusterSize: 16_384 };
const IMAGES: Readonly<Record<string, MakeExtOptions>> = {
  ext2: { type: "ext2", blockSize: 1024 },
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k, no journal": { type: "ext4", blockSize: 4096, features: "^has_journal" },
  "ext4, bigalloc": { type: "ext4", blockSize: 1024, ...BIGALLOC },
  "ext4, inline data": { type: "ext4", blockSize: 1024, inodeSize: 256, features: "inline_data" },
};

/** What is remembered of a file's map, where that differs from what the media say. */
function forgotten(filesystem: ExtFilesystem, name: string): string[] {
  const state = filesystem.root.lookup(name)?.state;
  if (state === undefined || state.record.has(EXT4_INLINE_DATA_FL)) return [];
  const { record, map } = state;
  const fresh = new FileMap(filesystem.volume, record);
  const { blockSize } = filesystem.volume.superblock;
  const blocks = Math.ceil(record.size / blockSize);
  const wrong: string[] = [];
  for (let logical = 0; logical < blocks; logical++) {
    const [known, stored] = [map.iomap(logical * blockSize), fresh.iomap(logical * blockSize)];
    const same = known.type === stored.type && map.blockOf(logical) === fresh.blockOf(logical);
    if (!same) wrong.push(`${name}: block ${logical} is ${stored.type}, not ${known.type}`);
  }
  return wrong;
}

describe.each(Object.entries(IMAGES))("%s", (_, options) => {
  test("what is written is there, and nothing else", () => {
    const image = emptyImage(options, 16);
    fillFree(image, STALE);
    const filesystem = mountToWrite(image);
    const stream = new DataStream(filesystem, new Prng(SEED), { reach: 1 << 20 });
    for (let i = 0; i < STEPS; i++) {
      stream.step();
      const { name, inode } = stream.last;
      const looked = i % 4 === 0 && inode.size < 1 << 21 ? forgotten(filesystem, name) : [];
      expect(looked).toEqual([]);
      // Now and then some of it is unwritten, or a hole, which writes then meet.
      if (i % 16 === 8) stream.fallocate();
    }
    stream.check();
    filesystem.unmount();
    stream.check(mountToWrite(image));
    expect(complaints(image)).toEqual([]);
  });
});
