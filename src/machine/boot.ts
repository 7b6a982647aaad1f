/**
 * Booting: from a description to a machine, in the order in which a kernel goes about it. The same
 * description gives the same machine.
 *
 * @module
 */
import { DeviceNumbers } from "../block/device-numbers.ts";
import { DaxHosts } from "../dax/hosts.ts";
import { type Brd, createBrd } from "../drivers/brd.ts";
import { E820_TYPE_RAM, type E820Entry } from "../format/e820.ts";
import { type Environment, seededEnvironment } from "../lib/environment.ts";
import { Prng } from "../lib/prng.ts";
import { formatUuid, randomUuid } from "../lib/uuid.ts";
import { reserveEarly, reserveLate } from "../platform/iomem.ts";
import { RegionIds } from "../platform/regions.ts";
import { type AddressRange, ResourceTree } from "../platform/resources.ts";
import {
  type Backing,
  type MachineHost,
  type PlacedBacking,
  memoryHost,
  openBacking,
} from "./backing.ts";
import { type MachineDescription, PHYSICAL_LIMIT, describeMachine } from "./describe.ts";
import { type Unplaced, placeModules } from "./firmware.ts";
import { withFirmwareTable } from "./firmware-table.ts";
import type { MachineInput } from "./input.ts";
import { Machine } from "./machine.ts";
import { buildMap } from "./memory-map.ts";
import type { SlotContext } from "./slot.ts";
import { namespaces, platformDevices, reserveSoftMemory } from "./slots.ts";
import { type PlacedSpecial, SpecialDevices } from "./special-devices.ts";

/**
 * Boots a machine: firmware's map, options, the resource tree, then devices. A device that refuses
 * to attach does not stop the others: see `Machine.failures`.
 *
 * @param environment follows from the description's seed unless given
 * @throws DescriptionError (EINVAL) for a bad description, EINVAL where the options leave no map
 *   that a kernel could boot with, what the host throws for a file
 */
export function bootMachine(
  input: MachineInput,
  host: MachineHost = memoryHost,
  environment?: Environment,
): Machine {
  const description = describeMachine(input);
  const backings: Backing[] = [];
  try {
    const log: string[] = [];
    const complete = withFirmwareTable(description, host, log);
    return boot(complete, host, environment ?? seededEnvironment(complete.seed), backings, log);
  } catch (error) {
    for (const { media } of backings) media.close();
    throw error;
  }
}

function boot(
  description: MachineDescription,
  host: MachineHost,
  environment: Environment,
  backings: Backing[],
  log: string[],
): Machine {
  const { profile, seed } = description;
  const { modules, special } = openModules(description, host, backings);
  const marked = openMarked(description, host, backings);
  const reported = modules.filter((_, i) => description.pmem[i]?.as === "e820");
  const memoryMap = buildMap(description, reported, special.dax, log);
  const resources = new ResourceTree("PCI mem", PHYSICAL_LIMIT - 1n);
  reserveEarly(resources, memoryMap, profile);
  log.push(...reserveLate(resources, memoryMap, profile));
  const context: SlotContext = {
    profile,
    resources,
    hosts: new DaxHosts(),
    numbers: new DeviceNumbers(profile),
    nextIndex: 0,
    log,
  };
  const ids = new RegionIds();
  const soft = profile === "v4.1" ? [] : reserveSoftMemory(memoryMap, resources, ids);
  const firmware = modules.filter((_, i) => description.pmem[i]?.as === "nfit");
  const slots =
    profile === "v4.1"
      ? platformDevices(description, memoryMap, context, [...modules, ...marked], backings)
      : namespaces(
          description,
          memoryMap,
          context,
          ids,
          firmware,
          [...reported, ...marked],
          backings,
        );
  const machine = new Machine({
    description,
    uuid: formatUuid(randomUuid(new Prng(seed))),
    environment,
    memoryMap,
    resources,
    hosts: context.hosts,
    numbers: context.numbers,
    slots,
    ramDisks: makeRamDisks(description, context.hosts),
    special: new SpecialDevices(description, special, soft, {
      resources,
      hosts: context.hosts,
      trace: environment.trace,
      ramEnd: ramEndOf(memoryMap),
      drivers: ["device_dax", ...(description.fsdev ? (["fsdev_dax"] as const) : []), "kmem"],
      backings,
    }),
    backings,
    log,
  });
  if (description.probe === "boot") machine.probe();
  return machine;
}

/** Opens what the modules are made of; sizes decide where they go. */
function openModules(
  description: MachineDescription,
  host: MachineHost,
  backings: Backing[],
): { readonly modules: PlacedBacking[]; readonly special: PlacedSpecial } {
  const { pmem, dax, axonram, dcssblk, profile } = description;
  const open = (described: typeof pmem | typeof dax, key: string): [Unplaced, Backing][] =>
    described.map((module, i) => {
      const backing = openBacking(module, module.size, host, profile, [key, i]);
      backings.push(backing);
      return [{ start: module.start, size: backing.length }, backing];
    });
  const opened = [...open(pmem, "pmem"), ...open(dax, "dax")];
  const segments = dcssblk.flatMap((disk) => disk.segments);
  const ranges = placeModules(description, [
    ...opened.map(([place]) => place),
    ...axonram,
    ...segments,
  ]);
  const placed = opened.map(([, backing], i) => ({ ...(ranges[i] as AddressRange), backing }));
  const banks = opened.length + axonram.length;
  return {
    modules: placed.slice(0, pmem.length),
    special: {
      dax: placed.slice(pmem.length),
      axonram: ranges.slice(opened.length, banks),
      segments: ranges.slice(banks),
    },
  };
}

/** Where ordinary memory ends. */
function ramEndOf(memoryMap: readonly E820Entry[]): number {
  const ends = memoryMap.flatMap(({ type, start, length }) =>
    type === E820_TYPE_RAM ? [Number(start + length)] : [],
  );
  return Math.max(0, ...ends);
}

/** Opens what stands behind ranges that options mark. */
function openMarked(
  { memmap, profile }: MachineDescription,
  host: MachineHost,
  backings: Backing[],
): PlacedBacking[] {
  return memmap.flatMap(({ backing: described }, i) => {
    if (described === undefined) return [];
    const { start, length } = described.range;
    const backing = openBacking(described, Number(length), host, profile, ["memmap", i]);
    backings.push(backing);
    return [{ start, length, backing }];
  });
}

function makeRamDisks({ brd }: MachineDescription, hosts: DaxHosts): Brd[] {
  return brd.map((size, i) => createBrd({ name: `ram${i}`, size, hosts }));
}
