/**
 * The extended attributes that stand in an inode, taken out and put back as a whole.
 *
 * @module
 */
import { Ext4Inode } from "../../format/ext-inode.ts";
import {
  EXT4_XATTR_INDEX_SYSTEM,
  EXT4_XATTR_MAGIC,
  EXT4_XATTR_SYSTEM_DATA,
  Ext4XattrIbodyHeader,
} from "../../format/ext-xattr.ts";
import { sizeof } from "../../lib/struct.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";
import { inodeEntries } from "./xattr-entries.ts";
import {
  type Attribute,
  type KeptAttribute,
  attributeLength,
  keepEntry,
  listLength,
  plainAttribute,
  writeList,
} from "./xattr-layout.ts";

const IBODY = sizeof(Ext4XattrIbodyHeader);
const DATA = encodeUtf8(EXT4_XATTR_SYSTEM_DATA);

/** Copies of the attributes in an inode. @throws EUCLEAN */
export function inodeAttributes(volume: Volume, record: InodeRecord): KeptAttribute[] {
  return inodeEntries(volume, record).map(keepEntry);
}

/** Bytes that a list may take in an inode; 0 or less for one without extra fields. */
export function inodeRoom(record: InodeRecord): number {
  if (record.extraSize === 0) return 0;
  return record.bytes.length - firstByte(record);
}

function firstByte(record: InodeRecord): number {
  return sizeof(Ext4Inode) + record.extraSize + IBODY;
}

/** Whether the inode has room for these. */
export function fitsInode(record: InodeRecord, list: readonly Attribute[]): boolean {
  return list.length === 0 || listLength(list) <= inodeRoom(record);
}

/** Makes these the attributes in the inode; they have to fit. The record is not stored. */
export function setInodeAttributes(record: InodeRecord, list: readonly KeptAttribute[]): void {
  if (record.extraSize === 0) return;
  const first = firstByte(record);
  const { bytes, view } = record;
  const magic = first - IBODY;
  bytes.fill(0, magic);
  if (list.length === 0) return;
  Ext4XattrIbodyHeader.magic.set(view, magic, EXT4_XATTR_MAGIC);
  writeList(bytes, list, { first, origin: first, limit: bytes.length, hashed: false });
}

/** Whether an attribute is the one that holds inline data. */
export function isInlineData({ nameIndex, name }: Attribute): boolean {
  if (nameIndex !== EXT4_XATTR_INDEX_SYSTEM || name.length !== DATA.length) return false;
  return name.every((byte, i) => byte === DATA[i]);
}

/** Bytes of inline data that the inode can hold behind the first 60; below 0: none at all. */
export function inlineRoom(volume: Volume, record: InodeRecord): number {
  const others = inodeAttributes(volume, record).filter((one) => !isInlineData(one));
  const free = inodeRoom(record) - listLength(others) - attributeLength(DATA.length, 0);
  return free < 0 ? -1 : free & ~3;
}

/** Sets the inline data behind the first 60 bytes; undefined takes the attribute out. */
export function setInlineRest(
  volume: Volume,
  record: InodeRecord,
  rest: Uint8Array | undefined,
): void {
  const list = inodeAttributes(volume, record).filter((one) => !isInlineData(one));
  if (rest !== undefined) list.unshift(plainAttribute(EXT4_XATTR_INDEX_SYSTEM, DATA, rest));
  setInodeAttributes(record, list);
}
