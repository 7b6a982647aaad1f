/**
 * Where the page descriptors of a namespace go, what they cost and what is left: libnvdimm's
 * arithmetic (`nd_pfn_init`), as a plan that touches nothing.
 *
 * @module
 */
import { PFN_INFO_RESERVE } from "../format/pfn.ts";
import { DaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import { formatSize } from "../lib/size.ts";
import type { Caching } from "../media/media.ts";

/** Bytes of a page. */
export const DESCRIBED_PAGE = 4096;
/** Bytes of a page descriptor (`struct page`): one cache line. */
export const PAGE_DESCRIPTOR = 64;
/** Data lies at multiples of this, whatever is asked for: memory is plugged in by sub-sections. */
const SUBSECTION = 2 << 20;

/** Alignments that a namespace may have. */
export const PFN_ALIGNS: readonly number[] = [4096, 2 << 20, 1 << 30];

/** Where descriptors lie: nowhere, in ordinary memory, or on the device in front of the data. */
export type PageMapPlace = "none" | "mem" | "dev";

/** What is to be planned. */
export interface PageMapRequest {
  /** Bytes of the namespace. */
  readonly size: number;
  readonly map: PageMapPlace;
  /** Bytes; 2 MiB unless given. */
  readonly align?: number;
  /** Physical address of the namespace; 4 GiB unless given. */
  readonly base?: number;
  /** `write-back` unless given. */
  readonly caching?: Caching;
}

/** The plan. All sizes are in bytes. */
export interface PageMapPlan {
  readonly map: PageMapPlace;
  readonly size: number;
  readonly align: number;
  readonly base: number;
  /** Pages that get a descriptor: of the whole namespace, as Linux counts. */
  readonly descriptors: number;
  /** What the descriptors take. */
  readonly cost: number;
  /** Of `cost`, what ordinary memory gives. */
  readonly costInMemory: number;
  /** Of `cost`, what the device gives. */
  readonly costOnDevice: number;
  /** The first byte of data, from the start of the namespace. */
  readonly dataOffset: number;
  /** Pages of data. */
  readonly npfns: number;
  /** Bytes of data. */
  readonly data: number;
  /** Bytes at the end that no alignment reaches. */
  readonly endTrunc: number;
  /** Between the info block and the data: pages that may hold descriptors. */
  readonly reserve: number;
  /** Of `reserve`, what the descriptors leave: the price of alignment. */
  readonly reserveUnused: number;
}

/**
 * Plans a namespace.
 * @throws EINVAL for sizes and alignments that cannot be, ENXIO where nothing is left for data,
 *   EOPNOTSUPP for descriptors on a device whose memory is not cached
 */
export function planPageMap(request: PageMapRequest): PageMapPlan {
  const { size, map, align = SUBSECTION, base = 2 ** 32, caching = "write-back" } = request;
  checkRequest(size, align, base);
  if (map === "none") return planWithout(size, align, base);
  if (map === "dev" && caching === "uncached") refuseUncached();
  const unit = Math.max(align, SUBSECTION);
  const descriptors = Math.floor((size - PFN_INFO_RESERVE) / DESCRIBED_PAGE);
  const cost = descriptors * PAGE_DESCRIPTOR;
  const onDevice = map === "dev" ? cost : 0;
  const endTrunc = modulo(base, size, unit);
  const dataOffset = roundUp(base + PFN_INFO_RESERVE + onDevice, unit) - base;
  if (dataOffset >= size - endTrunc) refuseAlign(size, align, map, dataOffset + endTrunc);
  const npfns = Math.floor((size - dataOffset - endTrunc) / DESCRIBED_PAGE);
  const reserve = dataOffset - PFN_INFO_RESERVE;
  return {
    map,
    size,
    align,
    base,
    descriptors,
    cost,
    costInMemory: cost - onDevice,
    costOnDevice: onDevice,
    dataOffset,
    npfns,
    data: npfns * DESCRIBED_PAGE,
    endTrunc,
    reserve,
    reserveUnused: reserve - onDevice,
  };
}

/** Plain block storage: no descriptors, no info block. */
function planWithout(size: number, align: number, base: number): PageMapPlan {
  const npfns = Math.floor(size / DESCRIBED_PAGE);
  const nothing = { descriptors: 0, cost: 0, costInMemory: 0, costOnDevice: 0, dataOffset: 0 };
  const data = npfns * DESCRIBED_PAGE;
  const rest = { npfns, data, endTrunc: size - data, reserve: 0, reserveUnused: 0 };
  return { map: "none", size, align, base, ...nothing, ...rest };
}

function checkRequest(size: number, align: number, base: number): void {
  if (!Number.isSafeInteger(size) || size < DESCRIBED_PAGE || !Number.isSafeInteger(base + size)) {
    throw refused("EINVAL", `a namespace of ${size} bytes at ${base}; give at least a page`);
  }
  if (!PFN_ALIGNS.includes(align)) {
    const known = PFN_ALIGNS.map(formatSize).join(", ");
    throw refused("EINVAL", `an alignment of ${align} bytes; there are ${known}`);
  }
  if (base < 0 || base % SUBSECTION !== 0) {
    throw refused("EINVAL", `address ${base} is misaligned; it takes a multiple of 2 MiB`);
  }
}

/** Each descriptor is changed whenever its page is used: without a cache that is unbearable. */
function refuseUncached(): never {
  throw refused(
    "EOPNOTSUPP",
    "page descriptors on uncached memory; map it write-through or cached, or take --map mem",
  );
}

function refuseAlign(size: number, align: number, map: PageMapPlace, lost: number): never {
  throw refused(
    "ENXIO",
    `unable to satisfy requested alignment: ${formatSize(align)} with map ${map} takes ` +
      `${formatSize(lost)} of ${formatSize(size)}; take a smaller alignment or a larger namespace`,
  );
}

function refused(code: "EINVAL" | "ENXIO" | "EOPNOTSUPP", detail: string): DaxError {
  return new DaxError(code, { syscall: "plan", detail });
}

/** `(a + b) mod unit`, exact where the sum is below 2^53. */
function modulo(a: number, b: number, unit: number): number {
  return (a + b) % unit;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** What the memory is made of, as far as it matters where descriptors lie. */
export type MediaKind = "dram" | "wearing" | "foreign";

const MEDIA_KINDS: readonly MediaKind[] = ["dram", "wearing", "foreign"];

/** What is advised, and why. The choice is the user's. */
export interface PageMapAdvice {
  readonly map: PageMapPlace;
  readonly why: string;
}

/**
 * Where descriptors should lie on memory of a kind: `dram` with a battery, `wearing` media that
 * last for so many writes, `foreign` memory that the CPU does not own (behind PCI). Nothing is
 * chosen for anybody: without a `map` a namespace stays plain block storage.
 *
 * @param memory bytes of ordinary memory that the machine has
 * @throws EINVAL for what is no kind, or no size
 */
export function advisePageMap(kind: MediaKind, size: number, memory: number): PageMapAdvice {
  if (!MEDIA_KINDS.includes(kind)) {
    throw refused(
      "EINVAL",
      `the kinds are ${MEDIA_KINDS.join(", ")}; given was ${givenText(kind)}`,
    );
  }
  for (const bytes of [size, memory]) {
    if (Number.isSafeInteger(bytes) && bytes >= 0) continue;
    throw refused("EINVAL", `a size is a number of bytes; given was ${givenText(bytes)}`);
  }
  const cost = Math.floor(size / DESCRIBED_PAGE) * PAGE_DESCRIPTOR;
  const share = `${formatSize(cost)} of descriptors`;
  if (kind === "foreign") {
    return { map: "none", why: "the CPU cannot count on this memory: serve it as a disk" };
  }
  const affordable = cost * 16 <= memory;
  if (affordable) {
    return { map: "mem", why: `${share} are little beside ${formatSize(memory)} of memory` };
  }
  if (kind === "dram") {
    return {
      map: "dev",
      why: `${share} are much for ${formatSize(memory)}, and DRAM does not wear`,
    };
  }
  return {
    map: "none",
    why:
      `${share} are much for ${formatSize(memory)}, ` +
      "and on media that wear each use of a page would write one",
  };
}
