/**
 * Check of directory entries: their lengths, their names, the inodes that they lead to.
 *
 * @module
 */
import {
  EXT4_FT_DIR,
  EXT4_FT_REG_FILE,
  EXT4_FT_SYMLINK,
  Ext4DirEntry2 as DE,
} from "../../format/ext-directory.ts";
import { EXT4_CASEFOLD_FL, EXT4_ROOT_INO } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import type { CheckContext } from "./check-context.ts";
import { checkEncryptedEntry } from "./check-encryption.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { readInode } from "./check-inode-table.ts";
import { hashName } from "./hash.ts";

const HEADER = 8;
/** `encodingFlags`: names must be right in the encoding. */
const EXT4_ENC_STRICT_MODE_FL = 1;

/** One entry, as far as it can be believed. */
interface Entry {
  readonly ino: number;
  readonly name: Uint8Array;
  readonly fileType: number;
  readonly length: number;
  /** The byte behind the name. */
  readonly after: number;
}

/** What kind of block the entries stand in. */
export interface EntryPlace {
  /** The first two entries have to be `.` and `..`. */
  readonly dots: boolean;
  /** With an index: the version of its hash, and who is told each name's. */
  readonly version?: number | undefined;
  readonly note?: ((hash: number) => void) | undefined;
}

/** The types in directory entries by the type bits of a mode. */
const TYPE_OF_MODE = [0, 5, 3, 0, EXT4_FT_DIR, 0, 4, 0, EXT4_FT_REG_FILE, 0, EXT4_FT_SYMLINK, 0, 6];

/** Checks the entries of one directory. */
export class EntryCheck {
  readonly #context: CheckContext;
  readonly #inode: CheckedInode;
  /** Index in the table of directories. */
  readonly #index: number;

  constructor(context: CheckContext, inode: CheckedInode, index: number) {
    this.#context = context;
    this.#inode = inode;
    this.#index = index;
  }

