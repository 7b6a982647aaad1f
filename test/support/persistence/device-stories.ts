/** Devices, one above the other: what a flush, a fence or a FUA write promised is there. */
import type { BlockDevice } from "../../../src/block/block-device.ts";
import { DaxDisk } from "../../../src/block/dax-disk.ts";
import { FaultyDevice } from "../../../src/block/fault-injection.ts";
import { PageCache } from "../../../src/block/page-cache.ts";
import { Partition } from "../../../src/block/partition.ts";
import { RecordedDevice } from "../../../src/block/recorded-device.ts";
import { RecordedMedia } from "../../../src/block/recorded-media.ts";
import { LogWriter } from "../../../src/block/write-log-writer.ts";
import { SectorContents, SectorDisk } from "../../../src/crash/sector-disk.ts";
import { AddressSpace, type Area } from "../../../src/dax/address-space.ts";
import { DaxDevice } from "../../../src/dax/dax-device.ts";
import { daxAsIn } from "../../../src/dax/profiles.ts";
import { type DaxOperations, PAGE_SIZE } from "../../../src/dax/operations.ts";
import { runToEnd } from "../../../src/dax/steps.ts";
import { createPmem, type Pmem, type PmemOptions } from "../../../src/drivers/pmem.ts";
import { explore } from "../../../src/crash/explorer.ts";
import { silent } from "../../../src/lib/environment.ts";
import { copyIn } from "../../../src/lib/memory.ts";
import { mapMedia } from "../../../src/media/mapping.ts";
import type { DomainRange, Media } from "../../../src/media/media.ts";
import { ModelledMedia, type ModelledOptions } from "../../../src/media/modelled.ts";
import { PoisonMedia } from "../../../src/media/poison.ts";
import { BlockStore } from "../../../src/nbd/block-store.ts";
import { MediaStore } from "../../../src/nbd/media-store.ts";
import { RecordedStore } from "../../../src/nbd/recorded-store.ts";
import { SliceStore } from "../../../src/nbd/slice-store.ts";
import type { NbdStore } from "../../../src/nbd/store.ts";
import { recordBase } from "../../../src/node/nbd/record-export.ts";
import { serveNbd } from "../../../src/node/nbd/server.ts";
import { FaultInjector, PoisonedDevice } from "../../../src/node/prove/fault-injector.ts";
import { claimRange } from "../../../src/platform/claim.ts";
import { ResourceTree } from "../../../src/platform/resources.ts";
import { noise, same } from "../bytes.ts";
import { MemoryLog } from "../memory-log.ts";
import { NbdClient, nbdWorkload } from "../nbd-promises.ts";
import { type Promising, brokenPromise, durableInLog } from "./promises.ts";
import { type Story, objectionOf } from "./story.ts";

const SIZE = 8 * PAGE_SIZE;

export function pmemOn(media: Media, options: Partial<PmemOptions> = {}): Pmem {
  return createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0, ...options });
}

/** Each way to make something durable, in sectors of its own; the device begins at byte `first`. */
function useDisk(device: BlockDevice, promise: Promising, first = 0): void {
  device.write(3, noise(1, 1024), { fua: true });
  promise(first + 1536, noise(1, 1024));
  device.write(10, noise(2, 512));
  device.flush();
  promise(first + 5120, noise(2, 512));
  device.writeBytes(13 * 512 + 7, noise(3, 100));
  device.flush();
  promise(first + 13 * 512 + 7, noise(3, 100));
  device.writeZeroes(20, 1);
  device.flush();
  promise(first + 20 * 512, new Uint8Array(512));
}

type Above = (media: ModelledMedia) => readonly [device: BlockDevice, first: number];

const unheard = (): LogWriter => new LogWriter(new MemoryLog());

