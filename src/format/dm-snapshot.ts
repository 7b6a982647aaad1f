/**
 * The exception store of the device-mapper target snapshot, as it lies on the copy-on-write device
 * (persistent, version 1). Little-endian. Chunk 0 is the header; from chunk 1 on stand areas: a
 * chunk of exceptions, and behind it a chunk of data for each of them.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `magic` of the header: `SnAp`. */
export const SNAP_MAGIC = 0x7041_6e53;
/** `version` of the header; the only one there is. */
export const SNAPSHOT_DISK_VERSION = 1;

/** `struct disk_header`. */
export const SnapshotHeader = /* @__PURE__ */ struct("disk_header", 16, (at) => ({
  magic: at.le32(),
  /** 0: the snapshot overflowed or met an error, and is of no use any more. */
  valid: at.le32(),
  version: at.le32(),
  /** Sectors. */
  chunkSize: at.le32(),
}));

/** `struct disk_exception`: where a chunk of the origin is kept; a new chunk of 0 ends the list. */
export const SnapshotException = /* @__PURE__ */ struct("disk_exception", 16, (at) => ({
  oldChunk: at.le64(),
  newChunk: at.le64(),
}));
