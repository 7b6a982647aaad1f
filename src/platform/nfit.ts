/**
 * The NFIT: read as Linux's driver reads it, and written. Nothing in a table is believed: what does
 * not fit is left out, with a warning, as a kernel does; what makes it no table is refused.
 *
 * @module
 */
import {
  ACPI_NFIT_CAPABILITY_CACHE_FLUSH,
  ACPI_NFIT_CAPABILITY_MEM_FLUSH,
  ACPI_NFIT_LOCATION_COOKIE_VALID,
  ACPI_NFIT_MEM_NOT_ARMED,
  ACPI_NFIT_TYPE_CAPABILITIES,
  ACPI_NFIT_TYPE_CONTROL_REGION,
  ACPI_NFIT_TYPE_MEMORY_MAP,
  ACPI_NFIT_TYPE_SYSTEM_ADDRESS,
  NFIT_RANGE_GUIDS,
  NFIT_SIG,
  NfitCapabilities,
  NfitControlRegion,
  NfitHeader,
  NfitMemoryMap,
  NfitSubHeader,
  NfitSystemAddress,
} from "../format/nfit.ts";
import { DaxError } from "../lib/errno.ts";
import { type Memory, copyOf } from "../lib/memory.ts";
import { sizeof } from "../lib/struct.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { formatGuid, parseGuid } from "../lib/uuid.ts";
import type { PersistenceDomain } from "../media/media.ts";
import type { AddressRange } from "./resources.ts";

/** What a range is for; `unknown` for a GUID that is none of the specification's. */
export type NfitRangeKind = keyof typeof NFIT_RANGE_GUIDS | "unknown";

/** A range of addresses. */
export interface NfitRange extends AddressRange {
  /** What mappings name it by. */
  readonly index: number;
  readonly kind: NfitRangeKind;
}

/** A module's share of a range. */
export interface NfitMapping {
  /** Of the module. */
  readonly handle: number;
  readonly physicalId: number;
  /** The {@link NfitRange} that it is a share of; 0 for none. */
  readonly range: number;
  /** The control region that describes the module. */
  readonly controlRegion: number;
  readonly length: bigint;
  readonly ways: number;
  /** Whether the module saves at power loss what was written to it. */
  readonly armed: boolean;
}

/** What a module is. */
export interface NfitControl {
  readonly index: number;
  readonly vendor: number;
  readonly device: number;
  readonly serial: number;
  /** 0x301: memory without a battery, 0x101: with one, 0x201: blocks. */
  readonly code: number;
}

/** A table. */
export interface Nfit {
  readonly ranges: readonly NfitRange[];
  readonly mappings: readonly NfitMapping[];
  readonly controls: readonly NfitControl[];
  /** What the platform says of power loss: `eadr` saves CPU caches, `adr` what left them. */
  readonly domain: "eadr" | "adr" | undefined;
}

/** A table that was read. */
export interface ReadNfit extends Nfit {
  /** What was passed over, and why. */
  readonly warnings: readonly string[];
}

/** A range that becomes a region. */
export interface NfitRegion extends AddressRange {
  readonly kind: NfitRangeKind;
  /** Modules that share it. */
  readonly mappings: number;
  /** What survives; undefined where the platform does not say. */
  readonly domain: PersistenceDomain | undefined;
  /** What the platform says, of its volatile ranges as well. */
  readonly platform: Nfit["domain"];
  /** A module of it would not save what is written: Linux makes such a region read-only. */
  readonly readOnly: boolean;
}

const KINDS = new Map<string, NfitRangeKind>(
  Object.entries(NFIT_RANGE_GUIDS).map(([kind, guid]) => [guid, kind as NfitRangeKind]),
);
const VIRTUAL = /disk|CD$/u;
const COOKIE = 8;
/** A control region with block windows: the longest of what is read here. */
const CONTROL_BYTES = 80;

