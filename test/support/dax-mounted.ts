/**
 * Trees over images on a disk that is memory: writable, with direct access, and all flushes seen.
 */
import { seededEnvironment } from "../../src/lib/environment.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { ToyDisk, type ToyDiskOptions } from "./toy-disk.ts";

/** A tree, and the disk under it. */
export interface DaxTree {
  readonly tree: FileTree;
  readonly disk: ToyDisk;
}

/** Mounts an image with direct access, to be written. */
export function daxTree(
  image: Uint8Array,
  options: ExtMountOptions = {},
  disk: ToyDiskOptions = {},
): DaxTree {
  const toy = new ToyDisk({ stitches: true, ...disk, pages: image.length / 4096 });
  toy.bytes.set(image);
  const environment = seededEnvironment(1);
  const filesystem = ext.mount(toy.disk, { write: true, ...options }, environment);
  return { tree: new FileTree(filesystem), disk: toy };
}
