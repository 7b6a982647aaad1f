/**
 * Directories as such: names to inode numbers and lists of names, in blocks or inline.
 *
 * @module
 */
import { DX_HASH_TEA } from "../../format/ext-directory.ts";
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_COMPAT_DIR_INDEX } from "../../format/ext-superblock.ts";
import { isDaxError } from "../../lib/errno.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import type { DirectoryEntry } from "../../vfs/filesystem.ts";
import { S_IFDIR } from "../../vfs/modes.ts";
import { corrupt } from "./corruption.ts";
import { DirectoryBlocks } from "./directory-blocks.ts";
import { EntryScanner } from "./directory-entries.ts";
import { OrderedEntries, entriesByHash, walkIndex } from "./directory-order.ts";
import { typeBits } from "./directory-types.ts";
import { hasCompat } from "./features.ts";
import type { FileMap } from "./file-map.ts";
import { findHashed } from "./htree.ts";
import { readRootInfo } from "./htree-frames.ts";
import { inlineRest } from "./inline.ts";
import { I_BLOCK_SIZE, type InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

/** From how many blocks on it pays to note which ones were seen. */
const MANY = 64;

/** Where the third entry of a directory with blocks starts; inline ones count from there too. */
const FIRST_ENTRY = 24;
const DOT_DOT_AT = 12;

/**
 * What a directory answers. Where the filesystem has `dir_index`, cookies are made of hashes, and
 * hold while entries move: when the directory grows out of its inode or of its first block, and
 * when leaves are split. Elsewhere entries stay where they are, and a cookie is the byte of one,
 * plus one.
 */
export interface Directory {
  /** The inode number of `..`. */
  readonly parent: number;
  /** The inode number behind a name other than `.` and `..`; 0 when there is none. */
  lookup(name: Uint8Array): number;
  /** Entries behind a cookie, `.` and `..` first. */
  entries(cookie: number): Iterable<DirectoryEntry>;
}

/**
 * Opens a directory's inode. What is answered follows the record, the map and the blocks when these
 * change, also when the directory grows out of its inode. @throws EUCLEAN, EBADMSG, EIO
 */
export function openDirectory(volume: Volume, record: InodeRecord, map: FileMap): Directory {
  if (record.has(EXT4_INLINE_DATA_FL)) return new GrowingDirectory(volume, record, map);
  return new BlockDirectory(volume, new DirectoryBlocks(volume, record, map));
}

/** A directory that is inline, and may grow; it never shrinks back. */
class GrowingDirectory implements Directory {
  readonly #volume: Volume;
  readonly #record: InodeRecord;
  readonly #map: FileMap;
  #current: Directory;

  constructor(volume: Volume, record: InodeRecord, map: FileMap) {
    this.#volume = volume;
    this.#record = record;
    this.#map = map;
    this.#current = new InlineDirectory(volume, record);
  }

  get parent(): number {
    return this.#directory.parent;
  }

  lookup(name: Uint8Array): number {
    return this.#directory.lookup(name);
  }

  entries(cookie: number): Iterable<DirectoryEntry> {
    return this.#directory.entries(cookie);
  }

  get #directory(): Directory {
    const grown =
      this.#current instanceof InlineDirectory && !this.#record.has(EXT4_INLINE_DATA_FL);
    if (grown) {
      const blocks = new DirectoryBlocks(this.#volume, this.#record, this.#map);
      this.#current = new BlockDirectory(this.#volume, blocks);
    }
    return this.#current;
  }
}

function toEntry(scanner: EntryScanner, base: number): DirectoryEntry {
  return {
    name: decodeUtf8(scanner.name()),
    ino: scanner.inode,
    type: typeBits(scanner.fileType),
    cookie: base + scanner.at + 1,
  };
}

function search(scanner: EntryScanner, name: Uint8Array): number {
  while (scanner.next()) if (scanner.matches(name)) return scanner.inode;
  return 0;
}

class BlockDirectory implements Directory {
  readonly #volume: Volume;
  readonly #blocks: DirectoryBlocks;
  /** Whether the index was found to be in order, and is kept so. */
  #walked = false;

  constructor(volume: Volume, blocks: DirectoryBlocks) {
    this.#volume = volume;
    this.#blocks = blocks;
    this.#readParent();
  }

  get parent(): number {
    return this.#readParent();
  }

  #readParent(): number {
    const blocks = this.#blocks;
    const scanner = blocks.scan(blocks.get(0), 0);
    const { ino } = blocks.record;
    const where = blocks.where(0);
    if (!scanner.next() || !scanner.matches(DOT) || scanner.inode !== ino) {
      throw corrupt(where, "first entry", "not '.'", `it must be '.' with inode ${ino}`);
    }
    if (!scanner.next() || !scanner.matches(DOT_DOT)) {
      throw corrupt(where, "second entry", "not '..'", "it must name the parent");
    }
    return scanner.inode;
  }

  lookup(name: Uint8Array): number {
    if (!this.#blocks.isIndexed) return this.#lookupLinear(name);
    try {
      return findHashed(this.#blocks, name)?.ino ?? 0;
    } catch (error) {
      this.#fallBack(error);
      return this.#lookupLinear(name);
    }
  }

  /** As Linux: without checksums the entries themselves may still be good. */
  #fallBack(error: unknown): void {
    if (this.#volume.superblock.metadataCsum || !isDaxError(error, "EUCLEAN")) throw error;
    const { ino } = this.#blocks.record;
    this.#volume.trace.event("ext.htree.fallback", { ino, reason: error.message });
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
    const version = this.#order();
    if (version === undefined) {
      yield* this.#byPlace(cookie);
      return;
    }
    yield* dots(this.#blocks.record.ino, this.parent, cookie);
    if (this.#blocks.isIndexed) {
      yield* entriesByHash(this.#blocks, version, cookie);
      return;
    }
    const batch = new OrderedEntries(this.#volume.superblock, version, cookie);
    batch.collect(this.#blocks.scan(this.#blocks.get(0), 0), FIRST_ENTRY);
    yield* batch.take();
  }

  /** The hash by which entries are listed; undefined when they are as they stand. */
  #order(): number | undefined {
    const version = orderOf(this.#volume);
    if (version === undefined || (!this.#blocks.isIndexed && this.#blocks.count > 1)) {
      return undefined;
    }
    if (!this.#blocks.isIndexed) return version;
    if (this.#volume.superblock.metadataCsum) return readRootInfo(this.#blocks).version;
    try {
      if (!this.#walked) walkIndex(this.#blocks);
      this.#walked = true;
      return readRootInfo(this.#blocks).version;
    } catch (error) {
      this.#fallBack(error);
      return undefined;
    }
  }

  *#byPlace(cookie: number): Generator<DirectoryEntry> {
    const { blockSize } = this.#volume.superblock;
    const seen = new SeenBlocks(this.#blocks);
    const start = Math.floor(Math.max(cookie - 1, 0) / blockSize);
    for (let index = start; index < this.#blocks.count; index++) {
      seen.note(index);
      const base = index * blockSize;
      const scanner = this.#blocks.scan(this.#blocks.get(index), index);
      // All of a block at once: it may change between two steps.
      const entries: DirectoryEntry[] = [];
      while (scanner.next()) {
        if (scanner.inode !== 0 && base + scanner.at >= cookie) {
          entries.push(toEntry(scanner, base));
        }
      }
      yield* entries;
    }
  }
}

/** The hash by which a filesystem's directories are listed; undefined when by place. */
function orderOf({ superblock }: Volume): number | undefined {
  const { defHashVersion } = superblock;
  const ordered = hasCompat(superblock, EXT4_FEATURE_COMPAT_DIR_INDEX);
  return ordered && defHashVersion <= DX_HASH_TEA ? defHashVersion : undefined;
}

function* dots(ino: number, parent: number, cookie: number, last = 2): Generator<DirectoryEntry> {
  const type = S_IFDIR >> 12;
  if (cookie < 1) yield { name: ".", ino, type, cookie: 1 };
  if (cookie < last) yield { name: "..", ino: parent, type, cookie: last };
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
 * An inline directory keeps its parent in the first word of `i_block`; `.` and `..` are not stored.
 * Its entries go on in an attribute. Cookies are the ones that its entries have in a block later.
 */
class InlineDirectory implements Directory {
  readonly #volume: Volume;
  readonly #record: InodeRecord;

  constructor(volume: Volume, record: InodeRecord) {
    this.#volume = volume;
    this.#record = record;
  }

  get parent(): number {
    return this.#record.blockWord(0);
  }

  lookup(name: Uint8Array): number {
    for (const { scanner } of this.#parts()) {
      const ino = search(scanner, name);
      if (ino !== 0) return ino;
    }
    return 0;
  }

  *entries(cookie: number): Generator<DirectoryEntry> {
    const version = orderOf(this.#volume);
    const { ino } = this.#record;
    yield* dots(ino, this.parent, cookie, version === undefined ? DOT_DOT_AT + 1 : 2);
    if (version === undefined) {
      yield* this.#byPlace(cookie);
      return;
    }
    const batch = new OrderedEntries(this.#volume.superblock, version, cookie);
    for (const { scanner } of this.#parts()) batch.collect(scanner);
    yield* batch.take();
  }

  #byPlace(cookie: number): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (const { scanner, base } of this.#parts()) {
      while (scanner.next()) {
        if (scanner.inode !== 0 && base + scanner.at >= cookie) {
          entries.push(toEntry(scanner, base));
        }
      }
    }
    return entries;
  }

  /** Both areas; no entry spans them. */
  *#parts(): Generator<{ scanner: EntryScanner; base: number }> {
    const { superblock } = this.#volume;
    const where = `inode ${this.#record.ino} inline directory`;
    const first = this.#record.blockBytes();
    const view = viewOf(first);
    const moved = FIRST_ENTRY - 4;
    yield {
      scanner: new EntryScanner(superblock, first, view, 4, I_BLOCK_SIZE, where),
      base: moved,
    };
    const rest = inlineRest(this.#volume, this.#record);
    const end = rest.length;
    const scanner = new EntryScanner(superblock, rest, viewOf(rest), 0, end, `${where} rest`);
    yield { scanner, base: moved + I_BLOCK_SIZE };
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