/**
 * Reads a table, as it lies in `/sys/firmware/acpi/tables/NFIT`.
 * @throws EINVAL for bytes that are no such table, EBADMSG for a sum that is not 0
 */
export function decodeNfit(bytes: Uint8Array): ReadNfit {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = checkHeader(bytes, view);
  const reader = new Reader(view, length);
  let at = sizeof(NfitHeader);
  while (at + sizeof(NfitSubHeader) <= length) {
    const size = NfitSubHeader.length.get(view, at);
    if (size === 0) {
      reader.warn(at, "has length 0, which ends the table");
      break;
    }
    if (size < sizeof(NfitSubHeader) || at + size > length) {
      reader.warn(at, `of ${size} bytes does not fit, which ends the table`);
      break;
    }
    reader.take(at, size);
    at += size;
  }
  return reader.table;
}

/** Checks what every table of ACPI has; returns its length. */
function checkHeader(bytes: Uint8Array, view: Memory): number {
  const least = sizeof(NfitHeader);
  if (bytes.length < least) refuse("EINVAL", `${bytes.length} bytes; a table has ${least} or more`);
  const signature = String.fromCharCode(...bytes.subarray(0, 4));
  if (signature !== NFIT_SIG) {
    refuse("EINVAL", `the signature is ${JSON.stringify(signature)}; it takes "${NFIT_SIG}"`);
  }
  const length = NfitHeader.length.get(view, 0);
  if (length < least || length > bytes.length) {
    refuse("EINVAL", `says it has ${length} bytes; there are ${bytes.length}`);
  }
  let sum = 0;
  for (let i = 0; i < length; i++) sum = (sum + (bytes[i] as number)) & 0xff;
  if (sum !== 0) refuse("EBADMSG", `its bytes sum to ${sum}, not to 0 modulo 256`);
  return length;
}

class Reader {
  readonly #view: Memory;
  readonly #length: number;
  readonly #seen = new Set<string>();
  readonly #ranges: NfitRange[] = [];
  readonly #mappings: NfitMapping[] = [];
  readonly #controls: NfitControl[] = [];
  readonly #warnings: string[] = [];
  #domain: Nfit["domain"];

  constructor(view: Memory, length: number) {
    this.#view = view;
    this.#length = length;
  }

  get table(): ReadNfit {
    return {
      ranges: this.#ranges,
      mappings: this.#mappings,
      controls: this.#controls,
      domain: this.#domain,
      warnings: this.#warnings,
    };
  }

  warn(at: number, what: string): void {
    const type = NfitSubHeader.type.get(this.#view, at);
    this.#warnings.push(`nfit: table of type ${type} at ${at} of ${this.#length} ${what}`);
  }

  /** One table within the table; what is not known is passed over without a word. */
  take(at: number, size: number): void {
    const type = NfitSubHeader.type.get(this.#view, at);
    // A table that is there twice counts once, as for Linux.
    const key = String.fromCharCode(...copyOf(this.#view, at, Math.min(size, CONTROL_BYTES)));
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (type === ACPI_NFIT_TYPE_SYSTEM_ADDRESS) this.#range(at, size);
    else if (type === ACPI_NFIT_TYPE_MEMORY_MAP) this.#mapping(at, size);
    else if (type === ACPI_NFIT_TYPE_CONTROL_REGION) this.#control(at, size);
    else if (type === ACPI_NFIT_TYPE_CAPABILITIES) this.#capabilities(at, size);
  }

  #isSized(at: number, size: number, wanted: number): boolean {
    if (size === wanted) return true;
    this.warn(at, `has ${size} bytes where ${wanted} were expected; it is left out`);
    return false;
  }

  #range(at: number, size: number): void {
    const view = this.#view;
    const field = NfitSystemAddress;
    const plain = sizeof(field);
    if (size < plain && !this.#isSized(at, size, plain)) return;
    const cookie = (field.flags.get(view, at) & ACPI_NFIT_LOCATION_COOKIE_VALID) === 0 ? 0 : COOKIE;
    if (!this.#isSized(at, size, plain + cookie)) return;
    this.#ranges.push({
      index: field.rangeIndex.get(view, at),
      kind: KINDS.get(formatGuid(field.rangeGuid.get(view, at))) ?? "unknown",
      start: field.address.get(view, at),
      length: field.bytes.get(view, at),
    });
  }

  #mapping(at: number, size: number): void {
    const view = this.#view;
    const field = NfitMemoryMap;
    if (!this.#isSized(at, size, sizeof(field))) return;
    this.#mappings.push({
      handle: field.deviceHandle.get(view, at),
      physicalId: field.physicalId.get(view, at),
      range: field.rangeIndex.get(view, at),
      controlRegion: field.regionIndex.get(view, at),
      length: field.regionSize.get(view, at),
      ways: field.interleaveWays.get(view, at),
      armed: (field.flags.get(view, at) & ACPI_NFIT_MEM_NOT_ARMED) === 0,
    });
  }

