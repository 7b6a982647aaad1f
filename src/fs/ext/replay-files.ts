/**
 * The files that fast commits change: inodes, ranges and names, kept in memory until all records
 * are applied, and then stored with maps, counts and checksums that agree.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  EXT4_EXTENTS_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  Ext4Inode as DI,
} from "../../format/ext-inode.ts";
import { Ext4XattrHeader } from "../../format/ext-xattr.ts";
import { CheckedInode } from "./check-inode-record.ts";
import { SparseBits } from "./check-tables.ts";
import { corrupt } from "./corruption.ts";
import { ReplayDirectory } from "./replay-directories.ts";
import { ReplayEditor } from "./replay-editor.ts";
import type { Extent } from "./extent-node.ts";
import { ExtentList } from "./replay-extents.ts";
import type { Superblock } from "./superblock.ts";

/** Bytes of an inode in front of `i_block`, and where what follows it starts. */
const BEFORE_MAP = DI.block.offset;
const BEHIND_MAP = DI.generation.offset;

/** Types in directory entries by the type bits of a mode. */
const ENTRY_TYPES: readonly (number | undefined)[] = [
  undefined,
  5,
  3,
  undefined,
  2,
  undefined,
  4,
  undefined,
  1,
  undefined,
  7,
  undefined,
  6,
];

/** A file that records speak of. */
interface OpenFile {
  inode: CheckedInode;
  /** Undefined for what has no extents: nothing about its map is changed then. */
  readonly map: ExtentList | undefined;
  /** What the file had before: freed at the end, unless it still has it. */
  readonly before: readonly Extent[];
  /** Blocks in `i_blocks` that are neither data nor map: attributes. */
  readonly otherBlocks: number;
  directory: ReplayDirectory | undefined;
  mapChanged: boolean;
}

/** All files that records speak of. */
export class ReplayFiles {
  readonly #editor: ReplayEditor;
  readonly #files = new Map<number, OpenFile>();
  /** Blocks that some record gives to a file. */
  readonly #reserved: SparseBits;

  constructor(superblock: Superblock, buffers: Buffers) {
    this.#editor = new ReplayEditor(superblock, buffers);
    this.#reserved = new SparseBits(superblock.blocksPerGroup);
  }

