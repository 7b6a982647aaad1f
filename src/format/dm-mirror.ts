/**
 * The dirty log of the device-mapper target mirror, as it lies on a disk of its own. Little-endian.
 * Sector 0 is the header; from byte 1024 on stands a bit for each region, the lowest bit of the
 * first byte being region 0, set where all legs are known to be the same.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `magic` of the header: `MiRr`. */
export const MIRROR_MAGIC = 0x4d69_5272;
/** `version` of the header. */
export const MIRROR_DISK_VERSION = 2;
/** The byte at which the bits begin. */
export const MIRROR_BITS = 1024;

/** `struct log_header_disk`. */
export const MirrorLogHeader = /* @__PURE__ */ struct("log_header_disk", 16, (at) => ({
  magic: at.le32(),
  version: at.le32(),
  nrRegions: at.le64(),
}));
