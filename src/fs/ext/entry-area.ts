/**
 * Directory entries that change: a leaf block without its checksum, or part of an inline directory.
 * All of it works on bytes alone; who keeps them, and their checksum, is the caller's business.
 *
 * @module
 */
import { Ext4DirEntry2 as DE } from "../../format/ext-directory.ts";
import { EXT4_FEATURE_INCOMPAT_FILETYPE } from "../../format/ext-superblock.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { EntryScanner, storedLength } from "./directory-entries.ts";
import { hasIncompat } from "./features.ts";
import type { Superblock } from "./superblock.ts";

const HEADER = sizeof(DE);

/** What a name leads to. */
export interface EntryTarget {
  readonly ino: number;
  /** One of `EXT4_FT_*`; not recorded where the filesystem has no `filetype`. */
  readonly type: number;
}

/** An entry taken out of its place. */
export interface NamedEntry extends EntryTarget {
  /** A copy. */
  readonly name: Uint8Array;
}

/** Where an entry stands. */
export interface EntryPlace extends EntryTarget {
  readonly at: number;
  /** Bytes up to the next entry. */
  readonly length: number;
  /** The entry before it in the same area; -1 for the first one. */
  readonly before: number;
}

/** Room for an entry: behind another one, or an unused one. */
export interface EntryRoom {
  readonly at: number;
  /** Bytes up to the next entry. */
  readonly length: number;
  /** How many of them the entry that is there needs. */
  readonly used: number;
}

/** Bytes that an entry takes whose name has `nameLength` bytes. */
export function entryLength(nameLength: number): number {
  return HEADER + ((nameLength + 3) & ~3);
}

/** Bytes `start` to below `limit`, which entries tile. */
export class EntryArea {
  readonly #superblock: Superblock;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #limit: number;
  readonly #where: string;

  /** `where` names the area in errors; `view` is of `bytes`. */
  constructor(
    superblock: Superblock,
    bytes: Uint8Array,
    start: number,
    limit: number,
    where: string,
    view: DataView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
  ) {
    this.#superblock = superblock;
    this.#bytes = bytes;
    this.#view = view;
    this.#start = start;
    this.#limit = limit;
    this.#where = where;
  }

  /** Where a name stands. @throws EUCLEAN */
  find(name: Uint8Array): EntryPlace | undefined {
    const scanner = this.#scan();
    for (let before = -1; scanner.next(); before = scanner.at) {
      if (!scanner.matches(name)) continue;
      const { at, length, inode: ino, fileType: type } = scanner;
      return { at, length, before, ino, type };
    }
    return undefined;
  }

  /** Whether there is room for a name. @throws EEXIST when the area has the name, EUCLEAN */
  hasRoom(name: Uint8Array): boolean {
    return this.room(name) !== undefined;
  }

  /**
   * Puts a name where the first room for it is; false when there is none. Other entries stay where
   * they are. @throws EEXIST when the area has the name, EUCLEAN
   */
  add(name: Uint8Array, target: EntryTarget): boolean {
    const room = this.room(name);
    if (room !== undefined) this.put(room, name, target);
    return room !== undefined;
  }

  /** Puts a name where {@link room} found room for it; nothing has changed since. */
  put({ at, length, used }: EntryRoom, name: Uint8Array, target: EntryTarget): void {
    if (used > 0) this.#setLength(at, used);
    this.#put(at + used, length - used, name, target);
  }

  /** Takes out the entry at `place`: the one before it grows over it. */
  remove({ at, length, before }: EntryPlace): void {
    if (before < 0) {
      // The name goes too: an empty entry must not look like a node of a hash tree.
      this.#bytes.fill(0, at, at + 4);
      this.#bytes.fill(0, at + DE.nameLen.offset, at + length);
      return;
    }
    this.#bytes.fill(0, at, at + length);
    this.#setLength(before, at + length - before);
  }