const disks: Readonly<Record<string, Above>> = {
  "a pmem disk": (media) => [pmemOn(media).disk, 0],
  "a pmem disk, around the cache": (media) => [pmemOn(media, { nonTemporalFrom: 128 }).disk, 0],
  "a traced pmem disk": (media) => [pmemOn(media, { trace: silent }).disk, 0],
  "a partition": (media) => {
    const { disk } = pmemOn(media);
    return [new Partition(disk, { name: "pmem0p1", start: 9, sectors: 50 }), 9 * 512];
  },
  "a page cache": (media) => [new PageCache(pmemOn(media).disk), 0],
  "failure injection": (media) => [new FaultyDevice(pmemOn(media).disk), 0],
  "a disk over dax": (media) => [new DaxDisk(pmemOn(media).dax), 0],
  "a disk over traced dax": (media) => [new DaxDisk(pmemOn(media, { trace: silent }).dax), 0],
  "a recorded disk": (media) => [new RecordedDevice(pmemOn(media).disk, unheard()), 0],
  "a disk of which some requests fail": (media) => {
    return [new FaultInjector().device(pmemOn(media).disk), 0];
  },
  "a disk with bad sectors": (media) => {
    return [new PoisonedDevice(pmemOn(media).disk, [60], () => {}), 0];
  },
  "media with poison": (media) => [pmemOn(new PoisonMedia(media)).disk, 0],
  "recorded media": (media) => [pmemOn(new RecordedMedia(media, unheard())).disk, 0],
  "recorded media without stores around the cache": (media) => {
    const recorded = new RecordedMedia(withoutNonTemporal(media), unheard());
    return [pmemOn(recorded, { nonTemporalFrom: 128 }).disk, 0];
  },
  "recorded media, around the cache": (media) => {
    return [pmemOn(new RecordedMedia(media, unheard()), { nonTemporalFrom: 128 }).disk, 0];
  },
};

/** Linux 4.1 maps uncached: durable when it returns. */
function useUncached(media: ModelledMedia, promise: Promising): void {
  const { disk } = pmemOn(media, { profile: "v4.1" });
  disk.write(3, noise(1, 1024));
  promise(1536, noise(1, 1024));
  disk.writeBytes(13 * 512 + 7, noise(3, 100));
  promise(13 * 512 + 7, noise(3, 100));
  disk.writeZeroes(20, 1);
  promise(20 * 512, new Uint8Array(512));
}

/** Half of the device keeps its caches at power loss, half does not, in stripes of a page. */
const striped: DomainRange[] = Array.from({ length: 8 }, (_, page) => ({
  start: page * PAGE_SIZE,
  length: PAGE_SIZE,
  domain: page % 2 === 0 ? "adr" : "eadr",
}));

/** Copies, zeros and repairs of a dax device, across the border of two pages, each with a fence. */
export function useDax({ dax }: Pick<Pmem, "dax">, promise: Promising): void {
  for (const [round, length] of [20, 200, 70, 129].entries()) {
    const at = round * PAGE_SIZE + PAGE_SIZE - 33 + round;
    const data = noise(round, length);
    dax.copyFromIter(0, at, [data.subarray(0, 5), data.subarray(5)]);
    dax.fence();
    promise(at, data);
    dax.zero(0, at + 302, 9);
    dax.fence();
    promise(at + 302, new Uint8Array(9));
    dax.recoveryWrite(0, at + 500, data);
    dax.fence();
    promise(at + 500, data);
  }
  dax.zero(0, 6 * PAGE_SIZE - 100, PAGE_SIZE + 200);
  dax.fence();
  promise(6 * PAGE_SIZE - 100, new Uint8Array(PAGE_SIZE + 200));
}

/** A source that goes through the cache, and one that goes around it as a whole. */
function useSources({ dax }: Pmem, promise: Promising): void {
  const data = noise(4, 20 + 256);
  dax.copyFromIter(1, 1024 - 20, [data.subarray(0, 20), data.subarray(20)]);
  dax.fence();
  promise(PAGE_SIZE + 1024 - 20, data);
}

