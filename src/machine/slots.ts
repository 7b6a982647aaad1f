/**
 * From the memory map and the modules to slots: which ranges may become devices, under which names,
 * on what memory.
 *
 * @module
 */
import type { E820Entry } from "../format/e820.ts";
import type { Caching } from "../media/media.ts";
import { RamMedia } from "../media/ram.ts";
import {
  type RegionIds,
  type ReportedRange,
  createRegion,
  legacyRanges,
  softReservedRanges,
} from "../platform/regions.ts";
import type { AddressRange, ResourceTree } from "../platform/resources.ts";
import { type Backing, type PlacedBacking, backingOf } from "./backing.ts";
import { type MachineDescription, PHYSICAL_LIMIT } from "./describe.ts";
import { Slot, type SlotContext } from "./slot.ts";

const MEMORY: Pick<Backing, "domains" | "domain" | "kind" | "file" | "modelled"> = {
  domains: undefined,
  domain: undefined,
  kind: "ram",
  file: undefined,
  modelled: undefined,
};

/**
 * Linux 4.1: a platform device for each type 12 entry, mapped uncached, since that kernel cannot
 * write caches back.
 */
export function platformDevices(
  { legacyPmem }: MachineDescription,
  memoryMap: readonly E820Entry[],
  context: SlotContext,
  placed: readonly PlacedBacking[],
  backings: Backing[],
): Slot[] {
  if (!legacyPmem) return [];
  return reachable(memoryMap, context).map((range, i) => {
    const find = backingFinder(range, placed, backings, "uncached");
    return new Slot(`pmem.${i}`, range, undefined, context, find);
  });
}

/** Today: a region with a namespace for each range, the NFIT's before those of the map. */
export function namespaces(
  { legacyPmem, pmem }: MachineDescription,
  memoryMap: readonly E820Entry[],
  context: SlotContext,
  ids: RegionIds,
  modules: readonly PlacedBacking[],
  placed: readonly PlacedBacking[],
  backings: Backing[],
): Slot[] {
  const described = pmem.filter(({ as }) => as === "nfit");
  const slots = modules.map(({ start, length, backing }, i) => {
    const { mode, map, reported } = described[i] ?? {};
    const range: ReportedRange = {
      start,
      length,
      provider: "ACPI.NFIT",
      ...(backing.domain === undefined ? {} : { domain: backing.domain }),
      ...(mode === undefined ? {} : { mode }),
      ...(map === undefined ? {} : { map }),
      ...reported,
      readOnly: reported?.readOnly === true || backing.media.readOnly,
    };
    if (backing.domain !== "volatile") insertPersistent(range, context.resources);
    return makeSlot(range, ids, context, () => ({ backing, offset: 0 }));
  });
  if (!legacyPmem) return slots;
  for (const range of reachable(memoryMap, context)) {
    slots.push(legacySlot(range, ids, context, placed, backings));
  }
  return slots;
}

/** Legacy ranges that the processor can address: others are in the map and nowhere else. */
function reachable(memoryMap: readonly E820Entry[], { log }: SlotContext): AddressRange[] {
  return legacyRanges(memoryMap).filter(({ start, length }) => {
    if (start + length <= PHYSICAL_LIMIT) return true;
    log.push(`e820_pmem: 0x${start.toString(16)}: past the processor's addresses, no device`);
    return false;
  });
}

function legacySlot(
  range: AddressRange,
  ids: RegionIds,
  context: SlotContext,
  placed: readonly PlacedBacking[],
  backings: Backing[],
): Slot {
  const holding = placed.findLast(
    ({ start, length }) => start <= range.start && start + length >= range.start + range.length,
  );
  const domain = holding?.backing.domain;
  const reported: ReportedRange = {
    start: range.start,
    length: range.length,
    provider: "e820",
    ...(domain === undefined ? {} : { domain }),
    readOnly: holding?.backing.media.readOnly ?? false,
  };
  return makeSlot(reported, ids, context, backingFinder(range, placed, backings));
}

function makeSlot(
  range: ReportedRange,
  ids: RegionIds,
  context: SlotContext,
  find: () => { readonly backing: Backing; readonly offset: number },
): Slot {
  const region = createRegion(range, ids);
  return new Slot(region.namespace.name, region, region, context, find);
}

/** What stands behind a range; memory that nobody described is made when a driver attaches. */
function backingFinder(
  range: AddressRange,
  placed: readonly PlacedBacking[],
  backings: Backing[],
  caching: Caching = "write-back",
): () => { readonly backing: Backing; readonly offset: number } {
  let fresh: Backing | undefined;
  return () => {
    const found = backingOf(range, placed);
    if (found !== undefined) return found;
    if (fresh === undefined) {
      const length = Number(range.length);
      const domains = [{ start: 0, length, domain: "adr" }] as const;
      const ways = caching === "write-back" ? [] : [{ start: 0, length, caching }];
      fresh = { ...MEMORY, media: new RamMedia(length, { domains, caching: ways }), length };
      backings.push(fresh);
    }
    return { backing: fresh, offset: 0 };
  };
}

/**
 * Memory set aside for a purpose is a device of its own kind, and takes a region id first: the
 * ranges with their ids.
 */
export function reserveSoftMemory(
  memoryMap: readonly E820Entry[],
  resources: ResourceTree,
  ids: RegionIds,
): (AddressRange & { readonly id: number })[] {
  return softReservedRanges(memoryMap).map(({ start, length }) => {
    const id = ids.take();
    const attributes = { name: `hmem.${id}`, descriptor: "soft-reserved" } as const;
    resources.tryInsert({ start, length }, attributes);
    return { start, length, id };
  });
}

/** The NFIT names its ranges in the tree, unless the e820 map did so already. */
function insertPersistent(range: AddressRange, resources: ResourceTree): void {
  const descriptor = "persistent-memory";
  if (resources.intersects(range, { descriptor }) === "intersects") return;
  // Where something else is in the way, attaching finds it too, and says so.
  resources.tryInsert(range, { name: "Persistent Memory", descriptor });
}