  /** Lets the entry at `at` lead elsewhere. */
  replace(at: number, { ino, type }: EntryTarget): void {
    DE.inode.set(this.#view, at, ino);
    if (this.#typed) DE.fileType.set(this.#view, at, type);
  }

  /** Copies of the entries in use, in their order; `from` is where the first of them may start. */
  list(from = this.#start): NamedEntry[] {
    const list: NamedEntry[] = [];
    const scanner = this.#scan();
    while (scanner.next()) {
      if (scanner.inode === 0 || scanner.at < from) continue;
      list.push({ name: scanner.name().slice(), ino: scanner.inode, type: scanner.fileType });
    }
    return list;
  }

  /** Makes these the entries of the area, one behind the other; they have to fit. */
  setEntries(entries: readonly NamedEntry[]): void {
    this.#bytes.fill(0, this.#start, this.#limit);
    let at = this.#start;
    for (const [i, { name, ...target }] of entries.entries()) {
      const last = i === entries.length - 1;
      const length = last ? this.#limit - at : entryLength(name.length);
      assert(at + entryLength(name.length) <= this.#limit, "entries that do not fit");
      this.#put(at, length, name, target);
      at += length;
    }
    if (entries.length === 0) this.#setLength(this.#start, this.#limit - this.#start);
  }

  /**
   * Moves the entries together, and puts one behind them; false, and nothing has changed, when they
   * do not fit even so.
   */
  squeezeIn(added: NamedEntry): boolean {
    const entries = [...this.list(), added];
    const wanted = entries.reduce((sum, { name }) => sum + entryLength(name.length), 0);
    if (wanted > this.#limit - this.#start) return false;
    this.setEntries(entries);
    return true;
  }

  /** The area is longer than it was, when it ended at `limit`: so is its last entry. */
  extendFrom(limit: number): void {
    const { at, length } = this.#lastBefore(limit);
    this.#bytes.fill(0, limit, this.#limit);
    this.#setLength(at, length + this.#limit - limit);
  }

  /** The first room for a name. @throws EEXIST when the area has the name, EUCLEAN */
  room(name: Uint8Array): EntryRoom | undefined {
    const wanted = entryLength(name.length);
    const scanner = this.#scan();
    let room: EntryRoom | undefined;
    while (scanner.next()) {
      if (scanner.matches(name)) throw exists(name);
      if (room !== undefined) continue;
      const { at, length } = scanner;
      const used = scanner.inode === 0 ? 0 : entryLength(scanner.nameLength);
      if (length - used >= wanted) room = { at, length, used };
    }
    return room;
  }

  #lastBefore(limit: number): { at: number; length: number } {
    let last = { at: this.#start, length: 0 };
    const scanner = this.#scan(limit);
    while (scanner.next()) last = { at: scanner.at, length: scanner.length };
    return last;
  }

  get #typed(): boolean {
    return hasIncompat(this.#superblock, EXT4_FEATURE_INCOMPAT_FILETYPE);
  }

  #scan(limit = this.#limit): EntryScanner {
    const bytes = this.#bytes;
    return new EntryScanner(this.#superblock, bytes, this.#view, this.#start, limit, this.#where);
  }

  #setLength(at: number, length: number): void {
    DE.recLen.set(this.#view, at, storedLength(length, this.#superblock.blockSize));
  }

  #put(at: number, length: number, name: Uint8Array, { ino, type }: EntryTarget): void {
    const view = this.#view;
    DE.inode.set(view, at, ino);
    this.#setLength(at, length);
    // Without types the length of a name has 16 bits; it is below 256, so the upper half is 0.
    DE.nameLen.set(view, at, name.length);
    DE.fileType.set(view, at, this.#typed ? type : 0);
    this.#bytes.set(name, at + HEADER);
    this.#bytes.fill(0, at + HEADER + name.length, at + entryLength(name.length));
  }
}

function exists(name: Uint8Array): DaxError {
  return new DaxError("EEXIST", {
    detail: `the directory has ${JSON.stringify(decodeUtf8(name))}`,
  });
}