  /** Keeps blocks from being taken for directories and maps. */
  reserve(range: { block: number; count: number } | undefined): void {
    if (range === undefined) return;
    const { block, count } = range;
    if (this.#editor.isInside(block, count)) this.#reserved.addRange(block, count, () => {});
  }

  // Records.

  /** Sets an inode as it was when the commit was made; its map comes from the other records. */
  setInode(ino: number, raw: Uint8Array): void {
    const { firstIno, inodes, inodeSize } = this.#editor.superblock;
    if (ino > inodes || (ino < firstIno && ino !== 2)) {
      throw corrupt("fast commit", "inode", ino, "no file can have that number");
    }
    const known = this.#open(ino);
    const bytes = known?.inode.bytes ?? new Uint8Array(inodeSize);
    const length = Math.min(raw.length, inodeSize);
    bytes.set(raw.subarray(0, BEFORE_MAP));
    bytes.set(raw.subarray(BEHIND_MAP, length), BEHIND_MAP);
    const inode = new CheckedInode(this.#editor.context, ino, bytes);
    if (inode.links === 0 || ENTRY_TYPES[inode.mode >> 12] === undefined) {
      const found = `0${inode.mode.toString(8)} with ${inode.links} links`;
      throw corrupt("fast commit", `mode of inode ${ino}`, found, "no file in use");
    }
    if (inode.has(EXT4_INLINE_DATA_FL)) {
      bytes.set(raw.subarray(BEFORE_MAP, BEHIND_MAP), BEFORE_MAP);
    }
    const mapped = inode.has(EXT4_EXTENTS_FL);
    if (known === undefined) this.#add(inode, mapped ? new ExtentList() : undefined, true);
    else if ((known.map !== undefined) === mapped) this.#update(known, inode);
    else {
      // The file changed the way in which it is mapped.
      const { before } = known;
      this.#add(inode, mapped ? new ExtentList() : undefined, true);
      Object.assign(this.#files.get(ino) as OpenFile, { before, mapChanged: true });
    }
  }

  addRange(ino: number, extent: Extent): void {
    const file = this.#open(ino);
    if (file?.map === undefined || extent.count === 0) return;
    if (!this.#editor.isInside(extent.block, extent.count)) {
      throw corrupt("fast commit", "range", extent.block, `inode ${ino} cannot have those blocks`);
    }
    file.map.add(extent);
    file.mapChanged = true;
  }

  deleteRange(ino: number, logical: number, count: number): void {
    const file = this.#open(ino);
    if (file?.map === undefined) return;
    file.map.remove(logical, count);
    file.mapChanged = true;
  }

  /** A new file, of which the inode was set before. */
  create(parent: number, name: Uint8Array, ino: number): void {
    const file = this.#open(ino);
    if (file === undefined) {
      throw corrupt("fast commit", "created inode", ino, "no record before it sets that inode");
    }
    if (file.inode.isDirectory && file.map !== undefined && file.map.end === 0) {
      this.#directoryOf(file)?.initialise(parent);
      file.mapChanged = true;
    }
    this.#addName(parent, name, file);
    this.#setLinks(file, 1);
  }

  link(parent: number, name: Uint8Array, ino: number): void {
    const file = this.#open(ino);
    if (file === undefined) return;
    if (this.#addName(parent, name, file)) this.#setLinks(file, file.inode.links + 1);
  }

  unlink(parent: number, name: Uint8Array, ino: number): void {
    const file = this.#open(ino);
    const directory = this.#openDirectory(parent);
    if (file === undefined || directory === undefined) return;
    const found = directory.find(name);
    if (found === undefined) return;
    if (found === ino) directory.removeEntry(name);
    if (file.inode.isDirectory || file.inode.links <= 1) this.#free(file);
    else this.#setLinks(file, file.inode.links - 1);
  }

  // Files.

  /** A file that is in use; undefined for any other number. */
  #open(ino: number): OpenFile | undefined {
    const known = this.#files.get(ino);
    if (known !== undefined) return known;
    const inode = this.#editor.inode(ino);
    if (inode === undefined) return undefined;
    const mapped = inode.hasExtents && inode.hasBlocks;
    return this.#add(inode, mapped ? ExtentList.load(this.#editor, inode) : undefined, false);
  }

  #add(inode: CheckedInode, map: ExtentList | undefined, fresh: boolean): OpenFile {
    const { clusterRatio } = this.#editor.superblock;
    const counted = inode.blockCount / this.#unitsPerBlock(inode);
    const own = map === undefined ? counted : this.#blocksOf(map);
    const attributes = inode.fileAcl === 0 ? 0 : clusterRatio;
    const file: OpenFile = {
      inode,
      map,
      before: map?.extents.slice() ?? [],
      otherBlocks: fresh ? attributes : Math.max(0, counted - own),
      directory: undefined,
      mapChanged: false,
    };
    this.#files.set(inode.ino, file);
    return file;
  }

  /** Blocks that data and map take. */
  #blocksOf(map: ExtentList): number {
    const { clusterRatio } = this.#editor.superblock;
    return (map.dataClusters(clusterRatio) + map.nodes.length) * clusterRatio;
  }

  /** The inode of an open file was set anew: its bytes are the same ones. */
  #update(file: OpenFile, inode: CheckedInode): void {
    file.inode = inode;
    if (file.directory !== undefined) file.directory.inode = inode;
  }

