/**
 * Directories as such: names to inode numbers and lists of names, in blocks or inline.
 *
 * @module
 */
import {
  EXT4_FT_BLKDEV,
  EXT4_FT_CHRDEV,
  EXT4_FT_DIR,
  EXT4_FT_FIFO,
  EXT4_FT_REG_FILE,
  EXT4_FT_SOCK,
  EXT4_FT_SYMLINK,
} from "../../format/ext-directory.ts";
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { isDaxError } from "../../lib/errno.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import type { DirectoryEntry } from "../../vfs/filesystem.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from "../../vfs/modes.ts";
import { corrupt } from "./corruption.ts";
import { DirectoryBlocks } from "./directory-blocks.ts";
import { EntryScanner } from "./directory-entries.ts";
import type { FileMap } from "./file-map.ts";
import { lookupHashed } from "./htree.ts";
import { inlineRest } from "./inline.ts";
import { I_BLOCK_SIZE, type InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";

/** `st_mode >> 12` by the type that entries record. */
const TYPES: Readonly<Record<number, number>> = {
  [EXT4_FT_REG_FILE]: S_IFREG >> 12,
  [EXT4_FT_DIR]: S_IFDIR >> 12,
  [EXT4_FT_CHRDEV]: S_IFCHR >> 12,
  [EXT4_FT_BLKDEV]: S_IFBLK >> 12,
  [EXT4_FT_FIFO]: S_IFIFO >> 12,
  [EXT4_FT_SOCK]: S_IFSOCK >> 12,
  [EXT4_FT_SYMLINK]: S_IFLNK >> 12,
};

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

/** From how many blocks on it pays to note which ones were seen. */
const MANY = 64;

/** What a directory answers. A cookie is the byte of an entry, plus one. */
export interface Directory {
  /** The inode number of `..`. */
  readonly parent: number;
  /** The inode number behind a name other than `.` and `..`; 0 when there is none. */
  lookup(name: Uint8Array): number;
  /** Entries behind a cookie, `.` and `..` first. */
  entries(cookie: number): Iterable<DirectoryEntry>;
}

/** Opens a directory's inode. @throws EUCLEAN, EBADMSG, EIO */
export function openDirectory(volume: Volume, record: InodeRecord, map: FileMap): Directory {
  if (record.has(EXT4_INLINE_DATA_FL)) return new InlineDirectory(volume, record);
  return new BlockDirectory(volume, new DirectoryBlocks(volume, record, map));
}

function toEntry(scanner: EntryScanner, base: number): DirectoryEntry {
  return {
    name: decodeUtf8(scanner.name()),
    ino: scanner.inode,
    type: TYPES[scanner.fileType] ?? 0,
    cookie: base + scanner.at + 1,
  };
}

function search(scanner: EntryScanner, name: Uint8Array): number {
  while (scanner.next()) if (scanner.matches(name)) return scanner.inode;
  return 0;
}

class BlockDirectory implements Directory {
  readonly parent: number;
  readonly #volume: Volume;
  readonly #blocks: DirectoryBlocks;

  constructor(volume: Volume, blocks: DirectoryBlocks) {
    this.#volume = volume;
    this.#blocks = blocks;
    const scanner = blocks.scan(blocks.get(0), 0);
    const { ino } = blocks.record;
    const where = blocks.where(0);
    if (!scanner.next() || !scanner.matches(DOT) || scanner.inode !== ino) {
      throw corrupt(where, "first entry", "not '.'", `it must be '.' with inode ${ino}`);
    }
    if (!scanner.next() || !scanner.matches(DOT_DOT)) {
      throw corrupt(where, "second entry", "not '..'", "it must name the parent");
    }
    this.parent = scanner.inode;
  }

  lookup(name: Uint8Array): number {
    if (!this.#blocks.isIndexed) return this.#lookupLinear(name);
    try {
      return lookupHashed(this.#blocks, name);
    } catch (error) {
      // As Linux: without checksums the entries themselves may still be good.
      if (this.#volume.superblock.metadataCsum || !isDaxError(error, "EUCLEAN")) throw error;
      const { ino } = this.#blocks.record;
      this.#volume.trace.event("ext.htree.fallback", { ino, reason: error.message });
      return this.#lookupLinear(name);
    }
  }

  #lookupLinear(name: Uint8Array): number {
    const seen = new SeenBlocks(this.#blocks);
    for (let index = 0; index < this.#blocks.count; index++) {
      seen.note(index);
      const ino = search(this.#blocks.scan(this.#blocks.get(index), index), name);
      if (ino !== 0) return ino;
    }
    return 0;
  }

  *entries(cookie: number): Generator<DirectoryEntry> {
    const { blockSize } = this.#volume.superblock;
    const seen = new SeenBlocks(this.#blocks);
    const start = Math.floor(Math.max(cookie - 1, 0) / blockSize);
    for (let index = start; index < this.#blocks.count; index++) {
      seen.note(index);
      const base = index * blockSize;
      const scanner = this.#blocks.scan(this.#blocks.get(index), index);
      while (scanner.next()) {
        if (scanner.inode !== 0 && base + scanner.at >= cookie) yield toEntry(scanner, base);
      }
    }
  }
}

/** Notices a block that a directory maps more than once, so that every walk ends. */
class SeenBlocks {
  readonly #blocks: DirectoryBlocks;
  readonly #numbers: Set<number> | undefined;

  constructor(blocks: DirectoryBlocks) {
    this.#blocks = blocks;
    this.#numbers = blocks.count > MANY ? new Set() : undefined;
  }

  note(index: number): void {
    if (this.#numbers === undefined) return;
    const number = this.#blocks.blockOf(index);
    if (this.#numbers.has(number)) {
      const where = this.#blocks.where(index);
      throw corrupt(where, "mapping", number, "another block of the directory lies there too");
    }
    this.#numbers.add(number);
  }
}

/**
 * An inline directory keeps its parent in the first word of `i_block`; `.` and `..` are not stored
 * and get cookies 1 and 2. Byte `i` of the directory is byte `i` of `i_block`, then of the rest.
 */
class InlineDirectory implements Directory {
  readonly parent: number;
  readonly #volume: Volume;
  readonly #record: InodeRecord;

  constructor(volume: Volume, record: InodeRecord) {
    this.#volume = volume;
    this.#record = record;
    this.parent = record.blockWord(0);
  }

  lookup(name: Uint8Array): number {
    for (const { scanner } of this.#parts()) {
      const ino = search(scanner, name);
      if (ino !== 0) return ino;
    }
    return 0;
  }

  *entries(cookie: number): Generator<DirectoryEntry> {
    const type = S_IFDIR >> 12;
    if (cookie < 1) yield { name: ".", ino: this.#record.ino, type, cookie: 1 };
    if (cookie < 2) yield { name: "..", ino: this.parent, type, cookie: 2 };
    for (const { scanner, base } of this.#parts()) {
      while (scanner.next()) {
        if (scanner.inode !== 0 && base + scanner.at >= cookie) yield toEntry(scanner, base);
      }
    }
  }

  /** Both areas; no entry spans them. */
  *#parts(): Generator<{ scanner: EntryScanner; base: number }> {
    const { superblock } = this.#volume;
    const where = `inode ${this.#record.ino} inline directory`;
    const first = this.#record.blockBytes();
    const view = viewOf(first);
    yield { scanner: new EntryScanner(superblock, first, view, 4, I_BLOCK_SIZE, where), base: 0 };
    const rest = inlineRest(this.#volume, this.#record);
    const end = rest.length;
    const scanner = new EntryScanner(superblock, rest, viewOf(rest), 0, end, `${where} rest`);
    yield { scanner, base: I_BLOCK_SIZE };
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
