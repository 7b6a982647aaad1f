/**
 * The block that says where the page descriptors of a namespace lie: libnvdimm's info block of the
 * personalities fsdax (signature `NVDIMM_PFN_INFO`) and devdax (`NVDIMM_DAX_INFO`), 4096 bytes into
 * the namespace. Little-endian.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** Bytes from the start of the namespace. */
export const PFN_SB_OFFSET = 4096;
/** Bytes in front of descriptors or data: a boot sector, and the block itself. */
export const PFN_INFO_RESERVE = 8192;
/** `signature` of a namespace for filesystems. */
export const PFN_SIG = "NVDIMM_PFN_INFO\0";
/** `signature` of a namespace that is mapped as it is. */
export const DAX_SIG = "NVDIMM_DAX_INFO\0";
/** `mode`: descriptors in ordinary memory. */
export const PFN_MODE_RAM = 1;
/** `mode`: descriptors on the device, in front of the data. */
export const PFN_MODE_PMEM = 2;
/** The version that is written. */
export const PFN_VERSION = { major: 1, minor: 4 } as const;

/** `struct nd_pfn_sb`. */
export const PfnSuperblock = /* @__PURE__ */ struct("nd_pfn_sb", 4096, (at) => ({
  signature: at.bytes(16),
  uuid: at.bytes(16),
  /** Of the namespace; zeros where that has none. */
  parentUuid: at.bytes(16),
  flags: at.le32(),
  versionMajor: at.le16(),
  versionMinor: at.le16(),
  /** Bytes from the namespace and `startPad` to the first byte of data. */
  dataOffset: at.le64(),
  /** Pages of data. */
  npfns: at.le64(),
  mode: at.le32(),
  /** Since minor 1; read, and not written any more. */
  startPad: at.le32(),
  /** Since minor 1: bytes at the end that are not used. */
  endTrunc: at.le32(),
  /** Since minor 2: what was asked for; data lies at multiples of at least 2 MiB. */
  align: at.le32(),
  /** Since minor 4: bytes of a page. */
  pageSize: at.le32(),
  /** Since minor 4: bytes of a descriptor. */
  pageStructSize: at.le16(),
  padding: at.bytes(3994),
  /** fletcher64 of the block, taken with zeros here. */
  checksum: at.bigLe64(),
}));
