/**
 * Regions and namespaces: persistent ranges under the names that Linux gives them.
 *
 * Every range becomes a region, every region holds one namespace without a label, which spans it.
 * Linux 6.1's own listing is the judge of names, ids, alignment and who attaches.
 *
 * @module
 */
import { E820_TYPE_PRAM, E820_TYPE_SOFT_RESERVED } from "../format/e820.ts";
import { DaxError } from "../lib/errno.ts";
import type { PersistenceDomain } from "../media/media.ts";
import type { E820Entry } from "./e820.ts";
import type { PageMapPlace } from "./pfn-layout.ts";
import type { AddressRange } from "./resources.ts";

const PAGE = 4096n;
const DEFAULT_ALIGN = 16n << 20n;
/** Page structures come in sections of this much memory. */
const SUBSECTION = 2n << 20n;

/** Who reported a range: the e820 map (type 12), or the NFIT. */
export type RegionProvider = "e820" | "ACPI.NFIT";

/** A range of persistent (or, from the NFIT, volatile) memory, as firmware reports it. */
export interface ReportedRange extends AddressRange {
  readonly provider: RegionProvider;
  /** What is known of power loss; undefined where nobody said, as always in an e820 map. */
  readonly domain?: PersistenceDomain;
  /** `fsdax` wants page structures and 2 MiB alignment for them, `raw` does without. */
  readonly mode?: NamespaceMode;
  readonly readOnly?: boolean;
  /** Where page descriptors lie; none unless given. */
  readonly map?: PageMapPlace;
  /** Modules that share the range: allocations in it are made for all of them. */
  readonly mappings?: number;
  /** What the platform says of power loss; the domain unless given. Of a volatile range, too. */
  readonly platform?: PersistenceDomain;
}

/** How a namespace without a label is served. */
export type NamespaceMode = "fsdax" | "raw";

/** ndctl's words; `unknown` where the platform claims nothing. */
export type RegionPersistence = "cpu_cache" | "memory_controller" | "unknown";

/** A label-less namespace (`nd_namespace_io`): all of its region. */
export interface Namespace {
  /** `namespace0.0` */
  readonly name: string;
  /** The disk it becomes: `pmem0`. */
  readonly disk: string;
  readonly mode: NamespaceMode;
  /** Where its page descriptors lie. */
  readonly map: PageMapPlace;
}

/** One region. */
export interface Region extends AddressRange {
  readonly id: number;
  /** `region0` */
  readonly name: string;
  readonly provider: RegionProvider;
  readonly align: bigint;
  readonly volatile: boolean;
  readonly readOnly: boolean;
  /** Modules that share it: none in an e820 map, one in an NFIT that does not say. */
  readonly mappings: number;
  readonly persistence: RegionPersistence;
  readonly namespace: Namespace;
}

/** Ids that regions of every kind draw from, CXL's and soft-reserved memory's too. */
export class RegionIds {
  #next = 0;

  /** The next id, from 0. */
  take(): number {
    return this.#next++;
  }
}

/** The ranges that the e820 map itself makes devices of: type 12, each entry one. */
export function legacyRanges(entries: readonly E820Entry[]): AddressRange[] {
  return entries.filter(({ type, length }) => type === E820_TYPE_PRAM && length > 0n);
}

/** The ranges set aside for a specific purpose; each takes a region id before pmem does. */
export function softReservedRanges(entries: readonly E820Entry[]): AddressRange[] {
  return entries.filter(({ type, length }) => type === E820_TYPE_SOFT_RESERVED && length > 0n);
}

/** Makes a range a region with its namespace. */
export function createRegion(range: ReportedRange, ids: RegionIds): Region {
  const id = ids.take();
  const { start, length, provider, domain, readOnly = false, platform = domain } = range;
  return {
    id,
    name: `region${id}`,
    start,
    length,
    provider,
    align: defaultAlign(length, range.mappings),
    volatile: domain === "volatile",
    readOnly,
    mappings: range.mappings ?? (provider === "e820" ? 0 : 1),
    persistence: platform === "eadr" ? "cpu_cache" : known(platform),
    namespace: {
      name: `namespace${id}.0`,
      disk: namespaceDisk(id),
      mode: range.mode ?? (isMapped(range) ? "fsdax" : defaultMode(range)),
      map: range.map ?? "none",
    },
  };
}

function known(domain: PersistenceDomain | undefined): RegionPersistence {
  return domain === "adr" ? "memory_controller" : "unknown";
}

function isMapped({ map = "none" }: ReportedRange): boolean {
  return map !== "none";
}

/** Legacy ranges always want page structures; others where the range allows them. */
function defaultMode({ start, length, provider }: ReportedRange): NamespaceMode {
  return provider === "e820" || isSubsectionAligned(start, length) ? "fsdax" : "raw";
}

function isSubsectionAligned(start: bigint, length: bigint): boolean {
  return start % SUBSECTION === 0n && length % SUBSECTION === 0n;
}

/** The disk of namespace `id` of a region: `pmem1`, `pmem1.2`; with a BTT `pmem1.2s`. */
export function namespaceDisk(region: number, id = 0, claimedBy?: "btt"): string {
  return `pmem${region}${id === 0 ? "" : `.${id}`}${claimedBy === "btt" ? "s" : ""}`;
}

/**
 * The alignment of allocations in a region, in bytes: 16 MiB or a page in smaller ones, and where
 * `mappings` interleaved modules do not divide that, as many times as there are modules.
 */
export function defaultAlign(length: bigint, mappings = 0): bigint {
  const align = length < DEFAULT_ALIGN ? PAGE : DEFAULT_ALIGN;
  const ways = BigInt(Math.max(mappings, 1));
  return align % ways === 0n ? align : align * ways;
}

/**
 * Checks a value written to a region's `align`.
 * @throws EINVAL unless it is a power of two of at least a page for each of `mappings` modules,
 *   and no more than the region
 */
export function checkAlign(align: bigint, length: bigint, mappings = 0): void {
  const ways = BigInt(Math.max(mappings, 1));
  const each = align / ways;
  const powerOfTwo = each >= PAGE && (each & (each - 1n)) === 0n;
  if (align % ways === 0n && powerOfTwo && align <= length) return;
  throw new DaxError("EINVAL", {
    syscall: "align",
    detail:
      `${align} bytes for a region of ${length} over ${ways} modules; ` +
      "it takes a power of two of at least 4096 for each module, up to the region's size",
  });
}

/**
 * What a namespace needs before a driver may attach to it.
 * @throws ENODEV for less than a page, EOPNOTSUPP where page structures are wanted and the range is
 *   not made of 2 MiB sections, EINVAL off page borders, EOVERFLOW at or above 2^53
 */
export function checkAttach({ start, length, namespace }: Region): void {
  const refuse = (code: "ENODEV" | "EOPNOTSUPP" | "EINVAL" | "EOVERFLOW", why: string): never => {
    const range = `[mem 0x${start.toString(16)}-0x${(start + length - 1n).toString(16)}]`;
    throw new DaxError(code, { syscall: "probe", path: namespace.name, detail: `${range} ${why}` });
  };
  if (length < PAGE) refuse("ENODEV", "is smaller than a page");
  if (start + length > 2n ** 53n) refuse("EOVERFLOW", "reaches past 2^53, where daxkit ends");
  if (namespace.mode === "fsdax" && !isSubsectionAligned(start, length)) {
    refuse("EOPNOTSUPP", "misaligned, unable to map: page structures want multiples of 2 MiB");
  }
  if (start % PAGE !== 0n || length % PAGE !== 0n) {
    refuse("EINVAL", "does not consist of whole pages");
  }
}