  /** Names that differ only in case are the same here. */
  get #folds(): boolean {
    return (
      this.#inode.has(EXT4_CASEFOLD_FL) && this.#context.incompat(EXT4_FEATURE_INCOMPAT_CASEFOLD)
    );
  }

  /** Checks the entries that fill `bytes`. */
  check(bytes: Uint8Array, logical: number, place: EntryPlace): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const names = new Set<string>();
    let at = 0;
    let position = place.dots ? 0 : 2;
    while (at < bytes.length) {
      const entry = this.#read(bytes, view, at);
      const where = `directory ${this.#inode.ino} block ${logical} byte ${at}`;
      if (entry === undefined) {
        const text = "the entry's length is impossible";
        this.#context.error("ext.directory.entry", where, text);
        return;
      }
      this.#entry(entry, position, where, names);
      if (entry.ino !== 0 && place.note !== undefined && position >= 0) {
        this.#hash(entry.name, place);
      }
      at += entry.length;
      position++;
    }
    if (position < 2) this.missingDots();
  }

  /** The entries that an inline directory has without storing them. */
  inlineDots(parent: number): void {
    const where = `directory ${this.#inode.ino}`;
    this.#count(this.#inode.ino);
    this.#context.directories.setDotdot(this.#index, parent);
    const dotdot = { ino: parent, name: Uint8Array.of(46, 46), fileType: EXT4_FT_DIR };
    if (this.#target(dotdot, where)) this.#count(parent);
  }

  /** Reports that `.` or `..` is missing. */
  missingDots(): void {
    const text = "the entries . and .. are not both there";
    this.#context.error("ext.directory.dot", this.#inode.where, text);
  }

  #read(bytes: Uint8Array, view: DataView, at: number): Entry | undefined {
    const left = bytes.length - at;
    if (left < HEADER) return undefined;
    const { blockSize } = this.#context.superblock;
    const length = recordLength(DE.recLen.get(view, at), blockSize);
    const nameLength = DE.nameLen.get(view, at);
    const fileType = DE.fileType.get(view, at);
    if (length > left || length < 12 || length % 4 !== 0) return undefined;
    if (HEADER + nameLength > length) return undefined;
    const name = bytes.subarray(at + HEADER, at + HEADER + nameLength);
    const after = bytes[at + HEADER + nameLength] ?? 0;
    return { ino: DE.inode.get(view, at), name, fileType, length, after };
  }

  #hash(name: Uint8Array, place: EntryPlace): void {
    const { hashSeed } = this.#context.superblock;
    const text = this.#folds ? folded(name) : name;
    const hashed = text && hashName(text, place.version ?? -1, hashSeed);
    if (hashed !== undefined) place.note?.(hashed.hash);
  }

  #entry(entry: Entry, position: number, where: string, names: Set<string>): void {
    if (position === 0) this.#dot(entry, where);
    else if (position === 1) this.#dotdot(entry, where);
    if (entry.ino === 0) return;
    if (position >= 2 && !this.#ordinary(entry, where)) return;
    if (!this.#target(entry, where)) return;
    this.#nameFaults(entry, where);
    if (position >= 2) {
      checkEncryptedEntry(this.#context, this.#inode.ino, entry, where);
      this.#childDirectory(entry, where);
    }
    const name = decodeUtf8(entry.name);
    if (names.has(name)) {
      this.#context.error(
        "ext.directory.name",
        where,
        `the name ${quoted(entry.name)} is there twice`,
      );
    }
    names.add(name);
    this.#count(entry.ino);
  }

  #dot(entry: Entry, where: string): void {
    const report = (text: string): void => this.#context.error("ext.directory.dot", where, text);
    if (entry.ino === 0 || entry.name.length !== 1 || entry.name[0] !== 46) {
      report(`the first entry is ${quoted(entry.name)}, expected .`);
    } else if (entry.ino !== this.#inode.ino) {
      report(`. leads to inode ${entry.ino}, expected ${this.#inode.ino}`);
    } else if (entry.after !== 0) report("the name . is not followed by a zero byte");
    if (entry.length > 24) report(`the entry . has ${entry.length} bytes, expected 12`);
  }

  #dotdot(entry: Entry, where: string): void {
    const [first, second] = entry.name;
    if (entry.ino === 0 || entry.name.length !== 2 || first !== 46 || second !== 46) {
      const text = `the second entry is ${quoted(entry.name)}, expected ..`;
      this.#context.error("ext.directory.dot", where, text);
      return;
    }
    if (entry.after !== 0) {
      const text = "the name .. is not followed by a zero byte";
      this.#context.error("ext.directory.dot", where, text);
      return;
    }
    this.#context.directories.setDotdot(this.#index, entry.ino);
  }

  /** Rules for every entry but the first two. */
  #ordinary(entry: Entry, where: string): boolean {
    const report = (text: string): void => this.#context.error("ext.directory.entry", where, text);
    const { name, ino } = entry;
    if (name.length === 0) report("the name is empty");
    if (name.length === 1 && name[0] === 46) report("a second entry .");
    if (name.length === 2 && name[0] === 46 && name[1] === 46) report("a second entry ..");
    if (ino === this.#inode.ino) {
      report(`${quoted(name)} leads to the directory itself`);
      return false;
    }
    if (ino === EXT4_ROOT_INO) report(`${quoted(name)} leads to the root directory`);
    return true;
  }

  /** Whether the entry leads to an inode that can be there; else it does not count. */
  #target(entry: Pick<Entry, "ino" | "name" | "fileType">, where: string): boolean {
    const context = this.#context;
    const { ino } = entry;
    if (!isListable(context, ino)) {
      const text = `${quoted(entry.name)} leads to inode ${ino}, which no entry may lead to`;
      context.error("ext.directory.inode", where, text);
      return false;
    }
    if (!context.inodesUsed.has(ino - 1) && !context.orphans.has(ino - 1)) {
      const text = `${quoted(entry.name)} leads to inode ${ino}, which is not in use`;
      context.error("ext.directory.inode", where, text);
    }
    this.#fileType(entry, where);
    return true;
  }

  /** Type 0 says nothing, and is no fault. */
  #fileType(entry: Pick<Entry, "ino" | "name" | "fileType">, where: string): void {
    const context = this.#context;
    if (entry.fileType === 0) return;
    const typed = context.incompat(EXT4_FEATURE_INCOMPAT_FILETYPE);
    const expected = typed ? this.#typeOf(entry.ino) : 0;
    if (expected === undefined || entry.fileType === expected) return;
    const text = `${quoted(entry.name)} has file type ${entry.fileType}, expected ${expected}`;
    context.error("ext.directory.type", where, text);
  }

  #typeOf(ino: number): number | undefined {
    const context = this.#context;
    if (context.inodesDirectory.has(ino - 1)) return EXT4_FT_DIR;
    if (context.inodesRegular.has(ino - 1)) return EXT4_FT_REG_FILE;
    const inode = readInode(context, ino);
    return inode === undefined ? undefined : (TYPE_OF_MODE[inode.mode >> 12] ?? 0);
  }

  #nameFaults(entry: Entry, where: string): void {
    const context = this.#context;
    if (context.policies.has(this.#inode.ino)) return;
    const strict = SB.encodingFlags.get(context.raw, 0) & EXT4_ENC_STRICT_MODE_FL;
    if (strict !== 0 && this.#folds && !isUtf8(entry.name)) {
      const text = `the name ${quoted(entry.name)} is no UTF-8, in a directory without case`;
      context.error("ext.directory.name", where, text);
    }
    if (!entry.name.includes(0) && !entry.name.includes(47)) return;
    const text = `the name ${quoted(entry.name)} holds a slash or a zero byte`;
    context.error("ext.directory.name", where, text);
  }

  /** A directory has one parent. */
  #childDirectory(entry: Entry, where: string): void {
    const { directories } = this.#context;
    const child = directories.find(entry.ino);
    if (child < 0) return;
    const parent = directories.parent(child);
    if (parent === 0) {
      directories.setParent(child, this.#inode.ino);
      return;
    }
    const text = `${quoted(entry.name)} leads to directory ${entry.ino}, which ${parent} has too`;
    this.#context.error("ext.directory.parent", where, text);
  }

  #count(ino: number): void {
    this.#context.links.increment(ino - 1);
  }
}

