/**
 * Files that stay open while others change them: views of the media, mappings, data, holes and
 * extents are those of the file as it is now, after every call, on memory.
 */
import { expect, test } from "vitest";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { FileModel } from "../support/contents-model.ts";
import { callOnData } from "../support/contents-ours.ts";
import { DataStream } from "../support/contents-stream.ts";
import { still } from "../support/ext-images.ts";
import { plainFile, writingOf } from "../support/ext-mounted.ts";
import { outcomeOf, placeOf } from "../support/namespace-ours.ts";

const CALLS = Number(process.env["DAXKIT_DATA_CALLS"] ?? 250);
const SEED = Number(process.env["DAXKIT_DATA_SEED"] ?? 0);
const LENGTH = 16 << 20;
const KINDS: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 4k": { type: "ext4", blockSize: 4096 },
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  ext2: { type: "ext2", blockSize: 4096 },
  bigalloc: { type: "ext4", blockSize: 1024, clusterSize: 8192, features: "bigalloc" },
};

/** All bytes, by views one behind the other. */
function viewed(file: OpenFile): Uint8Array {
  const { size } = file.inode;
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const view = file.view(at, size - at);
    bytes.set(view, at);
    at += view.length;
  }
  return bytes;
}

function spansOf(file: OpenFile): string {
  const words: string[] = [];
  for (let at = 0; at < file.inode.size;) {
    let data = at;
    try {
      data = file.seek(at, "data");
    } catch {
      break;
    }
    at = file.seek(data, "hole");
    words.push(`${data}-${at}`);
  }
  return words.slice(0, 40).join(" ");
}

/** What a mapping that was made long ago shows. */
function mapped(mapping: Mapping, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(size, mapping.length));
  mapping.copyOut(0, bytes);
  return bytes;
}

test.each(Object.entries(KINDS))("%s", (name, options) => {
  const media = new RamMedia(LENGTH, { segmentBytes: 2 ** 20 });
  const { disk } = createPmem({ name: "pmem0", media, start: 0, length: LENGTH, physicalStart: 0 });
  makeExt(disk, { inodes: 64, ...options }, seededEnvironment(3));
  const filesystem = ext.mount(disk, { write: true }, seededEnvironment(4)) as ExtFilesystem;
  const { blockSize, clusterSize } = filesystem.volume.superblock;
  writingOf(filesystem.root).make("file", plainFile);
  const { tree } = placeOf(filesystem);
  const open = tree.open("file");
  const model = new FileModel({ blockSize, clusterSize, extents: options.type === "ext4" });
  const rules = { blockSize, clusterSize, most: 100_000, far: false, protect: false };
  const first = { op: "write", at: "file", offset: 0, length: 60_000, seed: 0 } as const;
  expect(callOnData(tree, "file", first)).toBe(model.call(first));
  const mapping = open.map();
  const stream = new DataStream(new Prng(SEED + name.length), () => "file", rules);
  for (let i = 0; i < CALLS; i++) {
    const call = stream.next();
    const result = outcomeOf(() => callOnData(tree, "file", call));
    expect({ i, call, result }).toEqual({ i, call, result: model.call(call) });
    const { bytes, size } = model;
    const differs = [
      Buffer.compare(viewed(open), bytes),
      Buffer.compare(mapped(mapping, size), bytes.subarray(0, mapping.length)),
    ];
    expect({ i, call, differs }).toEqual({ i, call, differs: [0, 0] });
    expect(spansOf(open)).toBe(model.call({ op: "seek", at: "file", offset: 0 }));
  }
  mapping.unmap();
  open.close();
  filesystem.unmount();
  expect([...ext.check(disk, still)].filter(({ severity }) => severity !== "note")).toEqual([]);
});
