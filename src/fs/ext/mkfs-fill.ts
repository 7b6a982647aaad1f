/**
 * Filling a new filesystem with a tree: directories first and next to each other, then what they
 * hold, each file in as few pieces as there is room for.
 *
 * @module
 */
import { EXT4_INDEX_FL, EXT4_ROOT_INO, Ext4InodeExtra } from "../../format/ext-inode.ts";
import { EXT4_XATTR_MAGIC } from "../../format/ext-xattr.ts";
import { EXT4_FEATURE_RO_COMPAT_DIR_NLINK } from "../../format/ext-superblock.ts";
import { type Range, RangeSet } from "../../lib/range-set.ts";
import { sizeof } from "../../lib/struct.ts";
import { S_IFMT, S_IFLNK, S_IFREG, isDevice, isDirectory } from "../../vfs/modes.ts";
import { typeOfMode } from "./directory-types.ts";
import { hasRoCompat } from "./features.ts";
import { groupStart } from "./geometry.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";
import type { Contents } from "./mkfs-files.ts";
import { type DirectoryEntry, planDirectory } from "./mkfs-htree.ts";
import type { NewInode } from "./mkfs-inode.ts";
import type { FileMap } from "./mkfs-maps.ts";
import { refuse } from "./mkfs-options.ts";
import type { Space } from "./mkfs-space.ts";
import type { NewNode, Numbered } from "./mkfs-tree.ts";
import type { Superblock } from "./superblock.ts";
import { fitsBlock, listLength, sealBlock, writeBlock, writeList } from "./xattr-layout.ts";

/** What the plan of a filesystem lends to those who fill it. */
export interface FillHost {
  readonly superblock: Superblock;
  readonly space: Space;
  readonly contents: Contents;
  allocate(ino: number, goal: number, pieces: readonly Range[]): FileMap;
  /** Seconds since 1970, when it is made. */
  readonly time: number;
  add(inode: NewInode): void;
}

/** Links of a directory, beyond which Linux does not count them. */
const MOST_LINKS = 65_000;
const NO_ATTRIBUTES = { blocks: 0 } as const;
const HUGE_BYTES = 2 ** 21;
/** Magic number before the attributes in an inode. */
const MAGIC_BYTES = 4;

/** Adds everything but the root, which {@link rootEntries} are for. @throws ENOSPC, EINVAL */
export function fillTree(host: FillHost, numbered: ReadonlyMap<NewNode, Numbered>): void {
  const filler = new Filler(host, numbered);
  for (const one of numbered.values()) {
    if (isDirectory(one.node.mode) && one.ino !== EXT4_ROOT_INO) filler.directory(one);
  }
  for (const one of numbered.values()) if (!isDirectory(one.node.mode)) filler.file(one);
}

/** Entries of a directory of the tree. */
export function entriesOf(
  one: Numbered,
  numbered: ReadonlyMap<NewNode, Numbered>,
): DirectoryEntry[] {
  return one.children.map(({ name, node }) => ({
    name,
    ino: (numbered.get(node) as Numbered).ino,
    type: typeOfMode(node.mode),
  }));
}

/** Links of a directory; 1 stands for more than can be counted. @throws EINVAL */
export function directoryLinks(superblock: Superblock, links: number): number {
  if (links <= MOST_LINKS) return links;
  if (hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_DIR_NLINK)) return 1;
  return refuse(
    `a directory holds ${links - 2} directories; more than ${MOST_LINKS} need dir_nlink`,
  );
}

/** What an inode stores of a node's attributes, and the block for what has no room there. */
export function placeAttributes(
  { superblock, space, contents }: FillHost,
  { attributes }: NewNode,
): Pick<NewInode, "attributes" | "fileAcl"> & { readonly blocks: number } {
  if (attributes.length === 0) return NO_ATTRIBUTES;
  const room = superblock.inodeSize - 128 - sizeof(Ext4InodeExtra);
  if (room > MAGIC_BYTES && listLength(attributes) <= room - MAGIC_BYTES) {
    const bytes = new Uint8Array(room);
    new DataView(bytes.buffer).setUint32(0, EXT4_XATTR_MAGIC, true);
    const place = { first: MAGIC_BYTES, origin: MAGIC_BYTES, limit: room, hashed: false };
    writeList(bytes, attributes, place);
    return { attributes: bytes, blocks: 0 };
  }
  if (!fitsBlock(attributes, superblock.blockSize)) {
    refuse(`attributes of ${listLength(attributes)} bytes do not fit into a block`);
  }
  const fileAcl = space.takeOne(groupStart(superblock, 0));
  const bytes = (): Uint8Array => {
    const block = new Uint8Array(superblock.blockSize);
    writeBlock(block, attributes);
    sealBlock(superblock, fileAcl, block);
    return block;
  };
  contents.blocks.push({ block: fileAcl, bytes });
  return { fileAcl, blocks: 1 };
}

class Filler {
  readonly #host: FillHost;
  readonly #numbered: ReadonlyMap<NewNode, Numbered>;
  /** Where the next block is looked for. */
  #at: number;

  constructor(host: FillHost, numbered: ReadonlyMap<NewNode, Numbered>) {
    this.#host = host;
    this.#numbered = numbered;
    this.#at = groupStart(host.superblock, 0);
  }