/** A driver that has no copies of its own. */
function usePlainDriver({ dax }: Pmem, promise: Promising): void {
  const { name, pages } = dax;
  const operations: DaxOperations = {
    directAccess: (pgoff, count, mode) => dax.directAccess(pgoff, count, mode),
    zeroPageRange: (pgoff, count) => dax.zeroPageRange(pgoff, count),
    flush: (pgoff, start, length) => dax.flush(pgoff, start, length),
    fence: () => dax.fence(),
  };
  const plain = new DaxDevice({ name, pages, operations, writeCache: true, synchronous: true });
  plain.copyFromIter(1, 4000, [noise(4, 300)]);
  plain.fence();
  promise(PAGE_SIZE + 4000, noise(4, 300));
}

/** Stores of one's own, with flush and fence of the device. */
export function useStores({ dax }: Pick<Pmem, "dax">, promise: Promising): void {
  const { memory, start } = dax.directAccess(1, 1);
  const data = noise(5, 8);
  memory.setBigUint64(start + 56, new DataView(data.buffer).getBigUint64(0));
  dax.flush(1, 56, 8);
  dax.fence();
  promise(PAGE_SIZE + 56, data);
}

/** The same through who has claimed all of it as memory. */
function useClaim({ dax }: Pmem, promise: Promising): void {
  const resources = new ResourceTree();
  const range = { start: 0n, length: BigInt(SIZE) };
  resources.insert(range, { name: "memory", descriptor: "persistent-memory" });
  const claimed = claimRange(dax, resources, { name: "cache0", notifyFailure: () => {} });
  const { memory, start } = claimed.spans[0]!;
  const data = noise(5, 8);
  memory.setBigUint64(start + 4000, new DataView(data.buffer).getBigUint64(0));
  claimed.flush(4000, 8);
  claimed.fence();
  promise(4000, data);
}

/** Two pages, stored to through an address space: written back, and when nobody is left. */
function useSpace({ dax }: Pmem, promise: Promising): void {
  const data = noise(5, 8);
  const space = new AddressSpace({ owner: dax.name, ino: 1 });
  space.attach(IDLE_AREA);
  const store = (index: number): void => {
    const entry = runToEnd(space.entries.grab(index, 0, () => {}));
    if (entry === "fallback") throw new Error("there are no huge pages");
    space.entries.put(entry, { device: dax, start: index * PAGE_SIZE, copy: undefined });
    space.entries.markDirty(entry);
    space.entries.unlock(entry);
    const { memory, start } = dax.directAccess(index, 1);
    copyIn(memory, start + 56, data);
  };
  store(1);
  space.writeBack();
  promise(PAGE_SIZE + 56, data);
  store(2);
  space.leave(IDLE_AREA);
  promise(2 * PAGE_SIZE + 56, data);
}

/** Nobody's part of a file. */
const IDLE_AREA: Area = {
  offset: 0,
  length: PAGE_SIZE,
  pinsBlocks: false,
  describe: () => "nobody",
  writeProtect: () => 0,
  unmap: () => 0,
  writeBack: () => {},
  detach: () => {},
};

/** A mapping of media, as programs of the crash explorer use it. */
function useMapping(media: Media, promise: Promising): void {
  const mapping = mapMedia(media);
  const data = noise(6, 150);
  mapping.copyIn(60, data);
  mapping.persist(60, data.length);
  promise(60, data);
  mapping.copyIn(1000, data);
  mapping.flush(1000, data.length);
  mapping.fence();
  promise(1000, data);
  mapping.copyNonTemporal(2030, data);
  mapping.fence();
  promise(2030, data);
}

