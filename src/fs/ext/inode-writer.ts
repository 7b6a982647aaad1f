/**
 * Changing inodes: setters that keep a record's bytes and its decoded numbers the same, and the way
 * back into the inode table.
 *
 * @module
 */
import {
  EXT4_EXT_MAGIC,
  EXT4_EXTENTS_FL,
  EXT4_HUGE_FILE_FL,
  Ext4ExtentHeader,
  Ext4Inode as DI,
  Ext4InodeExtra as DX,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_GOOD_OLD_INODE_SIZE,
} from "../../format/ext-superblock.ts";
import type { Timespec } from "../../lib/environment.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { copyIn } from "../../lib/memory.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../../vfs/modes.ts";
import { hasIncompat, hasRoCompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import { I_BLOCK_SIZE, InodeRecord, sealInode, sectorsUsed } from "./inode-record.ts";
import type { Superblock } from "./superblock.ts";
import type { Volume } from "./volume.ts";

const TWO_16 = 2 ** 16;
const TWO_32 = 2 ** 32;
const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;
/** Entries of an extent root. */
const ROOT_ENTRIES = (I_BLOCK_SIZE - sizeof(Ext4ExtentHeader)) / sizeof(Ext4ExtentHeader);
/** Seconds that 32 bits can say, and 34 (`EXT4_TIMESTAMP_MIN`, `EXT4_EXTRA_TIMESTAMP_MAX`). */
const OLDEST = -(2 ** 31);
const NEWEST_PLAIN = 2 ** 31 - 1;
const NEWEST_EXTRA = 2 ** 34 + OLDEST - 1;

/** Type and permission bits. */
export function setMode(record: InodeRecord, mode: number): void {
  DI.mode.set(record.view, 0, mode);
  record.mode = mode;
}

/** 32-bit owner and group. */
export function setOwner(record: InodeRecord, uid: number, gid: number): void {
  const { view } = record;
  DI.uid.set(view, 0, uid % TWO_16);
  DI.uidHigh.set(view, 0, Math.floor(uid / TWO_16));
  DI.gid.set(view, 0, gid % TWO_16);
  DI.gidHigh.set(view, 0, Math.floor(gid / TWO_16));
}

/** Directory entries that name the inode, up to 65,000. */
export function setLinks(record: InodeRecord, links: number): void {
  DI.linksCount.set(record.view, 0, links);
  record.links = links;
}

/** All of `i_flags`. */
export function setFlags(record: InodeRecord, flags: number): void {
  DI.flags.set(record.view, 0, flags >>> 0);
  record.flags = flags >>> 0;
}

/**
 * Bytes of the file. A size from 2 GiB on needs the feature `large_file`, which the caller sets.
 * For directories the upper word is an old field unless the filesystem has `large_dir`.
 */
export function setSize(superblock: Superblock, record: InodeRecord, size: number): void {
  const large = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_LARGEDIR);
  const wide = record.type === S_IFREG || large;
  assert(size >= 0 && (wide || size < TWO_32), () => `size ${size} of inode ${record.ino}`);
  DI.sizeLo.set(record.view, 0, size % TWO_32);
  if (wide) DI.sizeHigh.set(record.view, 0, Math.floor(size / TWO_32));
  record.size = size;
}

/**
 * `i_blocks`: what the inode occupies in units of 512 bytes, blocks of its map included. More than
 * 48 bits can say is counted in blocks, as Linux does (`ext4_inode_blocks_set`).
 * @throws EFBIG for 2 TiB and more without the feature `huge_file`, with nothing changed
 */
export function setSectors(superblock: Superblock, record: InodeRecord, sectors: number): void {
  assert(sectors >= 0 && Number.isInteger(sectors), () => `${sectors} sectors`);
  const { view, flags } = record;
  if (sectors >= TWO_32 && !hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) {
    const detail = `inode ${record.ino} would occupy ${sectors} sectors; huge_file is not set`;
    throw new DaxError("EFBIG", { syscall: "write", detail });
  }
  const byBlocks = sectors >= 2 ** 48;
  const count = byBlocks ? sectors / (superblock.blockSize / 512) : sectors;
  DI.blocksLo.set(view, 0, count % TWO_32);
  if (hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) {
    DI.blocksHigh.set(view, 0, Math.floor(count / TWO_32));
  }
  const wanted = byBlocks ? flags | EXT4_HUGE_FILE_FL : flags & ~EXT4_HUGE_FILE_FL;
  if (wanted !== flags) setFlags(record, wanted);
}

/**
 * Adds to `i_blocks` so many blocks of the filesystem, or takes them away; a count that was too
 * small before ends with 0. @throws EFBIG
 */
