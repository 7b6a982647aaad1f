/**
 * ext images for tests: the fixtures in memory, and the text that a tree must give.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import { type Environment, silent } from "../../src/lib/environment.ts";
import type { Filesystem, Inode } from "../../src/vfs/filesystem.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../src/vfs/modes.ts";

/** The images that Linux 6.1 wrote; see the manifests beside them. */
export const EXT_FIXTURES = [
  "ext2-1k",
  "ext2-4k",
  "ext3-4k",
  "ext4-1k",
  "ext4-bigalloc",
  "ext4-default",
  "ext4-gdtcsum",
  "ext4-inline",
] as const;

/** One of {@link EXT_FIXTURES}. */
export type ExtFixture = (typeof EXT_FIXTURES)[number];

const folder = join(import.meta.dirname, "..", "..", "fixtures", "ext");
const images = new Map<string, Uint8Array>();

/** A fresh copy of an image's 16 MiB. */
export function fixtureImage(name: ExtFixture): Uint8Array<ArrayBuffer> {
  let image = images.get(name);
  if (image === undefined) {
    image = gunzipSync(readFileSync(join(folder, `${name}.img.gz`)));
    images.set(name, image);
  }
  return Uint8Array.from(image);
}

/** The manifest that Linux wrote of an image. */
export function fixtureManifest(name: ExtFixture): string {
  return gunzipSync(readFileSync(join(folder, `${name}.manifest.gz`))).toString("latin1");
}

/** A world in which it is always the same second. */
export const still: Environment = {
  clock: { now: () => ({ sec: 0, nsec: 0 }) },
  random: { fill: (target) => target.fill(0) },
  trace: silent,
};

/** Mounts bytes as a disk without dax. */
export function mountBytes(bytes: Uint8Array, options: ExtMountOptions = {}): Filesystem {
  return mountDisk(new RamDisk({ name: "ram0", bytes }), options);
}

/** Mounts a device. */
export function mountDisk(device: BlockDevice, options: ExtMountOptions = {}): Filesystem {
  return ext.mount(device, options, still);
}

/** The inode at a path from the root, names divided by slashes. */
export function find(filesystem: Filesystem, path: string): Inode {
  let inode = filesystem.root;
  for (const part of path === "" ? [] : path.split("/")) {
    const next = inode.lookup(part);
    if (next === undefined) throw new Error(`${part} of ${path} is missing`);
    inode = next;
  }
  return inode;
}

/** The bytes of a regular file. */
export function contentsOf(inode: Inode): Uint8Array {
  const bytes = new Uint8Array(inode.size);
  daxRead(inode, bytes, 0);
  return bytes;
}

/** A file of a tree. */
export interface TreeNode {
  readonly path: string;
  readonly inode: Inode;
}

/** Everything below a directory, itself first; `lost+found` and `lost` are left out. */
export function* walkTree(inode: Inode, path = "."): Generator<TreeNode> {
  yield { path, inode };
  if ((inode.mode & S_IFMT) !== S_IFDIR) return;
  for (const { name } of inode.readdir(0)) {
    if (["lost+found", "lost", ".", ".."].includes(name)) continue;
    const child = inode.lookup(name);
    if (child === undefined) throw new Error(`${path}/${name} is listed but not found`);
    yield* walkTree(child, `${path}/${name}`);
  }
}

/** A manifest's line for a file. */
export function manifestLine({ path, inode }: TreeNode): string {
  const { mode, nlink, uid, gid, size, rdev } = inode.attributes();
  const type = mode & S_IFMT;
  const shown = type === S_IFDIR ? "-" : String(size);
  const head = `${mode.toString(16)} ${nlink} ${uid}:${gid} ${shown} ${path} `;
  if (type === S_IFDIR) return head;
  if (type === S_IFLNK) return `${head}-> ${inode.readlink()}`;
  if (type === S_IFREG) {
    return head + createHash("sha256").update(contentsOf(inode)).digest("hex");
  }
  const device = type === S_IFCHR || type === S_IFBLK ? rdev : 0;
  const major = Math.floor(device / 256) % 4096;
  return `${head}${major}:${(device % 256) + Math.floor(device / 2 ** 20) * 256}`;
}

/** getfattr's dump of a file's attributes, or nothing; for values that are plain text. */
export function xattrLines({ path, inode }: TreeNode): string[] {
  const names = inode.listxattr();
  if (names.length === 0) return [];
  const lines = names.map((name) => {
    const value = inode.getxattr(name) ?? new Uint8Array(0);
    return `${path.slice(2)} ${name}="${Buffer.from(value).toString("latin1")}"`;
  });
  return lines;
}

/** The two halves of a manifest as sorted lines, each attribute with its file's path. */
export function parseManifest(text: string): { files: string[]; xattrs: string[] } {
  const files: string[] = [];
  const xattrs: string[] = [];
  let file: string | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("# file: ")) file = line.slice("# file: ".length);
    else if (line !== "")
      (file === undefined ? files : xattrs).push(file === undefined ? line : `${file} ${line}`);
  }
  return { files: files.toSorted(), xattrs: xattrs.toSorted() };
}

/** The same of a mounted filesystem. */
export function manifestOf(filesystem: Filesystem): { files: string[]; xattrs: string[] } {
  const nodes = [...walkTree(filesystem.root)];
  const files = nodes.map(manifestLine).toSorted();
  return { files, xattrs: nodes.flatMap(xattrLines).toSorted() };
}
