/**
 * An inode's bytes, proved intact, and the numbers that are read from them.
 *
 * @module
 */
import {
  EXT4_CASEFOLD_FL,
  EXT4_ENCRYPT_FL,
  EXT4_EXTENTS_FL,
  EXT4_HUGE_FILE_FL,
  EXT4_INLINE_DATA_FL,
  Ext4Inode as DI,
  Ext4InodeExtra as DX,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_GOOD_OLD_INODE_SIZE,
} from "../../format/ext-superblock.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import type { Timespec } from "../../lib/environment.ts";
import type { Field } from "../../lib/struct.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  makedev,
} from "../../vfs/modes.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { hasIncompat, hasRoCompat } from "./features.ts";
import type { Superblock } from "./superblock.ts";

const FILE_TYPES = new Set([S_IFIFO, S_IFCHR, S_IFDIR, S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK]);

/** Logical blocks that a file can have; extents and Linux's page index count them in 32 bits. */
export const MAX_LOGICAL_BLOCKS = 2 ** 32;

/** Bytes of `i_block`. */
export const I_BLOCK_SIZE = 60;

const { mode, linksCount, flags, generation, sizeLo, sizeHigh, checksumLo, block } = DI;
const { extraIsize, checksumHi } = DX;
const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;

/**
 * One inode as stored. The numbers that are decoded here are changed by `inode-writer.ts` only,
 * together with the bytes that they come from.
 */
export class InodeRecord {
  readonly ino: number;
  /** A private copy of all `inode_size` bytes. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  mode: number;
  links: number;
  flags: number;
  readonly generation: number;
  /** Bytes of the file. */
  size: number;
  /** Bytes behind the first 128 that are in use. */
  extraSize: number;
  /** Where the checksums of this inode's blocks start. */
  readonly seed: number;

  /** `bytes` is kept; those of a `fresh` inode have no checksum yet. @throws EBADMSG, EUCLEAN */
  constructor(superblock: Superblock, ino: number, bytes: Uint8Array<ArrayBuffer>, fresh = false) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.ino = ino;
    this.bytes = bytes;
    this.view = view;
    this.mode = mode.get(view, 0);
    this.links = linksCount.get(view, 0);
    this.flags = flags.get(view, 0);
    this.generation = generation.get(view, 0);
    this.seed = crc32cLe32(crc32cLe32(superblock.checksumSeed, ino), this.generation);
    const roomy = bytes.length > EXTRA;
    this.extraSize = roomy ? extraIsize.get(view, EXTRA) : 0;
    if (superblock.metadataCsum && !fresh) checkInodeChecksum(this);
    if (this.extraSize % 4 !== 0 || EXTRA + this.extraSize > bytes.length) {
      const rule = `a multiple of 4 up to ${bytes.length - EXTRA}`;
      throw corrupt(`inode ${ino}`, "extra_isize", this.extraSize, `not ${rule}`);
    }
    this.size = readSize(superblock, this);
  }

  /** The type bits of the mode. */
  get type(): number {
    return this.mode & S_IFMT;
  }

  /** True when all `bits` of `i_flags` are set. */
  has(bits: number): boolean {
    return (this.flags & bits) === bits;
  }

  /** A word of `i_block`, 0 to 14. */
  blockWord(index: number): number {
    return this.view.getUint32(block.offset + index * 4, true);
  }

  /** The 60 bytes of `i_block`: map, extent root, target, inline data or device number. */
  blockBytes(): Uint8Array {
    return this.bytes.subarray(block.offset, block.offset + I_BLOCK_SIZE);
  }

  /** A field behind byte 128, or 0 when this inode is too short to have it. */
  extra(field: Field<number>): number {
    return field.offset + field.size <= this.extraSize ? field.get(this.view, EXTRA) : 0;
  }
}

/** Where a record is copied to have its checksum fields zeroed; nothing stays in it. */
let scratch = new Uint8Array(256);

/** What the checksum of an inode's bytes should be; 16 bits where there is no room for more. */
export function inodeChecksum(record: InodeRecord): number {
  const { bytes, seed } = record;
  if (scratch.length !== bytes.length) scratch = new Uint8Array(bytes.length);
  scratch.set(bytes);
  scratch.fill(0, checksumLo.offset, checksumLo.offset + checksumLo.size);
  if (!hasChecksumHi(record)) return crc32c(seed, scratch) & 0xffff;
  const high = EXTRA + checksumHi.offset;
  scratch.fill(0, high, high + checksumHi.size);
  return crc32c(seed, scratch);
}

/** Stores the checksum of the record's bytes in them. */
export function sealInode(superblock: Superblock, record: InodeRecord): void {
  if (!superblock.metadataCsum) return;
  const checksum = inodeChecksum(record);
  checksumLo.set(record.view, 0, checksum & 0xffff);
  if (hasChecksumHi(record)) checksumHi.set(record.view, EXTRA, checksum >>> 16);
}

function hasChecksumHi(record: InodeRecord): boolean {
  return record.extraSize >= checksumHi.offset + checksumHi.size;
}

