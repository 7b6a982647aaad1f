/** Caches of writes: what was promised is at home or in the cache, wherever power goes. */
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { explore } from "../../../src/crash/explorer.ts";
import type { MappedDevice } from "../../../src/dm/mapped-device.ts";
import { createPmem } from "../../../src/drivers/pmem.ts";
import { ModelledMedia } from "../../../src/media/modelled.ts";
import { noise, same } from "../bytes.ts";
import { mapperOver } from "../mapped.ts";
import { Cached } from "./cached.ts";
import { type Story, objectionOf } from "./story.ts";

/** Sectors of the origin; each is a block. */
const SECTORS = 16;
const ORIGIN = noise(1, SECTORS * 512);
/** Bytes of the cache: room for some ten blocks. */
const CACHE = 6144;

const tableOf = (mode: string, options = "0"): string =>
  `0 ${SECTORS} writecache ${mode} p q 512 ${options}`;

/** What sectors hold from now on. */
type Promising = (sector: number, bytes: Uint8Array) => void;

/** Each way to make something durable, and to bring it home. */
function useCache(device: MappedDevice, promise: Promising): void {
  device.write(0, noise(2, 512), { fua: true });
  promise(0, noise(2, 512));
  device.write(1, noise(3, 512));
  device.flush();
  promise(1, noise(3, 512));
  // The newer block's entry lies in another cache line than the older one's.
  device.write(8, noise(5, 2048));
  device.write(1, noise(4, 512));
  device.flush();
  promise(1, noise(4, 512));
  device.message(0, "flush");
  device.write(2, noise(5, 1024));
  device.flush();
  promise(2, noise(5, 512));
  promise(3, noise(5, 1024).subarray(512));
  // More than the cache holds.
  for (let sector = 4; sector < SECTORS; sector++) device.write(sector, noise(sector, 512));
  device.flush();
  for (let sector = 4; sector < SECTORS; sector++) promise(sector, noise(sector, 512));
  device.write(5, noise(6, 512));
  device.suspend();
  promise(5, noise(6, 512));
}

/** Reads what is promised; the last word on a sector counts, and until then the one before. */
function isKept(found: Uint8Array, promised: ReadonlyMap<number, readonly Uint8Array[]>): boolean {
  return [...promised].every(([sector, allowed]) => {
    const there = found.subarray(sector * 512, (sector + 1) * 512);
    return allowed.some((bytes) => same(there, bytes));
  });
}

function contents(device: MappedDevice): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  device.read(0, bytes);
  return bytes;
}

const disk = (name: string, bytes: Uint8Array): RamDisk =>
  new RamDisk({ name, bytes: bytes.slice() });

/** On disks with caches of their own: held against what is durable when it is promised. */
function onDisks(table: string): string | undefined {
  const p = new Cached("p", ORIGIN);
  const q = new Cached("q", new Uint8Array(CACHE));
  const look = (home: Uint8Array, cache: Uint8Array): Uint8Array | string => {
    try {
      const { mapper } = mapperOver({ p: disk("p", home), q: disk("q", cache) });
      return contents(mapper.create("y", table));
    } catch (error) {
      return (error as Error).message;
    }
  };
  const media = new ModelledMedia(4096);
  const other = createPmem({ name: "o", media, start: 0, length: 4096, physicalStart: 0 }).disk;
  const promised = new Map<number, Uint8Array>();
  let said: string | undefined;
  const hold = (home: Uint8Array, cache: Uint8Array): void => {
    const found = look(home, cache);
    if (typeof found === "string") said ??= found;
    else {
      const lost = [...promised].find(([sector, bytes]) => {
        return !same(found.subarray(sector * 512, (sector + 1) * 512), bytes);
      });
      if (lost !== undefined) said ??= `sector ${lost[0]} may be lost`;
    }
  };
  // What is on its way may have arrived, or not.
  q.after = () => {
    hold(p.durable, q.durable);
    hold(p.bytes, q.durable);
  };
  p.after = q.after;
  const keep: Promising = (sector, bytes) => {
    promised.set(sector, bytes);
    hold(p.durable, q.durable);
    // Of another device: whatever was put off until then has happened.
    other.flush();
  };
  const device = mapperOver({ p, q }).mapper.create("x", table);
  useCacheOnDisk(device, keep, (sector) => promised.delete(sector));
  return said;
}

