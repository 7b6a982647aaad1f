/**
 * Entries put into directories and taken out of them, in memory. A directory with a hash index
 * loses it when an entry has to go in: a linear one shows the same names.
 *
 * @module
 */
import {
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  DxRootInfo,
  EXT4_FT_DIR,
  EXT4_FT_DIR_CSUM,
  Ext4DirEntry2 as DE,
  Ext4DirEntryTail as TAIL,
} from "../../format/ext-directory.ts";
import { EXT4_INDEX_FL, Ext4Inode as DI } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_FILETYPE } from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { indexKind } from "./check-htree.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { corrupt } from "./corruption.ts";
import type { ReplayEditor } from "./replay-editor.ts";
import type { ExtentList } from "./replay-extents.ts";

const HEADER = sizeof(DE);

/** Names that are remembered of one directory. */
const MOST_NAMES = 1 << 23;

/** One directory that is being changed. */
export class ReplayDirectory {
  /** Replaced when a record sets the inode anew. */
  inode: CheckedInode;
  readonly map: ExtentList;
  readonly #editor: ReplayEditor;
  /** A free block for the directory to grow by. */
  readonly #allocate: () => number;
  /** Where each name leads, and the logical block that it stands in. */
  readonly #names = new Map<string, { ino: number; logical: number }>();
  /** The longest entry that fits into each block. */
  readonly #rooms: number[] = [];
  #indexed: boolean;

  /** Reads the whole directory. @throws EUCLEAN for entries that make no sense, EIO */
  constructor(editor: ReplayEditor, inode: CheckedInode, map: ExtentList, allocate: () => number) {
    this.#editor = editor;
    this.inode = inode;
    this.map = map;
    this.#allocate = allocate;
    this.#indexed = inode.has(EXT4_INDEX_FL);
    for (const { logical, view } of this.#blocks()) this.#scan(logical, view);
  }

  /** Whether the directory has a hash index. */
  get isIndexed(): boolean {
    return this.#indexed;
  }

  get #blockSize(): number {
    return this.#editor.superblock.blockSize;
  }