  directory(one: Numbered): void {
    const { superblock, contents } = this.#host;
    const { blockSize } = superblock;
    const entries = entriesOf(one, this.#numbered);
    const plan = planDirectory(superblock, one.ino, one.parent, entries);
    const count = plan.blocks.length;
    const map = this.#allocate(one.ino, [{ start: 0, length: count }]);
    for (const run of map.runs) {
      for (let i = 0; i < run.length; i++) {
        const bytes = plan.blocks[run.logical + i] as () => Uint8Array;
        contents.blocks.push({ block: run.start + i, bytes });
      }
    }
    contents.directories.push(one.ino);
    const flags = map.flags | (plan.indexed ? EXT4_INDEX_FL : 0);
    const links = directoryLinks(superblock, one.links);
    this.#add(one, { ...map, flags, size: count * blockSize, links });
  }

  file(one: Numbered): void {
    const { node } = one;
    const type = node.mode & S_IFMT;
    if (type === S_IFREG) this.#regular(one);
    else if (type === S_IFLNK) this.#symlink(one);
    else if (isDevice(node.mode)) this.#add(one, { block: deviceWords(node) });
    else this.#add(one, {});
  }

  #regular(one: Numbered): void {
    const { superblock, contents } = this.#host;
    const { blockSize } = superblock;
    const { node } = one;
    const pieces = this.#pieces(node);
    if (blockSize * superblock.clusterRatio <= HUGE_BYTES && node.size >= HUGE_BYTES) {
      // Large files start where huge pages can map them.
      const step = HUGE_BYTES / blockSize;
      this.#at = Math.ceil(this.#at / step) * step;
    }
    const map = this.#allocate(one.ino, pieces);
    for (const { logical, start, length } of map.runs) {
      const offset = logical * blockSize;
      const bytes = Math.min(length * blockSize, node.size - offset);
      contents.data.push({ start, length, node, offset, bytes });
    }
    const { block, flags, sectors } = map;
    this.#add(one, { block, flags, sectors, size: node.size });
  }

  /** Blocks that hold data, in whole clusters. */
  #pieces({ data, size }: NewNode): readonly Range[] {
    const { blockSize, clusterRatio } = this.#host.superblock;
    const unit = blockSize * clusterRatio;
    const blocks = Math.ceil(size / blockSize);
    const only = data[0];
    if (data.length === 1 && only?.start === 0 && only.length === size) {
      return blocks === 0 ? [] : [{ start: 0, length: blocks }];
    }
    const pieces = new RangeSet();
    for (const { start, length } of data) {
      const first = Math.floor(start / unit) * clusterRatio;
      const after = Math.min(blocks, Math.ceil((start + length) / unit) * clusterRatio);
      if (after > first) pieces.add(first, after - first);
    }
    return [...pieces];
  }

  #symlink(one: Numbered): void {
    const { superblock, contents } = this.#host;
    const { blockSize } = superblock;
    const { target = new Uint8Array(0) } = one.node;
    if (target.length === 0 || target.length >= blockSize) {
      refuse(`a symbolic link of ${target.length} bytes; it has 1 to ${blockSize - 1}`);
    }
    if (target.length < I_BLOCK_SIZE) {
      const block = new Uint8Array(I_BLOCK_SIZE);
      block.set(target);
      this.#add(one, { block, size: target.length });
      return;
    }
    const map = this.#allocate(one.ino, [{ start: 0, length: 1 }]);
    const bytes = (): Uint8Array => {
      const block = new Uint8Array(blockSize);
      block.set(target);
      return block;
    };
    for (const { start } of map.runs) contents.blocks.push({ block: start, bytes });
    this.#add(one, { ...map, size: target.length });
  }

  #allocate(ino: number, pieces: readonly Range[]): FileMap {
    const map = this.#host.allocate(ino, this.#at, pieces);
    const last = map.runs.at(-1);
    if (last !== undefined) this.#at = last.start + last.length;
    return map;
  }

  #add(one: Numbered, made: Partial<NewInode>): void {
    const { node, ino, links } = one;
    const { blocks, attributes, fileAcl } = placeAttributes(this.#host, node);
    const { clusterSize } = this.#host.superblock;
    // All with the same members in the same order: there may be very many.
    this.#host.add({
      ino,
      mode: node.mode,
      links: made.links ?? links,
      uid: node.uid,
      gid: node.gid,
      size: made.size ?? 0,
      sectors: (made.sectors ?? 0) + (blocks * clusterSize) / 512,
      flags: made.flags ?? 0,
      block: made.block,
      times: node,
      attributes,
      fileAcl,
      time: this.#host.time,
    });
  }
}

/** Small numbers in the first word, as ever; others in the second. */
function deviceWords({ device = { major: 0, minor: 0 } }: NewNode): Uint8Array {
  const { major, minor } = device;
  const block = new Uint8Array(I_BLOCK_SIZE);
  const view = new DataView(block.buffer);
  if (major < 256 && minor < 256) view.setUint32(0, major * 256 + minor, true);
  else view.setUint32(4, (minor & 0xff) + major * 256 + (minor >>> 8) * 2 ** 20, true);
  return block;
}
