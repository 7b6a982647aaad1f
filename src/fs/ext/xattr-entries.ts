/**
 * Lists of extended attributes as they stand in an inode and in an attribute block, with every
 * offset checked.
 *
 * @module
 */
import { Ext4Inode } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_EA_INODE } from "../../format/ext-superblock.ts";
import {
  EXT4_XATTR_MAGIC,
  EXT4_XATTR_SIZE_MAX,
  Ext4XattrEntry as XE,
  Ext4XattrHeader as XH,
  Ext4XattrIbodyHeader,
} from "../../format/ext-xattr.ts";
import { sizeof } from "../../lib/struct.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import { type InodeRecord, fileAcl } from "./inode-record.ts";
import type { Volume } from "./volume.ts";
import { blockChecksum } from "./xattr-layout.ts";

const ENTRY = sizeof(XE);
const HEADER = sizeof(XH);
const IBODY = sizeof(Ext4XattrIbodyHeader);

/** One attribute as stored. */
export interface XattrEntry {
  readonly nameIndex: number;
  /** Without the prefix that the index stands for. */
  readonly name: Uint8Array;
  readonly valueSize: number;
  /** The inode that holds the value; 0 when `value` does. */
  readonly valueInum: number;
  /** The value, aliasing the copy it was read from; empty when an inode holds it. */
  readonly value: Uint8Array;
  readonly hash: number;
  /** For errors: the list and the entry's place in it. */
  readonly where: string;
}

/** Bytes that hold a list: entries from `first`, values up to `limit`, counted from `origin`. */
interface Region {
  readonly bytes: Uint8Array;
  readonly first: number;
  readonly origin: number;
  readonly limit: number;
  readonly where: string;
}

/** The attributes behind the fixed fields of an inode. @throws EUCLEAN */
export function inodeEntries(volume: Volume, record: InodeRecord): XattrEntry[] {
  const start = sizeof(Ext4Inode) + record.extraSize;
  const { bytes, view } = record;
  if (record.extraSize === 0 || start + IBODY + 4 > bytes.length) return [];
  if (Ext4XattrIbodyHeader.magic.get(view, start) !== EXT4_XATTR_MAGIC) return [];
  const first = start + IBODY;
  const where = `inode ${record.ino} xattrs`;
  return readList(volume, { bytes, first, origin: first, limit: bytes.length, where });
}

/** The attributes in the inode's attribute block. @throws EUCLEAN, EBADMSG, EIO */
export function blockEntries(volume: Volume, record: InodeRecord): XattrEntry[] {
  const number = fileAcl(volume.superblock, record);
  if (number === 0) return [];
  const where = `xattr block ${number}`;
  const block = volume.blocks.get(number, `inode ${record.ino}`, "file_acl");
  const { bytes, view } = block;
  const { checksumSeed } = volume.superblock;
  const proved = block.isProved("xattr", checksumSeed);
  if (!proved) checkHeader(volume, number, where);
  const limit = bytes.length;
  const list = readList(volume, { bytes, first: HEADER, origin: 0, limit, where });
  if (!proved) {
    checkHeaderHash(XH.hash.get(view, 0), list, where);
    block.prove("xattr", checksumSeed);
  }
  return list;
}

function checkHeader(volume: Volume, number: number, where: string): void {
  const { bytes, view } = volume.blocks.get(number, where, "block");
  const magic = XH.magic.get(view, 0);
  if (magic !== EXT4_XATTR_MAGIC) {
    throw corrupt(where, "magic", `0x${magic.toString(16)}`, "not 0xea020000");
  }
  const blocks = XH.blocks.get(view, 0);
  if (blocks !== 1) throw corrupt(where, "blocks", blocks, "only 1 is possible");
  if (!volume.superblock.metadataCsum) return;
  const computed = blockChecksum(volume.superblock, number, bytes);
  const stored = XH.checksum.get(view, 0);
  if (stored !== computed) throw badChecksum(where, stored, computed);
}

