/**
 * Extended attributes as bytes: lists laid out in an inode or a block, and the hashes that blocks
 * keep. Nothing here knows where the bytes come from.
 *
 * @module
 */
import {
  EXT4_XATTR_MAGIC,
  Ext4XattrEntry as XE,
  Ext4XattrHeader as XH,
} from "../../format/ext-xattr.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { corrupt } from "./corruption.ts";
import type { Superblock } from "./superblock.ts";
import type { XattrEntry } from "./xattr-entries.ts";

const ENTRY = sizeof(XE);
const HEADER = sizeof(XH);
/** The zero word that ends a list. */
const END = 4;

/** An attribute as it is to be stored. */
export interface Attribute {
  readonly nameIndex: number;
  /** Without the prefix that the index stands for. */
  readonly name: Uint8Array;
  /** Empty when an inode holds it. */
  readonly value: Uint8Array;
  readonly valueSize: number;
  /** The inode that holds the value; 0 when `value` does. */
  readonly valueInum: number;
  /** The hash of the value, of one that an inode holds; else 0. */
  readonly valueHash: number;
}

/** Copies of stored entries; those with values in inodes keep their hash as it is. */
export interface KeptAttribute extends Attribute {
  /** As stored; 0 for one to be computed. */
  readonly hash: number;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** An attribute that keeps its value beside its name. */
export function plainAttribute(
  nameIndex: number,
  name: Uint8Array,
  value: Uint8Array,
): KeptAttribute {
  return { nameIndex, name, value, valueSize: value.length, valueInum: 0, valueHash: 0, hash: 0 };
}

/** A stored entry, copied off its place. */
export function keepEntry(entry: XattrEntry): KeptAttribute {
  const { nameIndex, valueSize, valueInum, hash } = entry;
  const [name, value] = [entry.name.slice(), entry.value.slice()];
  return { nameIndex, name, value, valueSize, valueInum, valueHash: 0, hash };
}

/** Bytes that a list takes, its end included. */
export function listLength(list: readonly Attribute[]): number {
  return list.reduce((sum, one) => sum + attributeLength(one.name.length, one.value.length), END);
}

/** Bytes that one attribute takes, whose value stands beside it. */
export function attributeLength(nameLength: number, valueLength: number): number {
  return ENTRY + padded(nameLength) + padded(valueLength);
}

/** Where a list is put: entries from `first`, values below `limit`, counted from `origin`. */
export interface ListPlace {
  readonly first: number;
  readonly origin: number;
  readonly limit: number;
  /** Whether entries carry hashes. */
  readonly hashed: boolean;
}

/** Lays a list out that fits; what lies between names and values becomes zeros. */
export function writeList(
  bytes: Uint8Array,
  list: readonly KeptAttribute[],
  { first, origin, limit, hashed }: ListPlace,
): void {
  const length = listLength(list);
  if (length > limit - first) {
    // Values that somebody stored without their padding take more room than they had.
    throw corrupt("xattrs", "length", length, `there is room for ${limit - first}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  bytes.fill(0, first, limit);
  let [at, top] = [first, limit];
  for (const one of list) {
    const { name, value, nameIndex, valueInum, valueSize } = one;
    top -= padded(value.length);
    bytes.set(value, top);
    XE.nameLen.set(view, at, name.length);
    XE.nameIndex.set(view, at, nameIndex);
    XE.valueOffs.set(view, at, value.length > 0 ? top - origin : 0);
    XE.valueInum.set(view, at, valueInum);
    XE.valueSize.set(view, at, valueSize);
    // In the inode Linux hashes only what leads to another inode.
    XE.hash.set(view, at, hashed || valueInum !== 0 ? attributeHash(one) : 0);
    bytes.set(name, at + ENTRY);
    at += ENTRY + padded(name.length);
  }
}

/** One step of the hash over words. */
function step(hash: number, word: number): number {
  return ((hash << 16) ^ (hash >>> 16) ^ word) >>> 0;
}

/** The hash of an entry: its name's bytes, then the words of its value or the hash of that. */
export function attributeHash(one: KeptAttribute): number {
  if (one.valueInum !== 0 && one.hash !== 0) return one.hash;
  let hash = 0;
  for (const byte of one.name) hash = ((hash << 5) ^ (hash >>> 27) ^ byte) >>> 0;
  if (one.valueInum !== 0) return step(hash, one.valueHash);
  for (let at = 0; at < one.value.length; at += 4) {
    let word = 0;
    for (let i = 0; i < 4; i++) word |= (one.value[at + i] ?? 0) << (8 * i);
    hash = step(hash, word);
  }
  return hash;
}

/** Blocks are searched in this order: by index, by length of name, by name. */
export function compareAttributes(a: Attribute, b: Attribute): number {
  if (a.nameIndex !== b.nameIndex) return a.nameIndex - b.nameIndex;
  if (a.name.length !== b.name.length) return a.name.length - b.name.length;
  for (const [i, byte] of a.name.entries()) {
    if (byte !== b.name[i]) return byte - (b.name[i] as number);
  }
  return 0;
}

/** Whether a block of `blockSize` bytes holds a list. */
export function fitsBlock(list: readonly Attribute[], blockSize: number): boolean {
  return listLength(list) <= blockSize - HEADER;
}

/** Makes a block of attributes, which one inode refers to, without its checksum. */
export function writeBlock(bytes: Uint8Array, list: readonly KeptAttribute[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  bytes.fill(0, 0, HEADER);
  const sorted = list.toSorted(compareAttributes);
  writeList(bytes, sorted, { first: HEADER, origin: 0, limit: bytes.length, hashed: true });
  XH.magic.set(view, 0, EXT4_XATTR_MAGIC);
  XH.refcount.set(view, 0, 1);
  XH.blocks.set(view, 0, 1);
  XH.hash.set(view, 0, blockHash(sorted));
}

/** The hash of a block folds its entries'; 0 when one of them has none. */
function blockHash(list: readonly KeptAttribute[]): number {
  let hash = 0;
  for (const one of list) {
    const own = attributeHash(one);
    if (own === 0) return 0;
    hash = step(hash, own);
  }
  return hash;
}

/** The checksum of the attribute block `number`; the one stored in it is passed over. */
export function blockChecksum(superblock: Superblock, number: number, bytes: Uint8Array): number {
  const { offset, size } = XH.checksum;
  let crc = crc32cLe32(superblock.checksumSeed, number >>> 0);
  crc = crc32cLe32(crc, Math.floor(number / 2 ** 32));
  crc = crc32c(crc, bytes.subarray(0, offset));
  crc = crc32c(crc, new Uint8Array(size));
  return crc32c(crc, bytes.subarray(offset + size));
}

/** Brings the checksum of an attribute block up to date, where there is one. */
export function sealBlock(superblock: Superblock, number: number, bytes: Uint8Array): void {
  if (!superblock.metadataCsum) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  XH.checksum.set(view, 0, blockChecksum(superblock, number, bytes));
}
