/**
 * Extended attributes by their full names: values from the inode, the attribute block or an inode
 * of their own, with the hashes that go with them.
 *
 * @module
 */
import { EXT4_EA_INODE_FL, Ext4Inode } from "../../format/ext-inode.ts";
import {
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
} from "../../format/ext-xattr.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { DaxError } from "../../lib/errno.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { XATTR_SIZE_MAX } from "../../vfs/filesystem.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import { aclToXattr } from "./acl.ts";
import { readContents } from "./contents.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { FileMap } from "./file-map.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";
import { type XattrEntry, blockEntries, inodeEntries } from "./xattr-entries.ts";
import { XATTR_PREFIXES } from "./xattr-names.ts";

/**
 * The attributes of an inode by full name, in the order of the media: those in the inode first,
 * and they win over a name that comes again.
 * @throws EUCLEAN, EBADMSG, EIO
 */
export function readXattrs(volume: Volume, record: InodeRecord): Map<string, XattrEntry> {
  const byName = new Map<string, XattrEntry>();
  for (const entry of [...inodeEntries(volume, record), ...blockEntries(volume, record)]) {
    const prefix = XATTR_PREFIXES[entry.nameIndex];
    if (prefix === undefined) continue;
    if (isAcl(entry) !== (entry.name.length === 0)) {
      const rule = isAcl(entry) ? "an ACL has no name of its own" : "empty";
      throw corrupt(entry.where, "name_len", entry.name.length, rule);
    }
    const name = prefix + decodeUtf8(entry.name);
    if (!byName.has(name)) byName.set(name, entry);
  }
  return byName;
}

function isAcl({ nameIndex }: XattrEntry): boolean {
  return (
    nameIndex === EXT4_XATTR_INDEX_POSIX_ACL_ACCESS ||
    nameIndex === EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT
  );
}

/**
 * A private copy of an attribute's value, as getxattr(2) gives it; `undefined` for an empty ACL.
 * @throws E2BIG as getxattr(2), EUCLEAN, EBADMSG for a hash that is not the value's, EIO
 */
export function xattrValue(
  volume: Volume,
  record: InodeRecord,
  entry: XattrEntry,
): Uint8Array | undefined {
  checkLength(entry);
  const value = entry.valueInum === 0 ? entry.value : valueOfInode(volume, record, entry);
  if (entry.valueInum === 0) checkEntryHash(entry, () => wordsOf(value));
  return isAcl(entry) ? aclToXattr(value, entry.where) : value.slice();
}

/** A list of a few bytes may name an inode of 16 MiB dozens of times. */
function checkLength({ valueSize, where }: XattrEntry): void {
  if (valueSize <= XATTR_SIZE_MAX) return;
  throw new DaxError("E2BIG", {
    syscall: "getxattr",
    detail: `${where} has ${valueSize} bytes; Linux hands out ${XATTR_SIZE_MAX} at most`,
  });
}

function step(hash: number, word: number): number {
  return ((hash << 16) ^ (hash >>> 16) ^ word) >>> 0;
}

function hashName(name: Uint8Array, signed: boolean): number {
  let hash = 0;
  for (const byte of name) {
    const value = signed ? (byte << 24) >> 24 : byte;
    hash = ((hash << 5) ^ (hash >>> 27) ^ value) >>> 0;
  }
  return hash;
}

/** Little-endian words, the last one filled with zeros. */
function* wordsOf(value: Uint8Array): Generator<number> {
  for (let at = 0; at < value.length; at += 4) {
    let word = 0;
    for (let i = 0; i < 4; i++) word |= (value[at + i] ?? 0) << (8 * i);
    yield word;
  }
}

/** Writers disagreed on the sign of name bytes, so either hash will do; 0 is "not computed". */
function checkEntryHash(entry: XattrEntry, words: () => Iterable<number>): void {
  if (entry.hash === 0) return;
  let unsigned = hashName(entry.name, false);
  let signed = hashName(entry.name, true);
  for (const word of words()) {
    unsigned = step(unsigned, word);
    signed = step(signed, word);
  }
  if (entry.hash === unsigned || entry.hash === signed) return;
  throw badChecksum(`${entry.where} hash`, entry.hash, unsigned);
}

function valueOfInode(volume: Volume, record: InodeRecord, entry: XattrEntry): Uint8Array {
  const { valueInum, valueSize, where } = entry;
  if (valueInum === record.ino) throw corrupt(where, "value_inum", valueInum, "the inode itself");
  const holder = volume.record(valueInum);
  if (!holder.has(EXT4_EA_INODE_FL) || holder.type !== S_IFREG || holder.links === 0) {
    throw corrupt(where, "value_inum", valueInum, "that inode holds no attribute value");
  }
  if (holder.size !== valueSize) {
    throw corrupt(where, "value_size", valueSize, `inode ${valueInum} has ${holder.size} bytes`);
  }
  const value = new Uint8Array(valueSize);
  readContents(volume, new FileMap(volume, holder), value);
  checkValueHash(volume, record, entry, holder, value);
  return value;
}

/** The value's hash is kept where an ordinary inode has its access time. */
function checkValueHash(
  volume: Volume,
  record: InodeRecord,
  entry: XattrEntry,
  holder: InodeRecord,
  value: Uint8Array,
): void {
  const stored = Ext4Inode.atime.get(holder.view, 0);
  const computed = crc32c(volume.superblock.checksumSeed, value);
  if (stored === computed) {
    checkEntryHash(entry, () => [computed]);
    return;
  }
  // Lustre kept no hash; it named the inode that the value belongs to instead.
  const parent = Ext4Inode.mtime.get(holder.view, 0);
  if (parent === record.ino && holder.generation === record.generation) return;
  throw badChecksum(`${entry.where} value in inode ${entry.valueInum}`, stored, computed);
}
