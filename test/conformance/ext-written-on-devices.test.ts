/** ext2, ext3 and ext4, written on every kind of device: each is in the end what it is on RAM. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { noise } from "../support/bytes.ts";
import { manifestOf, still } from "../support/ext-images.ts";
import { WRITTEN } from "../support/written-devices.ts";

const KINDS = [
  { type: "ext2", blockSize: 1024 },
  { type: "ext3", blockSize: 1024 },
  { type: "ext4", blockSize: 4096 },
] as const;
const BYTES = 6 << 20;
const PAGE = 4096;

function contents(tree: FileTree, path: string): OpenFile {
  return tree.open(path, { create: true, access: "readwrite" });
}

/** Names, contents of every kind, and mappings where the device has memory. */
function work(tree: FileTree, dax: boolean): void {
  tree.mkdir("/d");
  for (let i = 0; i < 12; i++) contents(tree, `/d/${i}`).pwrite(noise(i, 700 * i), 13 * i);
  const large = contents(tree, "/large");
  large.pwrite(noise(20, 300_000), 5000);
  large.pwrite(noise(21, 3), PAGE - 1);
  large.sync();
  large.truncate(200_001);
  const sparse = contents(tree, "/sparse");
  sparse.pwrite(noise(22, 9000), 500_000);
  sparse.truncate(900_000);
  tree.rename("/d/3", "/three");
  tree.link("/d/5", "/five");
  tree.symlink("large", "/link");
  tree.unlink("/d/7");
  store(contents(tree, "/mapped"), dax);
  tree.sync();
  tree.rename("/d", "/e");
  large.pwrite(noise(23, 5000), 150_000);
}

/** The same bytes, by a mapping or by a write. */
function store(file: OpenFile, dax: boolean): void {
  file.pwrite(new Uint8Array(20 * PAGE), 0);
  const bytes = noise(30, 10 * PAGE + 17);
  if (!dax) {
    file.pwrite(bytes, 3 * PAGE - 5);
    return;
  }
  const mapping = file.map({ access: "write" });
  mapping.copyIn(3 * PAGE - 5, bytes);
  mapping.flush();
  mapping.unmap();
}

/** What is on a device in the end, by a mount of its own; and what a check finds. */
function outcome(device: BlockDevice): { found: unknown; manifest: unknown } {
  const manifest = manifestOf(ext.mount(device, {}, still));
  return { found: [...ext.check(device, still)], manifest };
}

function written(device: BlockDevice, kind: (typeof KINDS)[number], dax: boolean): BlockDevice {
  makeExt(device, { ...kind, size: { bytes: BYTES }, inodes: 64 }, seededEnvironment(5));
  const options = { write: true, dax: dax ? "always" : "inode" } as const;
  const tree = new FileTree(ext.mount(device, options, seededEnvironment(1)));
  work(tree, dax);
  const { inode } = tree.locate("/large");
  expect(inode.isDax).toBe(dax);
  tree.close({ revoke: true });
  return device;
}

describe.each(KINDS)("[0.26] [X7] $type", (kind) => {
  const flat = outcome(written(WRITTEN["RAM"]!.make(BYTES), kind, false));

  test.each(Object.entries(WRITTEN))("on %s", (_, { make, dax }) => {
    const device = make(BYTES);
    expect(device.dax !== undefined).toBe(dax);
    // Blocks of less than a page cannot be mapped each for itself.
    const byMapping = dax && kind.blockSize === PAGE;
    expect(outcome(written(device, kind, byMapping))).toEqual(flat);
    expect(flat.found).toEqual([]);
  });
});