/** 64 KiB blocks write lengths that 16 bits do not hold. */
function recordLength(stored: number, blockSize: number): number {
  if (blockSize < 65536) return stored;
  if (stored === 0 || stored === 65535) return blockSize;
  return (stored & 65532) | ((stored & 3) << 16);
}

function isListable(context: CheckContext, ino: number): boolean {
  const { firstIno, usrQuotaInum, grpQuotaInum, prjQuotaInum, orphanFileInum } = context.superblock;
  if (ino === EXT4_ROOT_INO) return true;
  if (ino < firstIno || !context.isInode(ino)) return false;
  const hidden = [usrQuotaInum, grpQuotaInum, prjQuotaInum, orphanFileInum];
  return !hidden.includes(ino);
}

/** A name without case; undefined where that takes the tables of Unicode. Other bytes stay. */
function folded(name: Uint8Array): Uint8Array | undefined {
  if (name.some((byte) => byte >= 0x80)) return isUtf8(name) ? undefined : name;
  return name.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));
}

function isUtf8(name: Uint8Array): boolean {
  const again = encodeUtf8(decodeUtf8(name));
  return again.length === name.length && again.every((byte, i) => byte === name[i]);
}

/** A name as messages show it. */
function quoted(name: Uint8Array): string {
  return JSON.stringify(decodeUtf8(name.subarray(0, 64)));
}