  /** 80 bytes, and 32 where the module has no block windows. */
  #control(at: number, size: number): void {
    const view = this.#view;
    const field = NfitControlRegion;
    const short = sizeof(field);
    if (size < short && !this.#isSized(at, size, short)) return;
    const windows = field.windows.get(view, at);
    if (windows !== 0 && !this.#isSized(at, size, CONTROL_BYTES)) return;
    this.#controls.push({
      index: field.regionIndex.get(view, at),
      vendor: field.vendorId.get(view, at),
      device: field.deviceId.get(view, at),
      serial: field.serialNumber.get(view, at),
      code: field.code.get(view, at),
    });
  }

  #capabilities(at: number, size: number): void {
    const view = this.#view;
    const field = NfitCapabilities;
    if (!this.#isSized(at, size, sizeof(field))) return;
    const highest = Math.min(field.highestCapability.get(view, at), 31);
    const valid = field.capabilities.get(view, at) % 2 ** (highest + 1);
    if ((valid & ACPI_NFIT_CAPABILITY_CACHE_FLUSH) !== 0) this.#domain = "eadr";
    else if ((valid & ACPI_NFIT_CAPABILITY_MEM_FLUSH) !== 0) this.#domain = "adr";
    else this.#domain = undefined;
  }
}

/**
 * The ranges that become regions, in the order of the table: memory, and disks and CDs that the
 * firmware keeps in memory. `warn` hears of those that cannot.
 */
export function nfitRegions(table: Nfit, warn: (what: string) => void = () => {}): NfitRegion[] {
  const regions: NfitRegion[] = [];
  for (const range of table.ranges) {
    const { kind, index, start, length } = range;
    const isVirtual = VIRTUAL.test(kind);
    if (kind !== "persistent" && kind !== "volatile" && !isVirtual) continue;
    const reason = whyNoRegion(range, isVirtual);
    if (reason !== undefined) {
      warn(`nfit: ${kind} range ${index} at 0x${start.toString(16)} ${reason}; no region`);
      continue;
    }
    const shares = table.mappings.filter((mapping) => index !== 0 && mapping.range === index);
    regions.push({
      start,
      length,
      kind,
      mappings: shares.length,
      domain: kind.startsWith("volatile") ? "volatile" : table.domain,
      platform: table.domain,
      readOnly: shares.some(({ armed }) => !armed),
    });
  }
  return regions;
}

function whyNoRegion({ index, start, length }: NfitRange, isVirtual: boolean): string | undefined {
  if (index === 0 && !isVirtual) return "has index 0, which no mapping can name";
  if (length === 0n) return "is empty";
  return start + length > 1n << 64n ? "reaches past the last address" : undefined;
}

