/**
 * The metadata of the device-mapper target writecache, as they lie on the cache device. Little-
 * endian. The superblock is followed by an entry for each block; the blocks themselves begin at the
 * next multiple of their size.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `magic` of the superblock. */
export const MEMORY_SUPERBLOCK_MAGIC = 0x2348_9321;
/** `version` of the superblock; the only one there is. */
export const MEMORY_SUPERBLOCK_VERSION = 1;
/** `originalSector` and `seqCount` of an entry that is free; of a freed one `seqCount` only. */
export const WRITECACHE_FREE = 0xffff_ffff_ffff_ffffn;

/** `struct wc_memory_superblock`, without the entries behind it. */
export const WritecacheSuper = /* @__PURE__ */ struct("wc_memory_superblock", 64, (at) => ({
  magic: at.le32(),
  version: at.le32(),
  /** Bytes. */
  blockSize: at.le32(),
  pad: at.le32(),
  nBlocks: at.bigLe64(),
  /** Entries with a smaller one count, all others vanish when the device is resumed. */
  seqCount: at.bigLe64(),
  reserved: at.bytes(32),
}));

/** `struct wc_memory_entry`: what a block holds. */
export const WritecacheEntry = /* @__PURE__ */ struct("wc_memory_entry", 16, (at) => ({
  originalSector: at.bigLe64(),
  seqCount: at.bigLe64(),
}));