/** As above, without changes of what was promised: a disk's blocks are overwritten in place. */
function useCacheOnDisk(
  device: MappedDevice,
  promise: Promising,
  withdraw: (sector: number) => void,
): void {
  device.write(0, noise(2, 512), { fua: true });
  promise(0, noise(2, 512));
  for (const sector of [1, 2, 3, 4, 5]) {
    device.write(sector, noise(sector, 512));
    device.flush();
    promise(sector, noise(sector, 512));
  }
  device.message(0, "flush");
  device.write(6, noise(6, 1024));
  device.flush();
  promise(6, noise(6, 512));
  withdraw(6);
  device.write(6, noise(7, 512));
  promise(7, noise(6, 1024).subarray(512));
  device.flush();
  promise(6, noise(7, 512));
  for (let sector = 8; sector < SECTORS; sector++) device.write(sector, noise(sector, 512));
  device.flush();
  for (let sector = 8; sector < SECTORS; sector++) promise(sector, noise(sector, 512));
  device.message(0, "cleaner");
  withdraw(15);
  device.write(15, noise(20, 512), { fua: true });
  promise(15, noise(20, 512));
  withdraw(14);
  device.write(14, noise(21, 512));
  device.flush();
  promise(14, noise(21, 512));
}

/** An origin that keeps at once what it is given, and tells of it. */
class Steady extends RamDisk {
  readonly bytes: Uint8Array;
  after: () => void = () => {};

  constructor(bytes: Uint8Array) {
    super({ name: "p", bytes });
    this.bytes = bytes;
  }

  override write(sector: number, source: Uint8Array): void {
    super.write(sector, source);
    this.after();
  }
}

/** What was promised at an instant, and what the origin holds then. */
interface Instant {
  readonly home: Uint8Array;
  readonly promised: ReadonlyMap<number, readonly Uint8Array[]>;
}

/** A cache in persistent memory: every state that a power cut may leave of it. */
function inMemory(table: string): string | undefined {
  const initial = new Uint8Array(8192);
  const media = new ModelledMedia(initial.length);
  const deviceOn = (memory: ModelledMedia, p: RamDisk): MappedDevice => {
    const options = { name: "q", media: memory, start: 0, length: 8192, physicalStart: 0 };
    return mapperOver({ p, q: createPmem(options).disk }).mapper.create("x", table);
  };
  const origin = new Steady(ORIGIN.slice());
  const promised = new Map<number, readonly Uint8Array[]>();
  const tell = (): void => media.ack({ home: origin.bytes.slice(), promised: new Map(promised) });
  origin.after = tell;
  useCache(deviceOn(media, origin), (sector, bytes) => {
    promised.set(sector, [bytes.slice()]);
    tell();
  });
  // Sectors that are written again may hold the new bytes before these are promised.
  const later = new Map([
    [1, [noise(4, 512)]],
    [5, [noise(6, 512)]],
  ]);
  const check = (memory: ModelledMedia, acked: readonly unknown[]): string | true => {
    const last = (acked.at(-1) ?? { home: ORIGIN, promised: new Map() }) as Instant;
    const allowed = new Map(
      [...last.promised].map(([sector, all]) => [sector, [...all, ...(later.get(sector) ?? [])]]),
    );
    const found = contents(deviceOn(memory, disk("p", last.home)));
    return isKept(found, allowed) || "something promised is lost";
  };
  return objectionOf(
    explore({
      initial,
      modelled: {},
      trace: media.trace,
      torn: "line",
      depth: 1,
      budget: { leaves: 4000, steps: 20_000_000 },
      stopAtFirst: true,
      program: { check },
    }),
  );
}

export const stories: readonly Story[] = [
  { name: "dm: a cache on a disk", run: () => onDisks(tableOf("s")) },
  { name: "dm: a cache in memory", run: () => inMemory(tableOf("p")) },
  {
    name: "dm: a cache in memory that commits often",
    run: () => inMemory(tableOf("p", "2 autocommit_blocks 1")),
  },
];
