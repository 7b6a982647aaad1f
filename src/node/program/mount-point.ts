/**
 * A volume at a path: the paths of a program begin at the root of its machine, not of the volume.
 *
 * @module
 */
import { RamDisk } from "../../block/ram-disk.ts";
import { ext } from "../../fs/ext/ext.ts";
import { makeExt } from "../../fs/ext/mkfs.ts";
import { seededEnvironment } from "../../lib/environment.ts";
import { FileTree } from "../../vfs/file-tree.ts";
import type { Filesystem } from "../../vfs/filesystem.ts";

/** Bytes of the filesystem that holds nothing but the directory to mount on. */
const BASE_BYTES = 1 << 20;

const bases = new Map<string, Filesystem>();

/** A filesystem with the directory; one for all trees, since nothing in it ever changes. */
function baseFor(path: string): Filesystem {
  const known = bases.get(path);
  if (known !== undefined) return known;
  const disk = new RamDisk({ name: "base", bytes: new Uint8Array(BASE_BYTES) });
  const environment = seededEnvironment(1);
  makeExt(disk, { type: "ext2", zeroed: true }, environment);
  const made = ext.mount(disk, { write: true }, environment);
  const tree = new FileTree(made);
  let above = "";
  for (const name of path.split("/").filter((part) => part !== "")) {
    above += `/${name}`;
    tree.mkdir(above);
  }
  bases.set(path, made);
  return made;
}

/** A tree in which `filesystem` is mounted at `path`, an absolute path other than the root. */
export function treeAt(filesystem: Filesystem, path: string): FileTree {
  const tree = new FileTree(baseFor(path));
  tree.mounts.mount(tree.locate(path), filesystem);
  return tree;
}
