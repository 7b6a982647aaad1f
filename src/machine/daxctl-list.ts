/**
 * Device-dax in the words of `daxctl list`: the same keys in the same order. A device in mode
 * `fsdev` is one that daxctl has no word for.
 *
 * @module
 */
import { PAGE_SIZE } from "../dax/operations.ts";
import type { DaxRegion } from "../drivers/dax-region.ts";
import type { DevDax } from "../drivers/device-dax.ts";
import { type Json, ndctlSize } from "./list.ts";
import type { Machine } from "./machine.ts";
import { DAX_MODES } from "./special-devices.ts";

/** `daxctl list`'s options. */
export interface DaxctlListOptions {
  /** `-R`: regions, with their devices. */
  readonly regions?: boolean;
  /** `-i`: what is disabled, or has no memory, too. */
  readonly idle?: boolean;
  /** `-u`: sizes for people, addresses in hexadecimal, no list around a single item. */
  readonly human?: boolean;
  /** `-M`: the ranges of each device. */
  readonly mappings?: boolean;
}

/** What `daxctl list` prints; undefined where it prints nothing. */
export function daxctlList(machine: Machine, options: DaxctlListOptions = {}): Json | undefined {
  const { regions = false, human = false } = options;
  const items = regions
    ? machine.daxRegions.map((region) => regionOf(region, options))
    : machine.daxRegions.flatMap((region) => devicesOf(region, options));
  if (items.length === 0) return undefined;
  return human && items.length === 1 ? items[0] : items;
}

function regionOf(region: DaxRegion, options: DaxctlListOptions): Json {
  const { id, span, align, availableSize } = region;
  const devices = devicesOf(region, options);
  return {
    path: `/platform/hmem.${id}`,
    id,
    size: sizeOf(span.length, options),
    ...(availableSize === 0 ? {} : { available_size: sizeOf(availableSize, options) }),
    align,
    ...(devices.length === 0 ? {} : { devices }),
  };
}

function devicesOf(region: DaxRegion, options: DaxctlListOptions): Json[] {
  const { idle = false } = options;
  const listed = region.devices.filter(({ driver }) => idle || driver !== undefined);
  return listed.map((device) => deviceOf(device, options));
}

function deviceOf(device: DevDax, options: DaxctlListOptions): Json {
  const { name, size, align, driver, memory, ranges, region } = device;
  const blocks =
    memory === undefined
      ? {}
      : { online_memblocks: memory.onlineBlocks, total_memblocks: memory.blocks };
  const mappings = ranges.map(({ pgoff, start, length }) => ({
    page_offset: hex(pgoff * PAGE_SIZE, options),
    start: hex(start, options),
    end: hex(start + length - 1, options),
    size: sizeOf(length, options),
  }));
  return {
    chardev: name,
    size: sizeOf(size, options),
    ...(region.targetNode < 0 ? {} : { target_node: region.targetNode }),
    align,
    mode: DAX_MODES[driver ?? "device_dax"],
    ...blocks,
    ...(driver === undefined ? { state: "disabled" } : {}),
    ...(options.mappings === true ? { mappings } : {}),
  };
}

function sizeOf(bytes: number, { human = false }: DaxctlListOptions): Json {
  return human ? ndctlSize(bytes) : bytes;
}

function hex(value: number, { human = false }: DaxctlListOptions): Json {
  if (!human) return value;
  return value === 0 ? "0" : `0x${value.toString(16)}`;
}
