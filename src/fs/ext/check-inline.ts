/**
 * Inline data as a check reads it: the bytes in the inode's block map, and the rest of them in the
 * attribute `system.data`.
 *
 * @module
 */
import { EXT4_GOOD_OLD_INODE_SIZE } from "../../format/ext-superblock.ts";
import {
  EXT4_XATTR_INDEX_SYSTEM,
  EXT4_XATTR_MAGIC,
  EXT4_XATTR_SYSTEM_DATA,
  Ext4XattrEntry as XE,
} from "../../format/ext-xattr.ts";
import { sizeof } from "../../lib/struct.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import type { CheckedInode } from "./check-inode-record.ts";

const ENTRY = sizeof(XE);

/** Where the value of `system.data` lies in the inode; undefined when there is none to be found. */
export function inlineValue(inode: CheckedInode): Uint8Array | undefined {
  const { bytes, view } = inode;
  const header = EXT4_GOOD_OLD_INODE_SIZE + inode.extraSize;
  if (header + 8 > bytes.length) return undefined;
  if (view.getUint32(header, true) !== EXT4_XATTR_MAGIC) return undefined;
  const first = header + 4;
  for (let at = first; at + ENTRY <= bytes.length && view.getUint32(at, true) !== 0;) {
    const length = XE.nameLen.get(view, at);
    const name = decodeUtf8(bytes.subarray(at + ENTRY, at + ENTRY + length));
    if (XE.nameIndex.get(view, at) === EXT4_XATTR_INDEX_SYSTEM && name === EXT4_XATTR_SYSTEM_DATA) {
      const start = first + XE.valueOffs.get(view, at);
      const size = XE.valueSize.get(view, at);
      return start + size <= bytes.length ? bytes.subarray(start, start + size) : undefined;
    }
    at += ENTRY + ((length + 3) & ~3);
  }
  return undefined;
}

/** All inline bytes of an inode; undefined when the attribute is missing. */
export function inlineBytes(inode: CheckedInode): Uint8Array<ArrayBuffer> | undefined {
  const value = inlineValue(inode);
  if (value === undefined) return undefined;
  const head = inode.blockBytes();
  const bytes = new Uint8Array(head.length + value.length);
  bytes.set(head);
  bytes.set(value, head.length);
  return bytes;
}