  /** Bytes of a leaf that entries may fill. */
  get #room(): number {
    return this.#blockSize - (this.#editor.superblock.metadataCsum ? sizeof(TAIL) : 0);
  }

  /** The inode that a name leads to. */
  find(name: Uint8Array): number | undefined {
    return this.#names.get(decodeUtf8(name))?.ino;
  }

  /** Takes a name out, as Linux does: the entry before it grows over it. */
  removeEntry(name: Uint8Array): void {
    const known = this.#names.get(decodeUtf8(name));
    if (known === undefined) return;
    const view = this.#edit(known.logical);
    let before: number | undefined;
    for (const at of this.#entries(view)) {
      if (DE.inode.get(view, at) !== 0 && hasName(view, at, name)) {
        const length = DE.recLen.get(view, at);
        if (before === undefined) DE.inode.set(view, at, 0);
        else DE.recLen.set(view, before, DE.recLen.get(view, before) + length);
        break;
      }
      before = at;
    }
    this.#seal(view);
    this.#names.delete(decodeUtf8(name));
    this.#scan(known.logical, view);
  }

  /** Puts a name in, where there is room or into a new block. */
  addEntry(name: Uint8Array, ino: number, fileType: number): void {
    if (this.#indexed) this.#dropIndex();
    const wanted = needed(name.length);
    let logical = this.#rooms.findIndex((room) => room >= wanted);
    if (logical === -1) {
      logical = this.map.end;
      DE.recLen.set(this.#append(), 0, this.#room);
    }
    const view = this.#edit(logical);
    for (const at of this.#entries(view)) {
      if (DE.recLen.get(view, at) - this.#used(view, at) < wanted) continue;
      this.#put(view, at, name, ino, fileType);
      break;
    }
    this.#seal(view);
    this.#scan(logical, view);
  }

  /** Makes the first block of a new directory. */
  initialise(parent: number): void {
    const view = this.#append();
    DE.recLen.set(view, 0, this.#room);
    this.#put(view, 0, Uint8Array.of(46), this.inode.ino, EXT4_FT_DIR);
    this.#put(view, 0, Uint8Array.of(46, 46), parent, EXT4_FT_DIR);
    this.#seal(view);
    this.#scan(0, view);
  }

  /** Notes the names of a block and the room in it. */
  #scan(logical: number, view: DataView): void {
    let room = 0;
    for (const at of this.#entries(view)) {
      room = Math.max(room, DE.recLen.get(view, at) - this.#used(view, at));
      const ino = DE.inode.get(view, at);
      if (ino === 0) continue;
      const bytes = new Uint8Array(
        view.buffer as ArrayBuffer,
        at + HEADER,
        DE.nameLen.get(view, at),
      );
      this.#names.set(decodeUtf8(bytes), { ino, logical });
    }
    if (this.#names.size > MOST_NAMES) throw this.#corrupt("number of names", "it is too large");
    if (logical > this.#rooms.length)
      throw this.#corrupt(`block ${this.#rooms.length}`, "is a hole");
    this.#rooms[logical] = this.#indexed ? 0 : room;
  }

  *#blocks(): Generator<{ logical: number; view: DataView<ArrayBuffer> }> {
    for (const { logical, block, count } of this.map.extents) {
      for (let i = 0; i < count; i++) {
        yield { logical: logical + i, view: this.#editor.context.read(block + i, "directory") };
      }
    }
  }

  #edit(logical: number): DataView<ArrayBuffer> {
    const block = this.map.blockOf(logical);
    if (block === undefined) throw this.#corrupt(`block ${logical}`, "is not mapped");
    return this.#editor.edit(block, "directory");
  }

  #corrupt(what: string, rule: string): Error {
    return corrupt(
      `directory ${this.inode.ino}`,
      what,
      "damaged",
      `${rule}, but a fast commit needs it`,
    );
  }

  /** Starts of the entries of a block, the checksum's fake entry left out. */
  *#entries(view: DataView): Generator<number> {
    const end = this.#room;
    for (let at = 0; at < end;) {
      const length = at + HEADER <= end ? DE.recLen.get(view, at) : 0;
      const fits = length >= HEADER && length % 4 === 0 && at + length <= view.byteLength;
      if (!fits || HEADER + DE.nameLen.get(view, at) > length) {
        throw this.#corrupt(`entry at byte ${at}`, "its length is impossible");
      }
      yield at;
      at += length;
    }
  }

  /** Bytes of an entry that are not free for another. */
  #used(view: DataView, at: number): number {
    return DE.inode.get(view, at) === 0 ? 0 : needed(DE.nameLen.get(view, at));
  }

  /** Splits the entry at `at`, and puts the new one into its free part. */
  #put(view: DataView, at: number, name: Uint8Array, ino: number, fileType: number): void {
    const used = this.#used(view, at);
    const length = DE.recLen.get(view, at);
    if (used > 0) DE.recLen.set(view, at, used);
    const place = at + used;
    DE.inode.set(view, place, ino);
    DE.recLen.set(view, place, length - used);
    DE.nameLen.set(view, place, name.length);
    const typed = this.#editor.context.incompat(EXT4_FEATURE_INCOMPAT_FILETYPE);
    DE.fileType.set(view, place, typed ? fileType : 0);
    const bytes = new Uint8Array(view.buffer as ArrayBuffer);
    bytes.fill(0, place + HEADER, place + needed(name.length));
    bytes.set(name, place + HEADER);
  }

  /** The checksum of a leaf, where there is one. */
  #seal(view: DataView<ArrayBuffer>): void {
    if (!this.#editor.superblock.metadataCsum) return;
    const at = this.#room;
    new Uint8Array(view.buffer).fill(0, at);
    TAIL.recLen.set(view, at, sizeof(TAIL));
    TAIL.reservedFt.set(view, at, EXT4_FT_DIR_CSUM);
    TAIL.checksum.set(view, at, crc32c(this.inode.seed, new Uint8Array(view.buffer, 0, at)));
  }

  /** One more block at the end, zeroed. */
  #append(): DataView<ArrayBuffer> {
    const logical = this.map.end;
    const block = this.#allocate();
    this.map.add({ logical, block, count: 1, unwritten: false });
    const size = (logical + 1) * this.#blockSize;
    DI.sizeLo.set(this.inode.view, 0, size % 2 ** 32);
    return this.#editor.editFresh(block, "directory");
  }

  /** Makes the blocks of the index ordinary ones: the root keeps `.` and `..`, nodes are empty. */
  #dropIndex(): void {
    for (const { logical, view } of this.#blocks()) {
      const kind = indexKind(this.#editor.context, logical, view);
      if (kind === "leaf") continue;
      const edited = this.#edit(logical);
      const bytes = new Uint8Array(edited.buffer);
      if (kind === "root") {
        const info = DX_ROOT_INFO_OFFSET + DxRootInfo.infoLength.offset;
        if (bytes[info] === 0) throw this.#corrupt("index", "its root is empty");
        bytes.fill(0, DX_ROOT_INFO_OFFSET);
        DE.recLen.set(edited, 12, this.#room - 12);
      } else {
        bytes.fill(0, DX_NODE_COUNTLIMIT_OFFSET);
        DE.recLen.set(edited, 0, this.#room);
      }
      this.#seal(edited);
    }
    this.#indexed = false;
    for (const { logical, view } of this.#blocks()) this.#scan(logical, view);
  }
}

/** Bytes that an entry with a name of `length` bytes takes. */
function needed(length: number): number {
  return HEADER + ((length + 3) & ~3);
}

function hasName(view: DataView, at: number, name: Uint8Array): boolean {
  if (DE.nameLen.get(view, at) !== name.length) return false;
  for (const [i, byte] of name.entries()) {
    if (view.getUint8(at + HEADER + i) !== byte) return false;
  }
  return true;
}
