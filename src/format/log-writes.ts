/**
 * dm-log-writes: the log of a disk's writes, as the kernel's target of that name keeps it.
 * Little-endian. Sector 0 of the log is the superblock; then come entries, each a header in a
 * sector of its own, behind it the sectors that were written. All numbers of sectors count the
 * superblock's `sectorsize`.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `magic` of the superblock. */
export const WRITE_LOG_MAGIC = 0x6a_7366_7773_6872n;
/** `version` of the superblock; the only one there is. */
export const WRITE_LOG_VERSION = 1n;

/** Entry flag: the disk's cache was flushed; if there are sectors, before they were written. */
export const LOG_FLUSH_FLAG = 1;
/** Entry flag: the sectors were durable when the write completed. */
export const LOG_FUA_FLAG = 2;
/** Entry flag: the sectors were discarded; no data follows. */
export const LOG_DISCARD_FLAG = 4;
/** Entry flag: text of `dataLen` bytes lies behind the header, in its sector. */
export const LOG_MARK_FLAG = 8;
/** Entry flag: the filesystem said that it wrote metadata. */
export const LOG_METADATA_FLAG = 16;

/** The label of the entry with which the kernel ends a log. */
export const WRITE_LOG_END = "dm-log-writes-end";

/** `struct log_write_super`: opens the log. */
export const LogWriteSuper = /* @__PURE__ */ struct("log_write_super", 32, (at) => ({
  magic: at.bigLe64(),
  version: at.bigLe64(),
  /** May lag behind where the log was cut off. */
  nrEntries: at.le64(),
  /** Bytes: the logical block size of the disk that held the log. */
  sectorsize: at.le32(),
  padding: at.le32(),
}));

/** `struct log_write_entry`: opens an entry. */
export const LogWriteEntry = /* @__PURE__ */ struct("log_write_entry", 32, (at) => ({
  sector: at.le64(),
  nrSectors: at.le64(),
  flags: at.le64(),
  /** Bytes of text; 0 unless it is a mark. */
  dataLen: at.le64(),
}));