  #unitsPerBlock(inode: CheckedInode): number {
    return inode.isHuge ? 1 : this.#editor.superblock.blockSize / 512;
  }

  #setLinks(file: OpenFile, links: number): void {
    DI.linksCount.set(file.inode.view, 0, links);
    const { ino, bytes } = file.inode;
    this.#update(file, new CheckedInode(this.#editor.context, ino, bytes));
  }

  /** Deletes a file: its blocks, its attributes, its inode. */
  #free(file: OpenFile): void {
    const { ino, bytes, view, fileAcl } = file.inode;
    for (const { block, count } of [...file.before, ...(file.map?.extents ?? [])]) {
      this.#editor.markBlocks(block, count, false);
    }
    for (const node of file.map?.nodes ?? []) this.#editor.markBlocks(node, 1, false);
    if (fileAcl !== 0) this.#dropAttributes(fileAcl);
    const wasDirectory = this.#isStoredDirectory(ino);
    if (wasDirectory) this.#editor.countDirectory(ino, -1);
    const time = DI.ctime.get(view, 0);
    bytes.fill(0);
    DI.dtime.set(view, 0, time);
    this.#editor.storeInode(new CheckedInode(this.#editor.context, ino, bytes));
    this.#editor.markInode(ino, false);
    this.#files.delete(ino);
  }

  /** Whether the inode table holds a directory at that number, in use. */
  #isStoredDirectory(ino: number): boolean {
    return this.#editor.inode(ino)?.isDirectory === true;
  }

  #dropAttributes(block: number): void {
    if (!this.#editor.isInside(block, 1)) return;
    const view = this.#editor.edit(block, "attribute block");
    const references = Ext4XattrHeader.refcount.get(view, 0);
    if (references <= 1) this.#editor.markBlocks(block, 1, false);
    else this.#editor.setAttributeReferences(block, references - 1);
  }

  // Directories.

  #openDirectory(ino: number): ReplayDirectory | undefined {
    const file = this.#open(ino);
    return file === undefined ? undefined : this.#directoryOf(file);
  }

  /** Undefined for what is no directory, or keeps its entries in the inode. */
  #directoryOf(file: OpenFile): ReplayDirectory | undefined {
    if (!file.inode.isDirectory || file.map === undefined) return undefined;
    const allocate = (): number => {
      file.mapChanged = true;
      return this.#editor.allocate((block) => this.#reserved.has(block));
    };
    file.directory ??= new ReplayDirectory(this.#editor, file.inode, file.map, allocate);
    return file.directory;
  }

  /** Adds a name; false when it was there, or its directory is not. */
  #addName(parent: number, name: Uint8Array, file: OpenFile): boolean {
    const directory = this.#openDirectory(parent);
    if (directory === undefined || directory.find(name) !== undefined) return false;
    const type = ENTRY_TYPES[file.inode.mode >> 12] ?? 0;
    directory.addEntry(name, file.inode.ino, type);
    return true;
  }

  // The end.

  /** Stores every file, its map and what its blocks cost. */
  finish(): void {
    const changed = [...this.#files.values()].filter(({ mapChanged }) => mapChanged);
    for (const { before } of changed) {
      for (const { block, count } of before) this.#editor.markBlocks(block, count, false);
    }
    for (const { map } of changed) {
      for (const { block, count } of map?.extents ?? []) {
        this.#editor.markBlocks(block, count, true);
      }
    }
    for (const file of this.#files.values()) this.#store(file);
    this.#editor.finish();
  }

  #store(file: OpenFile): void {
    const { ino, bytes, view } = file.inode;
    const was = this.#isStoredDirectory(ino);
    if (file.directory !== undefined && !file.directory.isIndexed) {
      DI.flags.set(view, 0, (file.inode.flags & ~EXT4_INDEX_FL) >>> 0);
    }
    if (file.map !== undefined) this.#storeMap(file, file.map);
    this.#editor.markInode(ino, true);
    const is = file.inode.isDirectory;
    if (is !== was) this.#editor.countDirectory(ino, is ? 1 : -1);
    this.#editor.storeInode(new CheckedInode(this.#editor.context, ino, bytes));
  }

  #storeMap({ inode, otherBlocks }: OpenFile, map: ExtentList): void {
    map.store(this.#editor, inode, () => this.#editor.allocate(() => false));
    const count = (this.#blocksOf(map) + otherBlocks) * this.#unitsPerBlock(inode);
    DI.blocksLo.set(inode.view, 0, count % 2 ** 32);
    DI.blocksHigh.set(inode.view, 0, Math.floor(count / 2 ** 32));
    if (!inode.isDirectory) return;
    const size = map.end * this.#editor.superblock.blockSize;
    DI.sizeLo.set(inode.view, 0, size % 2 ** 32);
  }
}
