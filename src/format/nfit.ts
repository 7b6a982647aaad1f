/**
 * The NFIT: ACPI's table of persistent memory (ACPI 6, 5.2.25). A header, four reserved bytes, and
 * tables within the table, each with its type and length in front. Little-endian.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** "NFIT" as it lies in memory. */
export const NFIT_SIG = "NFIT";

/** A range of system physical addresses. */
export const ACPI_NFIT_TYPE_SYSTEM_ADDRESS = 0;
/** Which part of a range a module serves. */
export const ACPI_NFIT_TYPE_MEMORY_MAP = 1;
/** What a module is. */
export const ACPI_NFIT_TYPE_CONTROL_REGION = 4;
/** What the platform does at power loss. */
export const ACPI_NFIT_TYPE_CAPABILITIES = 7;

/** Flag of a range: the proximity domain is valid. */
export const ACPI_NFIT_PROXIMITY_VALID = 1 << 1;
/** Flag of a range: a location cookie follows, and the range is 64 bytes long. */
export const ACPI_NFIT_LOCATION_COOKIE_VALID = 1 << 2;
/** Flag of a mapping: the module would not save what is written to it. */
export const ACPI_NFIT_MEM_NOT_ARMED = 1 << 3;
/** Capability: CPU caches are flushed at power loss; implies the next. */
export const ACPI_NFIT_CAPABILITY_CACHE_FLUSH = 1 << 0;
/** Capability: the memory controller is flushed at power loss. */
export const ACPI_NFIT_CAPABILITY_MEM_FLUSH = 1 << 1;

/** What a range is for, by its GUID. */
export const NFIT_RANGE_GUIDS = {
  volatile: "7305944f-fdda-44e3-b16c-3f22d252e5d0",
  persistent: "66f0d379-b4f3-4074-ac43-0d3318b78cdb",
  "control region": "92f701f6-13b4-405d-910b-299367e8234c",
  "block window": "91af0530-5d86-470e-a6b0-0a2db9408249",
  "volatile disk": "77ab535a-45fc-624b-5560-f7b281d1f96e",
  "volatile CD": "3d5abd30-4175-87ce-6d64-d2ade523c4bb",
  "persistent disk": "5cea02c9-4d07-69d3-269f-4496fbe096f9",
  "persistent CD": "08018188-42cd-bb48-100f-5387d53ded3d",
} as const;

/** The header, as every table of ACPI has it, and the reserved word behind it. */
export const NfitHeader = /* @__PURE__ */ struct("acpi_table_nfit", 40, (at) => ({
  signature: at.bytes(4),
  /** Bytes of the whole table. */
  length: at.le32(),
  revision: at.u8(),
  /** Makes the sum of all bytes 0, modulo 256. */
  checksum: at.u8(),
  oemId: at.bytes(6),
  oemTableId: at.bytes(8),
  oemRevision: at.le32(),
  creatorId: at.bytes(4),
  creatorRevision: at.le32(),
  reserved: at.le32(),
}));

/** In front of each table within the table. */
export const NfitSubHeader = /* @__PURE__ */ struct("acpi_nfit_header", 4, (at) => ({
  type: at.le16(),
  /** Bytes, these four included. */
  length: at.le16(),
}));

/** A range; a location cookie of 8 bytes follows where the flags say so. */
export const NfitSystemAddress = /* @__PURE__ */ struct("acpi_nfit_system_address", 56, (at) => ({
  type: at.le16(),
  length: at.le16(),
  /** What mappings name it by; 0 only for virtual disks and CDs. */
  rangeIndex: at.le16(),
  flags: at.le16(),
  reserved: at.le32(),
  proximityDomain: at.le32(),
  rangeGuid: at.bytes(16),
  address: at.bigLe64(),
  bytes: at.bigLe64(),
  memoryMapping: at.bigLe64(),
}));

/** A module's share of a range. */
export const NfitMemoryMap = /* @__PURE__ */ struct("acpi_nfit_memory_map", 48, (at) => ({
  type: at.le16(),
  length: at.le16(),
  /** Bits 0-3 module, 4-7 channel, 8-11 memory controller, 12-15 socket, 16-27 node. */
  deviceHandle: at.le32(),
  physicalId: at.le16(),
  regionId: at.le16(),
  rangeIndex: at.le16(),
  /** Which control region describes the module. */
  regionIndex: at.le16(),
  regionSize: at.bigLe64(),
  regionOffset: at.bigLe64(),
  /** Where the share begins in the module. */
  address: at.bigLe64(),
  interleaveIndex: at.le16(),
  interleaveWays: at.le16(),
  flags: at.le16(),
  reserved: at.le16(),
}));

/** What a module is: the first 32 bytes, which is all of it where it has no block windows. */
export const NfitControlRegion = /* @__PURE__ */ struct("acpi_nfit_control_region", 32, (at) => ({
  type: at.le16(),
  length: at.le16(),
  regionIndex: at.le16(),
  vendorId: at.le16(),
  deviceId: at.le16(),
  revisionId: at.le16(),
  subsystemVendorId: at.le16(),
  subsystemDeviceId: at.le16(),
  subsystemRevisionId: at.le16(),
  /** Bit 0: where and when it was made is valid. */
  validFields: at.u8(),
  manufacturingLocation: at.u8(),
  manufacturingDate: at.le16(),
  reserved: at.le16(),
  serialNumber: at.le32(),
  /** 0x301: memory without a battery, 0x101: with one, 0x201: blocks. */
  code: at.le16(),
  windows: at.le16(),
}));

/** What the platform does at power loss. */
export const NfitCapabilities = /* @__PURE__ */ struct("acpi_nfit_capabilities", 16, (at) => ({
  type: at.le16(),
  length: at.le16(),
  /** The highest bit that says anything. */
  highestCapability: at.u8(),
  reserved0: at.bytes(3),
  capabilities: at.le32(),
  reserved1: at.le32(),
}));
