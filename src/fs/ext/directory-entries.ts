/**
 * One run of directory entries: a leaf block without its checksum, or part of an inline directory.
 *
 * @module
 */
import {
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_MAX_BLOCK_SIZE,
} from "../../format/ext-superblock.ts";
import { EXT4_NAME_LEN, Ext4DirEntry2 } from "../../format/ext-directory.ts";
import { sizeof } from "../../lib/struct.ts";
import { corrupt } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import type { Superblock } from "./superblock.ts";

const { inode, recLen, nameLen, fileType } = Ext4DirEntry2;
const HEADER = sizeof(Ext4DirEntry2);
/** An entry with a name of one to four bytes. */
const SHORTEST = 12;
const SLASH = 0x2f;

/**
 * `rec_len` as a number of bytes. A block of 64 KiB does not fit 16 bits: 0 and 65535 stand for
 * it, and the two low bits of other lengths carry bits 16 and 17.
 */
export function recordLength(stored: number, blockSize: number): number {
  if (blockSize < EXT4_MAX_BLOCK_SIZE) return stored;
  if (stored === 0 || stored === 0xffff) return blockSize;
  return (stored & 0xfffc) | ((stored & 3) << 16);
}

/** The inverse of {@link recordLength}. */
export function storedLength(length: number, blockSize: number): number {
  if (blockSize < EXT4_MAX_BLOCK_SIZE) return length;
  return length >= EXT4_MAX_BLOCK_SIZE ? 0xffff : (length & 0xfffc) | (length >>> 16);
}

/** Walks the entries of bytes `start` to `limit`, which they must tile; `view` is of `bytes`. */
export class EntryScanner {
  readonly #superblock: Superblock;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #limit: number;
  readonly #where: string;
  readonly #wideNames: boolean;
  #next: number;

  /** Byte of the entry that `next` found. */
  at = 0;
  /** 0 for an unused entry. */
  inode = 0;
  nameStart = 0;
  nameLength = 0;
  /** As stored; 0 where the directory records none. */
  fileType = 0;
  /** Bytes up to the next entry. */
  length = 0;

  constructor(
    superblock: Superblock,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    limit: number,
    where: string,
  ) {
    this.#superblock = superblock;
    this.#bytes = bytes;
    this.#view = view;
    this.#next = start;
    this.#limit = limit;
    this.#where = where;
    this.#wideNames = !hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_FILETYPE);
  }

  /** Moves to the next entry, used or not; false at the end. @throws EUCLEAN */
  next(): boolean {
    const at = this.#next;
    const view = this.#view;
    if (at === this.#limit) return false;
    if (at + SHORTEST > this.#limit) this.#refuse(at, "offset", at, "no room for an entry");
    const length = recordLength(recLen.get(view, at), this.#superblock.blockSize);
    const nameLength = this.#wideNames
      ? view.getUint16(at + nameLen.offset, true)
      : nameLen.get(view, at);
    if (length < SHORTEST || length % 4 !== 0) {
      this.#refuse(at, "rec_len", length, "not a multiple of 4 from 12");
    }
    if (at + length > this.#limit) {
      this.#refuse(at, "rec_len", length, `only ${this.#limit - at} bytes are left`);
    }
    this.at = at;
    this.length = length;
    this.inode = inode.get(view, at);
    this.nameStart = at + HEADER;
    this.nameLength = nameLength;
    this.fileType = this.#wideNames ? 0 : fileType.get(view, at);
    this.#next = at + length;
    if (this.inode !== 0) this.#checkUsed(length);
    return true;
  }

  /** The name, aliasing the block. @throws EUCLEAN for one that no path can hold */
  name(): Uint8Array {
    const name = this.#bytes.subarray(this.nameStart, this.nameStart + this.nameLength);
    for (const byte of name) {
      if (byte === SLASH || byte === 0) {
        this.#refuse(this.at, "name", `with byte ${byte}`, "no name has a slash or a NUL");
      }
    }
    return name;
  }

  /** Whether the entry is in use and has this name. */
  matches(name: Uint8Array): boolean {
    if (this.inode === 0 || this.nameLength !== name.length) return false;
    const bytes = this.#bytes;
    const start = this.nameStart;
    for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false;
    return true;
  }

  #checkUsed(length: number): void {
    const { nameLength } = this;
    if (nameLength === 0 || nameLength > EXT4_NAME_LEN || HEADER + nameLength > length) {
      this.#refuse(this.at, "name_len", nameLength, `not from 1 to what ${length} bytes hold`);
    }
    if (this.inode > this.#superblock.inodes) {
      this.#refuse(this.at, "inode", this.inode, `there are ${this.#superblock.inodes}`);
    }
  }

  #refuse(at: number, field: string, value: number | string, rule: string): never {
    throw corrupt(`${this.#where} entry at byte ${at}`, field, value, rule);
  }
}