/** Media that know no stores around the cache. */
function withoutNonTemporal(media: ModelledMedia): Media {
  return new Proxy<Media>(media, {
    get(target, key) {
      const value: unknown =
        key === "copyNonTemporal" ? undefined : Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

export const story = (
  name: string,
  use: (media: ModelledMedia, promise: Promising) => void | Promise<void>,
  modelled: ModelledOptions = {},
): Story => ({ name, run: () => brokenPromise({ size: SIZE, modelled }, use) });

/** What a client sees, and the media that it lies in. */
const NBD_BYTES = 64 * 1024;
const NBD_MEDIA = NBD_BYTES + 4096;
const SLICE = { start: 4096, length: NBD_BYTES };

const stores: Readonly<Record<string, (media: ModelledMedia) => NbdStore>> = {
  media: (media) => new MediaStore(media),
  "a pmem disk": (media) => new BlockStore(pmemOn(media, { length: NBD_MEDIA }).disk),
  "a slice of media": (media) => new SliceStore(new MediaStore(media), SLICE),
  "a slice of a pmem disk": (media) => {
    const whole = new BlockStore(pmemOn(media, { length: NBD_MEDIA }).disk);
    return new SliceStore(whole, SLICE);
  },
  "recorded media": (media) => new RecordedStore(new MediaStore(media), unheard()),
  "a recorded pmem disk": (media) => {
    return new RecordedStore(new BlockStore(pmemOn(media, { length: NBD_MEDIA }).disk), unheard());
  },
};

/** Of a unit that is written at once a part is forced, and the rest waits. */
function usePartOfUnit(device: BlockDevice, promise: Promising): void {
  device.write(32, noise(1, 512));
  device.write(33, noise(2, 512), { fua: true });
  promise(33 * 512, noise(2, 512));
}

/** A disk with a write cache, as proofs on files have it. */
function sectorDisk(unit: number, use: typeof usePartOfUnit): string | undefined {
  const contents = new SectorContents(unit);
  const initial = contents.linesOf(new Uint8Array(64 * 512).fill(0xff));
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  use(new SectorDisk(media, contents), (at, bytes) => media.ack({ at, bytes: bytes.slice() }));
  const check = (cut: ModelledMedia, acked: readonly unknown[]): string | undefined => {
    const disk = new SectorDisk(cut, contents);
    for (const { at, bytes } of acked as readonly { at: number; bytes: Uint8Array }[]) {
      const found = new Uint8Array(bytes.length);
      disk.readBytes(at, found);
      if (!same(found, bytes)) return `bytes ${at}+${bytes.length} are not what was promised`;
    }
    return undefined;
  };
  return objectionOf(
    explore({
      initial,
      modelled: {},
      trace: media.trace,
      program: { check },
      torn: "line",
      depth: 1,
      budget: { leaves: 10_000, steps: 1_000_000 },
      stopAtFirst: true,
    }),
  );
}

/** What is promised is held against a log of the writes: it has to promise that as well. */
function byLog(use: (log: LogWriter, promise: Promising) => void): string | undefined {
  const log = new MemoryLog();
  let said: string | undefined;
  use(new LogWriter(log), (at, bytes) => {
    const kept = durableInLog(log.open(), NBD_BYTES);
    if (!same(kept.subarray(at, at + bytes.length), bytes)) said ??= `the log may lose ${at}`;
  });
  return said;
}

const logs: Readonly<Record<string, (log: LogWriter, promise: Promising) => void>> = {
  "of a disk": (log, promise) => {
    const media = new ModelledMedia(NBD_BYTES);
    useDisk(new RecordedDevice(pmemOn(media).disk, log), promise);
  },
  "of media": (log, promise) => {
    const media = new RecordedMedia(new ModelledMedia(NBD_BYTES), log);
    useDisk(pmemOn(media, { length: NBD_BYTES }).disk, promise);
  },
  "of what an export holds": (log, promise) => {
    const media = new ModelledMedia(NBD_BYTES);
    copyIn(media.window(0).memory, 1024, noise(3, 2000));
    recordBase(new MediaStore(media), log);
    promise(1024, noise(3, 2000));
  },
  "of a store": (log, promise) => {
    const store = new RecordedStore(new BlockStore(pmemOn(new ModelledMedia(SIZE)).disk), log);
    const client = new NbdClient(store, ({ at, bytes }) => promise(at, bytes));
    client.write(512, noise(1, 512), 1);
    client.zero(1024, 512, 3);
    client.write(2048, noise(2, 512));
    client.flush();
  },
};

/** What a server answered for is durable when it has closed. */
const closedServer: Story = {
  name: "nbd: a server that closes",
  run: () =>
    brokenPromise({ size: NBD_MEDIA }, async (media, promise) => {
      const store = new MediaStore(media);
      const server = await serveNbd({ exports: [{ name: "", store }], engine: { threads: 0 } });
      store.write(700, noise(4, 100));
      await server.close();
      promise(700, noise(4, 100));
    }),
};

export const stories: readonly Story[] = [
  ...Object.entries(disks).map(([name, above]) => {
    return story(`disk: ${name}`, (media, promise) => {
      const [device, first] = above(media);
      useDisk(device, promise, first);
    });
  }),
  story("disk: uncached", useUncached),
  story("dax: copies", (media, promise) => useDax(pmemOn(media), promise)),
  story("dax: copies around the cache", (media, promise) => {
    useDax(pmemOn(media, { nonTemporalFrom: 100 }), promise);
  }),
  story("dax: copies of a striped range", (media, promise) => useDax(pmemOn(media), promise), {
    domains: striped,
  }),
  story("dax: stores", (media, promise) => useStores(pmemOn(media), promise)),
  story("dax: a source around the cache", (media, promise) => {
    useSources(pmemOn(media, { nonTemporalFrom: 100 }), promise);
  }),
  story("dax: a driver without copies", (media, promise) => {
    usePlainDriver(pmemOn(media), promise);
  }),
  story("dax: as Linux 4.13 has it", (media, promise) => {
    const dax = daxAsIn("v4.13", pmemOn(media).dax);
    dax.zeroPageRange(2, 1);
    dax.fence();
    promise(2 * PAGE_SIZE, new Uint8Array(PAGE_SIZE));
    useStores({ dax }, promise);
  }),
  story("dax: a claimed range", (media, promise) => useClaim(pmemOn(media), promise)),
  story("dax: an address space", (media, promise) => useSpace(pmemOn(media), promise)),
  story("dax: traced", (media, promise) => useStores(pmemOn(media, { trace: silent }), promise)),
  story("mapping", useMapping),
  story("mapping of media without stores around the cache", (media, promise) => {
    useMapping(withoutNonTemporal(media), promise);
  }),
  story("mapping of media with poison", (media, promise) => {
    useMapping(new PoisonMedia(media), promise);
  }),
  ...Object.entries(stores).map(([name, storeOf]): Story => ({
    name: `nbd: ${name}`,
    run: () =>
      brokenPromise({ size: NBD_MEDIA }, (media, promise) => {
        const store = storeOf(media);
        const first = name.startsWith("a slice") ? SLICE.start : 0;
        const client = new NbdClient(store, ({ at, bytes }) => promise(first + at, bytes));
        nbdWorkload(client, store.blockSizes.minimum);
      }),
  })),
  {
    name: "nbd: several runs, one flush",
    run: () =>
      brokenPromise({ size: NBD_MEDIA }, (media, promise) => {
        const client = new NbdClient(new MediaStore(media), ({ at, bytes }) => promise(at, bytes));
        for (const at of [100, 9000, 40_000]) client.write(at, noise(at, 80));
        client.flush();
      }),
  },
  closedServer,
  { name: "a disk with a write cache", run: () => sectorDisk(512, useDisk) },
  {
    name: "a disk with a write cache and large sectors",
    run: () => sectorDisk(4096, usePartOfUnit),
  },
  ...Object.entries(logs).map(([name, use]): Story => ({
    name: `log ${name}`,
    run: () => byLog(use),
  })),
];