/** The header folds the entries' hashes; 0 says that nobody computed it. */
function checkHeaderHash(stored: number, list: readonly XattrEntry[], where: string): void {
  if (stored === 0) return;
  let hash = 0;
  for (const entry of list) {
    if (entry.hash === 0) return;
    hash = ((hash << 16) ^ (hash >>> 16) ^ entry.hash) >>> 0;
  }
  if (hash !== stored) throw badChecksum(`${where} header hash`, stored, hash);
}

function readList(volume: Volume, region: Region): XattrEntry[] {
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.length);
  const ends = listEnd(view, region);
  const list: XattrEntry[] = [];
  const values: [start: number, end: number][] = [];
  let at = region.first;
  while (at < ends) {
    const where = `${region.where} entry ${list.length}`;
    const entry = readEntry(volume, view, region, at, ends, where);
    const { value, valueInum } = entry;
    if (valueInum === 0 && value.length > 0) {
      const start = value.byteOffset - region.bytes.byteOffset;
      values.push([start, start + value.length]);
    }
    list.push(entry);
    at += entryLength(view, at);
  }
  checkOverlap(values, region.where);
  return list;
}

function entryLength(view: DataView, at: number): number {
  return ENTRY + ((XE.nameLen.get(view, at) + 3) & ~3);
}

/** Where the zero word that ends the list stands; every entry before it is inside the region. */
function listEnd(view: DataView, region: Region): number {
  let at = region.first;
  for (let entry = 0; ; entry++) {
    if (at + 4 > region.limit) {
      throw corrupt(region.where, `entry ${entry}`, `at byte ${at}`, "the list never ends");
    }
    if (view.getUint32(at, true) === 0) return at;
    if (at + ENTRY > region.limit) {
      throw corrupt(region.where, `entry ${entry}`, `at byte ${at}`, "it leaves its room");
    }
    at += entryLength(view, at);
  }
}

function readEntry(
  volume: Volume,
  view: DataView,
  region: Region,
  at: number,
  ends: number,
  where: string,
): XattrEntry {
  const nameStart = at + ENTRY;
  const name = region.bytes.subarray(nameStart, nameStart + XE.nameLen.get(view, at));
  if (name.includes(0)) throw corrupt(where, "name", "a string with a NUL", "names have none");
  const valueSize = XE.valueSize.get(view, at);
  const valueInum = XE.valueInum.get(view, at);
  if (valueSize > EXT4_XATTR_SIZE_MAX) {
    throw corrupt(where, "value_size", valueSize, `above ${EXT4_XATTR_SIZE_MAX}`);
  }
  const features = volume.superblock;
  if (valueInum !== 0 && !hasIncompat(features, EXT4_FEATURE_INCOMPAT_EA_INODE)) {
    throw corrupt(where, "value_inum", valueInum, "the filesystem has no ea_inode feature");
  }
  const start = region.origin + XE.valueOffs.get(view, at);
  const stored = valueInum === 0 && valueSize > 0;
  if (stored && (start < ends + 4 || start + valueSize > region.limit)) {
    const rule = `with ${valueSize} bytes it leaves ${ends + 4} to ${region.limit - 1}`;
    throw corrupt(where, "value_offs", start, rule);
  }
  return {
    nameIndex: XE.nameIndex.get(view, at),
    name,
    valueSize,
    valueInum,
    value: stored ? region.bytes.subarray(start, start + valueSize) : region.bytes.subarray(0, 0),
    hash: XE.hash.get(view, at),
    where,
  };
}

function checkOverlap(values: [start: number, end: number][], where: string): void {
  values.sort((a, b) => a[0] - b[0]);
  let end = 0;
  for (const [start, next] of values) {
    if (start < end) throw corrupt(where, "value_offs", start, "values overlap");
    end = next;
  }
}