function checkInodeChecksum(record: InodeRecord): void {
  const high = hasChecksumHi(record) ? checksumHi.get(record.view, EXTRA) : 0;
  const stored = checksumLo.get(record.view, 0) + high * 0x1_0000;
  const computed = inodeChecksum(record);
  if (stored !== computed) throw badChecksum(`inode ${record.ino}`, stored, computed);
}

function readSize(superblock: Superblock, record: InodeRecord): number {
  const { type, view, ino } = record;
  const large = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_LARGEDIR);
  // For directories the upper word was once the ACL's block.
  const high = type === S_IFREG || large ? sizeHigh.get(view, 0) : 0;
  const size = sizeLo.get(view, 0) + high * 2 ** 32;
  if (size > MAX_LOGICAL_BLOCKS * superblock.blockSize) {
    throw corrupt(`inode ${ino}`, "size", size, "more than 2^32 blocks");
  }
  return size;
}

/**
 * Rules for an inode in use that Linux checks when it reads one.
 * @throws EUCLEAN
 */
export function checkRecord(superblock: Superblock, record: InodeRecord): void {
  const { ino } = record;
  const where = `inode ${ino}`;
  if (!FILE_TYPES.has(record.type)) {
    throw corrupt(where, "mode", `0o${record.mode.toString(8)}`, "no known file type");
  }
  if (record.has(EXT4_ENCRYPT_FL)) {
    throw corrupt(where, "flags", "encrypt", "the filesystem has no encrypt feature");
  }
  if (record.has(EXT4_CASEFOLD_FL)) {
    throw corrupt(where, "flags", "casefold", "the filesystem has no casefold feature");
  }
  if (!record.has(EXT4_INLINE_DATA_FL)) return;
  if (record.has(EXT4_EXTENTS_FL)) {
    throw corrupt(where, "flags", "inline_data and extents", "they exclude each other");
  }
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_INLINE_DATA)) {
    throw corrupt(where, "flags", "inline_data", "the filesystem has no inline_data feature");
  }
}

/** The block of extended attributes; 0 for none. */
export function fileAcl(superblock: Superblock, record: InodeRecord): number {
  const wide = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_64BIT);
  const high = wide ? DI.fileAclHigh.get(record.view, 0) : 0;
  return DI.fileAclLo.get(record.view, 0) + high * 2 ** 32;
}

/**
 * What `st_blocks` says: blocks in use in units of 512 bytes, and for a file whose data is inline
 * as many as the data would fill, so that nobody takes it for a hole (`ext4_file_getattr`).
 */
export function statBlocks(superblock: Superblock, record: InodeRecord): number {
  const used = sectorsUsed(superblock, record);
  const inline = record.type === S_IFREG && record.has(EXT4_INLINE_DATA_FL);
  return inline ? used + Math.ceil(record.size / 512) : used;
}

/** Blocks in use in units of 512 bytes, as the inode counts them. */
export function sectorsUsed(superblock: Superblock, record: InodeRecord): number {
  const low = DI.blocksLo.get(record.view, 0);
  if (!hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) return low;
  const count = low + DI.blocksHigh.get(record.view, 0) * 2 ** 32;
  return record.has(EXT4_HUGE_FILE_FL) ? count * (superblock.blockSize / 512) : count;
}

/** 32-bit owner. */
export function uidOf(record: InodeRecord): number {
  return DI.uid.get(record.view, 0) + DI.uidHigh.get(record.view, 0) * 0x1_0000;
}

/** 32-bit group. */
export function gidOf(record: InodeRecord): number {
  return DI.gid.get(record.view, 0) + DI.gidHigh.get(record.view, 0) * 0x1_0000;
}

/** Seconds are signed; the extra word adds two bits of epoch (to 2446) and nanoseconds. */
function timespec(seconds: number, extra: number): Timespec {
  const epoch = extra & 3;
  // Until 2038 it stays a small number, which needs no room of its own.
  const sec = epoch === 0 ? seconds | 0 : (seconds | 0) + epoch * 2 ** 32;
  return { sec, nsec: extra >>> 2 };
}

/** The times of an inode. */
export interface Times {
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly btime: Timespec | undefined;
}

/** Times with whatever precision the inode has room for. */
export function timesOf(record: InodeRecord): Times {
  const { view } = record;
  const born = record.extraSize >= DX.crtime.offset + DX.crtime.size;
  return {
    atime: timespec(DI.atime.get(view, 0), record.extra(DX.atimeExtra)),
    mtime: timespec(DI.mtime.get(view, 0), record.extra(DX.mtimeExtra)),
    ctime: timespec(DI.ctime.get(view, 0), record.extra(DX.ctimeExtra)),
    btime: born ? timespec(record.extra(DX.crtime), record.extra(DX.crtimeExtra)) : undefined,
  };
}

/** Linux's 64-bit `makedev`; 0 for what is no device. */
export function deviceOf(record: InodeRecord): number {
  if (record.type !== S_IFCHR && record.type !== S_IFBLK) return 0;
  const old = record.blockWord(0);
  if (old !== 0) return makedev((old >>> 8) & 0xff, old & 0xff);
  const word = record.blockWord(1);
  return makedev((word >>> 8) & 0xfff, (word & 0xff) | ((word >>> 12) & 0xfff00));
}