export function addBlocks(superblock: Superblock, record: InodeRecord, blocks: number): void {
  const sectors = sectorsUsed(superblock, record) + blocks * (superblock.blockSize / 512);
  setSectors(superblock, record, Math.max(0, sectors));
}

/** Which time of an inode. */
export type TimeName = "atime" | "mtime" | "ctime" | "btime";

const TIMES: Readonly<Record<Exclude<TimeName, "btime">, readonly [Field<number>, Field<number>]>> =
  {
    atime: [DI.atime, DX.atimeExtra],
    mtime: [DI.mtime, DX.mtimeExtra],
    ctime: [DI.ctime, DX.ctimeExtra],
  };

/**
 * A time, as exact as the inode has room for: nanoseconds and years to 2446 behind byte 128, whole
 * seconds to 2038 before it. What lies outside becomes the nearest time that can be said
 * (`timestamp_truncate`). A birth time without room is dropped.
 */
export function setTime(record: InodeRecord, name: TimeName, time: Timespec): void {
  const { view } = record;
  if (name === "btime") {
    if (!hasExtra(record, DX.crtime)) return;
    const exact = hasExtra(record, DX.crtimeExtra);
    const { sec, nsec } = inRange(time, exact);
    DX.crtime.set(view, EXTRA, sec >>> 0);
    if (exact) DX.crtimeExtra.set(view, EXTRA, extraWord(sec, nsec));
    return;
  }
  const [seconds, extra] = TIMES[name];
  const exact = hasExtra(record, extra);
  const { sec, nsec } = inRange(time, exact);
  seconds.set(view, 0, sec >>> 0);
  if (exact) extra.set(view, EXTRA, extraWord(sec, nsec));
}

/** A time in milliseconds since 1970, rounded down. Makes no object, as its brother below. */
export function millisecondsOf(record: InodeRecord, name: keyof typeof TIMES): number {
  const extra = extraOf(record, name);
  return secondsOf(record, name, extra) * 1000 + Math.floor((extra >>> 2) / 1e6);
}

/** Whether one time of an inode is later than another, as exactly as it has them. */
export function isAfter(
  record: InodeRecord,
  name: keyof typeof TIMES,
  other: keyof typeof TIMES,
): boolean {
  const one = extraOf(record, name);
  const two = extraOf(record, other);
  const seconds = secondsOf(record, name, one) - secondsOf(record, other, two);
  return seconds > 0 || (seconds === 0 && one >>> 2 > two >>> 2);
}

function secondsOf({ view }: InodeRecord, name: keyof typeof TIMES, extra: number): number {
  return (TIMES[name][0].get(view, 0) | 0) + (extra & 3) * TWO_32;
}

function extraOf(record: InodeRecord, name: keyof typeof TIMES): number {
  return record.extra(TIMES[name][1]);
}

function hasExtra(record: InodeRecord, field: Field<number>): boolean {
  return field.offset + field.size <= record.extraSize;
}

function inRange({ sec, nsec }: Timespec, exact: boolean): Timespec {
  const newest = exact ? NEWEST_EXTRA : NEWEST_PLAIN;
  // Linux gives the first and the last second no fraction.
  if (sec <= OLDEST) return { sec: OLDEST, nsec: 0 };
  if (sec >= newest) return { sec: newest, nsec: 0 };
  return { sec, nsec };
}

/** Nanoseconds, and how often the signed 32 bits have to be carried by 2^32. */
function extraWord(sec: number, nsec: number): number {
  const epoch = (sec - (sec | 0)) / TWO_32;
  return ((nsec << 2) | epoch) >>> 0;
}

/** The time of deletion in seconds, or the next inode of the orphan list. */
export function setDtime(record: InodeRecord, value: number): void {
  DI.dtime.set(record.view, 0, value >>> 0);
}

/** {@link setDtime}'s other side. */
export function dtimeOf(record: InodeRecord): number {
  return DI.dtime.get(record.view, 0);
}

/** The block of extended attributes; 0 for none. */
export function setFileAcl(superblock: Superblock, record: InodeRecord, block: number): void {
  DI.fileAclLo.set(record.view, 0, block % TWO_32);
  if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_64BIT)) {
    DI.fileAclHigh.set(record.view, 0, Math.floor(block / TWO_32));
  }
}

/** A word of `i_block`, 0 to 14. */
export function setBlockWord(record: InodeRecord, index: number, value: number): void {
  record.view.setUint32(DI.block.offset + index * 4, value, true);
}