/** The bytes of a table, with its sum; what the caller left out of it is zero. */
export function encodeNfit(table: Nfit): Uint8Array<ArrayBuffer> {
  const range = sizeof(NfitSystemAddress);
  const mapping = sizeof(NfitMemoryMap);
  const control = sizeof(NfitControlRegion);
  const capabilities = table.domain === undefined ? 0 : sizeof(NfitCapabilities);
  const bytes = new Uint8Array(
    sizeof(NfitHeader) +
      table.ranges.length * range +
      table.mappings.length * mapping +
      table.controls.length * control +
      capabilities,
  );
  const view = new DataView(bytes.buffer);
  let at = sizeof(NfitHeader);
  const begin = (type: number, size: number): number => {
    NfitSubHeader.type.set(view, at, type);
    NfitSubHeader.length.set(view, at, size);
    at += size;
    return at - size;
  };
  for (const each of table.ranges) {
    encodeRange(view, begin(ACPI_NFIT_TYPE_SYSTEM_ADDRESS, range), each);
  }
  for (const each of table.mappings) {
    encodeMapping(view, begin(ACPI_NFIT_TYPE_MEMORY_MAP, mapping), each);
  }
  for (const each of table.controls) {
    const place = begin(ACPI_NFIT_TYPE_CONTROL_REGION, control);
    NfitControlRegion.regionIndex.set(view, place, each.index);
    NfitControlRegion.vendorId.set(view, place, each.vendor);
    NfitControlRegion.deviceId.set(view, place, each.device);
    NfitControlRegion.serialNumber.set(view, place, each.serial);
    NfitControlRegion.code.set(view, place, each.code);
  }
  if (table.domain !== undefined) {
    const place = begin(ACPI_NFIT_TYPE_CAPABILITIES, capabilities);
    NfitCapabilities.highestCapability.set(view, place, 1);
    NfitCapabilities.capabilities.set(view, place, table.domain === "eadr" ? 3 : 2);
  }
  encodeHeader(bytes, view);
  return bytes;
}

function encodeHeader(bytes: Uint8Array, view: Memory): void {
  NfitHeader.signature.set(view, 0, encodeUtf8(NFIT_SIG));
  NfitHeader.length.set(view, 0, bytes.length);
  NfitHeader.revision.set(view, 0, 1);
  NfitHeader.oemId.set(view, 0, encodeUtf8("DAXKIT"));
  NfitHeader.oemTableId.set(view, 0, encodeUtf8("MACHINE"));
  NfitHeader.creatorId.set(view, 0, encodeUtf8("DAXK"));
  const sum = bytes.reduce((all, byte) => (all + byte) & 0xff, 0);
  NfitHeader.checksum.set(view, 0, (256 - sum) & 0xff);
}

function encodeRange(view: Memory, at: number, range: NfitRange): void {
  const guid = range.kind === "unknown" ? undefined : NFIT_RANGE_GUIDS[range.kind];
  NfitSystemAddress.rangeIndex.set(view, at, range.index);
  if (guid !== undefined) NfitSystemAddress.rangeGuid.set(view, at, parseGuid(guid));
  NfitSystemAddress.address.set(view, at, range.start);
  NfitSystemAddress.bytes.set(view, at, range.length);
}

function encodeMapping(view: Memory, at: number, mapping: NfitMapping): void {
  NfitMemoryMap.deviceHandle.set(view, at, mapping.handle);
  NfitMemoryMap.physicalId.set(view, at, mapping.physicalId);
  NfitMemoryMap.rangeIndex.set(view, at, mapping.range);
  NfitMemoryMap.regionIndex.set(view, at, mapping.controlRegion);
  NfitMemoryMap.regionSize.set(view, at, mapping.length);
  NfitMemoryMap.interleaveWays.set(view, at, mapping.ways);
  NfitMemoryMap.flags.set(view, at, mapping.armed ? 0 : ACPI_NFIT_MEM_NOT_ARMED);
}

function refuse(code: "EINVAL" | "EBADMSG", detail: string): never {
  throw new DaxError(code, { syscall: "nfit", detail });
}
