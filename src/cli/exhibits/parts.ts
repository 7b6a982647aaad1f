/**
 * What exhibits are put together from: devices, and small filesystems on them.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import type { DaxDevice } from "../../dax/dax-device.ts";
import { type Pmem, type PmemOptions, createPmem } from "../../drivers/pmem.ts";
import { ext } from "../../fs/ext/ext.ts";
import { makeExt } from "../../fs/ext/mkfs.ts";
import { seededEnvironment } from "../../lib/environment.ts";
import type { Media } from "../../media/media.ts";
import { FileTree } from "../../vfs/file-tree.ts";

const ADDRESS = 2 ** 32;

/** A pmem device over all of a media, or a part of it. */
export function pmemOver(media: Media, options: Partial<PmemOptions> = {}): Pmem {
  const { start = 0, length = media.size - start } = options;
  const physicalStart = ADDRESS + start;
  return createPmem({ name: "pmem0", media, physicalStart, ...options, start, length });
}

/** A new ext4 filesystem of 4 KiB blocks in a tree. */
export function newTree(device: BlockDevice): FileTree {
  makeExt(device, { type: "ext4", blockSize: 4096, inodes: 64 }, seededEnvironment(5));
  return mountTree(device);
}

/** A tree over the filesystem of a device. */
export function mountTree(device: BlockDevice): FileTree {
  return new FileTree(ext.mount(device, { write: true }, seededEnvironment(1)));
}

/** Cache lines that a device has written back while `body` ran. */
export function linesFlushed({ counters }: DaxDevice, body: () => void): number {
  const before = counters.flushedLines;
  body();
  return counters.flushedLines - before;
}

/** How long `body` took, in milliseconds. */
export function timed<T>(body: () => T): readonly [result: T, milliseconds: number] {
  const start = performance.now();
  const result = body();
  return [result, performance.now() - start];
}