/** All of `i_block`: up to 60 bytes, zeros behind them. */
export function setBlockBytes(record: InodeRecord, bytes: Uint8Array): void {
  assert(bytes.length <= I_BLOCK_SIZE, () => `${bytes.length} bytes for i_block`);
  const place = record.blockBytes();
  place.fill(0);
  place.set(bytes);
}

/** The number of a device in Linux's 64-bit form, as `deviceOf` reads it. */
export function setDevice(record: InodeRecord, device: number): void {
  const major = Math.floor(device / 0x100) % 0x1000;
  const minor = (device % 0x100) + Math.floor(device / 0x10_0000) * 0x100;
  record.blockBytes().fill(0);
  if (major < 256 && minor < 256) {
    setBlockWord(record, 0, (major << 8) | minor);
    return;
  }
  setBlockWord(record, 1, ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0);
}

/** `i_version`, which changes whenever the inode does. */
export function setVersion(record: InodeRecord, version: number): void {
  DI.version.set(record.view, 0, version % TWO_32);
  if (hasExtra(record, DX.versionHi)) {
    DX.versionHi.set(record.view, EXTRA, Math.floor(version / TWO_32));
  }
}

/** The project that space is accounted to; nothing where the inode has no room for it. */
export function setProject(record: InodeRecord, project: number): void {
  if (hasExtra(record, DX.projid)) DX.projid.set(record.view, EXTRA, project);
}

/** Turns the map into an extent tree without extents, and says so in the flags. */
export function initExtents(record: InodeRecord): void {
  const { view } = record;
  const base = DI.block.offset;
  record.blockBytes().fill(0);
  Ext4ExtentHeader.magic.set(view, base, EXT4_EXT_MAGIC);
  Ext4ExtentHeader.max.set(view, base, ROOT_ENTRIES);
  setFlags(record, record.flags | EXT4_EXTENTS_FL);
}

/** What a new inode starts with. */
export interface NewInode {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** Inherited ones; the map's own flag is added here. */
  readonly flags: number;
  /** Random, so that a number that is used again names another file. */
  readonly generation: number;
  /** All four times. */
  readonly time: Timespec;
  readonly project?: number;
}

/**
 * The record of an inode that was just allocated: empty, with an extent root where the filesystem
 * has extents and the type has a map (regular files and directories; a symbolic link that needs a
 * block calls {@link initExtents}). {@link storeRecord} puts it into the table.
 */
export function newRecord(volume: Volume, ino: number, given: NewInode): InodeRecord {
  const { superblock } = volume;
  const bytes = volume.takeRecord();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  DI.mode.set(view, 0, given.mode);
  DI.linksCount.set(view, 0, given.links);
  DI.flags.set(view, 0, given.flags >>> 0);
  DI.generation.set(view, 0, given.generation >>> 0);
  if (bytes.length > EXTRA) DX.extraIsize.set(view, EXTRA, extraSizeOf(superblock));
  const record = new InodeRecord(superblock, ino, bytes, true);
  setOwner(record, given.uid, given.gid);
  for (const name of ["atime", "mtime", "ctime", "btime"] as const) {
    setTime(record, name, given.time);
  }
  setProject(record, given.project ?? 0);
  const type = given.mode & S_IFMT;
  const mapped = type === S_IFREG || type === S_IFDIR;
  if (mapped && hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_EXTENTS)) initExtents(record);
  return record;
}

/** As Linux decides `i_extra_isize`: all fields that it knows, or what the superblock wants. */
function extraSizeOf({ inodeSize, wantExtraIsize }: Superblock): number {
  const wanted = Math.max(sizeof(DX), wantExtraIsize);
  return EXTRA + wanted <= inodeSize && wanted % 4 === 0 ? wanted : sizeof(DX);
}

/**
 * Puts a record into its block of the inode table when the transaction is sealed, once for all of
 * its changes and with its checksum. `Volume.record` answers it until then. @throws EUCLEAN, EIO
 */
export function storeRecord(volume: Volume, handle: Handle, record: InodeRecord): void {
  const { unsealed } = volume;
  handle.get(volume.placeOf(record.ino).block, "inode table block");
  if (unsealed.size === 0) sealLater(volume, handle);
  unsealed.set(record.ino, record);
}

/** By itself: whatever has a closure makes room for it whenever it is called. */
function sealLater(volume: Volume, handle: Handle): void {
  handle.onSeal(() => sealRecords(volume));
}

function sealRecords(volume: Volume): void {
  const { unsealed, superblock, buffers } = volume;
  for (const record of unsealed.values()) {
    const { block, at } = volume.placeOf(record.ino);
    const copy = buffers.get(block, "inode table block");
    sealInode(superblock, record);
    copyIn(copy.memory, copy.at + at, record.bytes);
  }
  unsealed.clear();
}
