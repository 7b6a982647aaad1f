/**
 * An ext image to damage by field, with the checksums around a field made right.
 */
import { Ext4Inode as DI } from "../../../src/format/ext-inode.ts";
import type { Inode } from "../../../src/vfs/filesystem.ts";
import { ExtEditor } from "../ext-field-editor.ts";
import { type ExtFixture, fixtureImage, mountBytes } from "../ext-images.ts";

/** A way to damage an image. */
export interface Mutation {
  readonly name: string;
  /** The code of a finding that a check should yield. */
  readonly code: string;
  /** Damages the image; false where the image has nothing of the kind. */
  edit(target: Target): boolean | void;
}

/** An image to damage, with its files by path. */
export class Target extends ExtEditor {
  readonly #inos: ReadonlyMap<string, number>;

  constructor(name: ExtFixture) {
    super(fixtureImage(name));
    this.#inos = inosOf(name);
  }

  /** The inode number of a path. */
  ino(path: string): number {
    return this.#inos.get(path) as number;
  }

  /** Changes a field of an inode by `change`. */
  change(path: string, field: typeof DI.mode, change: (value: number) => number): void {
    const ino = this.ino(path);
    this.set(ino, field, change(this.get(ino, field)));
  }

  get inline(): boolean {
    return (this.superblock.featureIncompat & 0x8000) !== 0;
  }

  /** Edits an entry of a linear directory of one block. */
  entry(directory: string, name: string, edit: (at: number) => void): boolean {
    const ino = this.ino(directory);
    if ((this.get(ino, DI.flags) & 0x1000_0000) !== 0) return false;
    const block = this.firstBlock(ino);
    const at = this.entryAt(block, name);
    if (at === undefined) return false;
    edit(at);
    this.sealLeaf(ino, block);
    return true;
  }

  /** Edits the root of the big directory's index. */
  index(edit: (block: Uint8Array<ArrayBuffer>, view: DataView) => void): boolean {
    const ino = this.ino("dir");
    if ((this.get(ino, DI.flags) & 0x1000) === 0) return false;
    const number = this.hasExtents(ino) ? this.#firstLeafBlock(ino) : this.firstBlock(ino);
    const block = this.block(number);
    edit(block, new DataView(block.buffer, block.byteOffset, block.byteLength));
    this.sealIndex(ino, number, 32);
    return true;
  }

  #firstLeafBlock(ino: number): number {
    const node = this.firstNode(ino);
    if (node === undefined) return this.firstBlock(ino);
    return new DataView(this.bytes.buffer, this.block(node).byteOffset).getUint32(12 + 8, true);
  }

  /** Edits the attribute block of a file. */
  attributes(edit: (view: DataView) => void): boolean {
    const number =
      this.get(this.ino("a/f2"), DI.fileAclLo) || this.get(this.ino("big"), DI.fileAclLo);
    if (number === 0) return false;
    const block = this.block(number);
    edit(new DataView(block.buffer, block.byteOffset, block.byteLength));
    this.sealAttributes(number);
    return true;
  }

  /** Edits the first node of the fragmented file's extent tree. */
  node(edit: (view: DataView) => void): boolean {
    const ino = this.ino("frag");
    const number = this.firstNode(ino);
    if (number === undefined) return false;
    const block = this.block(number);
    edit(new DataView(block.buffer, block.byteOffset, block.byteLength));
    this.sealNode(ino, number);
    return true;
  }

  /** Edits the extents in the root of a file's tree. */
  extentRoot(path: string, edit: (view: DataView) => void): boolean {
    const ino = this.ino(path);
    if (!this.hasExtents(ino)) return false;
    edit(new DataView(this.bytes.buffer, this.inodeAt(ino) + DI.block.offset, 60));
    this.sealInode(ino);
    return true;
  }
}

const PATHS = [
  "a",
  "a/b",
  "a/f1",
  "a/f2",
  "a/f9",
  "a/f10",
  "a/fast",
  "a/slow",
  "a/null",
  "a/fifo",
  "big",
  "dir",
  "frag",
  "many",
  "sparse",
  "prealloc",
  "lost+found",
];

const known = new Map<ExtFixture, ReadonlyMap<string, number>>();

function inosOf(name: ExtFixture): ReadonlyMap<string, number> {
  let inos = known.get(name);
  if (inos === undefined) {
    const { root } = mountBytes(fixtureImage(name));
    inos = new Map(PATHS.map((path) => [path, inoAt(root, path)]));
    known.set(name, inos);
  }
  return inos;
}

function inoAt(root: Inode, path: string): number {
  let inode: Inode | undefined = root;
  for (const part of path.split("/")) inode = inode?.lookup(part);
  if (inode === undefined) throw new Error(`the image has no ${path}`);
  return inode.ino;
}
