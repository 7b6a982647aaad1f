/** Regions of device-dax, and what tests do with them. */
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import type { DeviceRange } from "../../src/drivers/dax-ranges.ts";
import { DaxRegion, type DaxRegionOptions } from "../../src/drivers/dax-region.ts";
import type { DevDax } from "../../src/drivers/device-dax.ts";
import type { Addressing } from "../../src/drivers/fsdev.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { ResourceTree } from "../../src/platform/resources.ts";

export const MIB = 2 ** 20;
/** Where regions of tests begin. */
export const BASE = 2 ** 32;

/** A region of so many bytes that nobody uses yet; `daxR.0` has nothing. */
export function emptyRegion(length: number, options: Partial<DaxRegionOptions> = {}): DaxRegion {
  const resources = new ResourceTree();
  resources.insert(
    { start: BigInt(options.physicalStart ?? BASE), length: BigInt(length) },
    { name: "Soft Reserved", descriptor: "soft-reserved" },
  );
  const media = new RamMedia(length, { domains: [{ start: 0, length, domain: "adr" }] });
  const base = { id: 0, media, start: 0, physicalStart: BASE, length, resources };
  return new DaxRegion({ ...base, ...options });
}

/** A layout of a page in each range, neither in the order of the pages nor in that of addresses. */
export function shuffledPages(pages: number): (readonly [number, number, number])[] {
  const step = pages % 7 === 0 ? 11 : 7;
  return Array.from({ length: pages }, (_, i) => [(i * 5) % pages, (i * step) % pages, 1] as const);
}

/** A static device over the given ranges of poisonable media: pages, and bytes from its start. */
export function staticDevice(
  layout: readonly (readonly [pgoff: number, first: number, pages: number])[],
  options: Partial<DaxRegionOptions> = {},
): { device: DevDax; media: PoisonMedia } {
  const ranges: DeviceRange[] = layout.map(([pgoff, first, pages]) => {
    return { pgoff, start: BASE + first * PAGE_SIZE, length: pages * PAGE_SIZE };
  });
  const past = Math.max(...ranges.map(({ start, length }) => start + length));
  const length = past - BASE;
  const domains = [{ start: 0, length, domain: "adr" }] as const;
  const media = new PoisonMedia(new RamMedia(length, { domains }), { granularity: 512 });
  const region = new DaxRegion({
    id: 0,
    media,
    start: 0,
    physicalStart: BASE,
    length,
    align: PAGE_SIZE,
    layout: ranges,
    ...options,
  });
  return { device: region.device("dax0.0"), media };
}

/** The same, served to filesystems. */
export function fsdevOf(
  layout: readonly (readonly [pgoff: number, first: number, pages: number])[],
  options: Partial<DaxRegionOptions> & { readonly addressing?: Addressing } = {},
): { device: DevDax; media: PoisonMedia; dax: NonNullable<DevDax["dax"]> } {
  const { addressing = "linear", ...region } = options;
  const { device, media } = staticDevice(layout, region);
  device.bind("fsdev_dax", { addressing });
  const { dax } = device;
  if (dax === undefined) throw new Error("fsdev has no dax device");
  return { device, media, dax };
}
