/** Mapped devices: what they promise by a flush, a FUA write or a fence reaches every leg. */
import type { BlockDevice } from "../../../src/block/block-device.ts";
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { RecordedDevice } from "../../../src/block/recorded-device.ts";
import { LogWriter } from "../../../src/block/write-log-writer.ts";
import type { DaxDevice } from "../../../src/dax/dax-device.ts";
import { PAGE_SIZE } from "../../../src/dax/operations.ts";
import type { MappedDevice } from "../../../src/dm/mapped-device.ts";
import { createPmem } from "../../../src/drivers/pmem.ts";
import { ModelledMedia } from "../../../src/media/modelled.ts";
import { noise, same } from "../bytes.ts";
import { MemoryLog } from "../memory-log.ts";
import { mapperOver } from "../mapped.ts";
import { type Promising, brokenPromise, durableInLog } from "./promises.ts";
import type { Story } from "./story.ts";

const PAGES = 4;
const LEG = PAGES * PAGE_SIZE;

/** Two legs of four pages, one behind the other in the media. */
function legs(media: ModelledMedia): Readonly<Record<string, BlockDevice>> {
  const leg = (name: string, start: number): BlockDevice =>
    createPmem({ name, media, start, length: LEG, physicalStart: start }).disk;
  return { p: leg("p", 0), q: leg("q", LEG) };
}

function mapped(media: ModelledMedia, table: string): MappedDevice {
  return mapperOver(legs(media)).mapper.create("x", table);
}

/** Promises of bytes of the device are promises of bytes of the media, piece by piece. */
function onMedia(promise: Promising, place: (at: number) => number, piece: number): Promising {
  return (at, bytes) => {
    for (let done = 0; done < bytes.length;) {
      const run = Math.min(piece - ((at + done) % piece), bytes.length - done);
      promise(place(at + done), bytes.subarray(done, done + run));
      done += run;
    }
  };
}

/** What is promised of a leg is held against the log of its writes: each has a cache of its own. */
function byLogs(
  table: string,
  border: number,
  place: (at: number) => number,
  piece: number,
): string | undefined {
  const logs = { p: new MemoryLog(), q: new MemoryLog() };
  const leg = (name: "p" | "q"): BlockDevice => {
    const disk = new RamDisk({ name, bytes: new Uint8Array(2 * LEG) });
    return new RecordedDevice(disk, new LogWriter(logs[name]));
  };
  const device = mapperOver({ p: leg("p"), q: leg("q") }).mapper.create("x", table);
  let said: string | undefined;
  const promise = onMedia(
    (at, bytes) => {
      const name = at < LEG ? "p" : "q";
      const kept = durableInLog(logs[name].open(), 2 * LEG);
      const from = at % LEG;
      if (!same(kept.subarray(from, from + bytes.length), bytes))
        said ??= `${name} may lose ${from}`;
    },
    place,
    piece,
  );
  useDisk(device, border, promise);
  return said;
}

const halves = (at: number): number => at;
/** Of stripes of `chunk` bytes. */
const stripes =
  (chunk: number) =>
  (at: number): number => {
    const number = Math.floor(at / chunk);
    return (number % 2) * LEG + Math.floor(number / 2) * chunk + (at % chunk);
  };

/** Requests over a border at byte `border`, each made durable in another way. */
function useDisk(device: BlockDevice, border: number, promise: Promising): void {
  const sector = border / 512;
  device.write(sector - 1, noise(1, 1024), { fua: true });
  promise(border - 512, noise(1, 1024));
  device.write(sector - 1, noise(2, 1024));
  device.flush();
  promise(border - 512, noise(2, 1024));
  device.writeBytes(border - 50, noise(3, 100));
  device.flush();
  promise(border - 50, noise(3, 100));
  device.writeZeroes(sector - 1, 2);
  device.flush();
  promise(border - 512, new Uint8Array(1024));
}

/** A disk that tells of each write to it, before it is done. */
class Told extends RecordedDevice {
  before: () => void = () => {};

  override write(...request: Parameters<RecordedDevice["write"]>): void {
    this.before();
    super.write(...request);
  }

  override writeZeroes(sector: number, sectors: number): void {
    this.before();
    super.writeZeroes(sector, sectors);
  }
}

/** Legs p and q and a log d, each with a cache of its own. */
function mirrored(): { device: () => MappedDevice; disks: Record<string, Told>; kept: Kept } {
  const logs: Record<string, MemoryLog> = {};
  const disks: Record<string, Told> = {};
  for (const name of ["p", "q", "d"]) {
    const log = (logs[name] = new MemoryLog());
    const disk = new RamDisk({ name, bytes: new Uint8Array(LEG) });
    disks[name] = new Told(disk, new LogWriter(log));
  }
  const kept: Kept = (name) => durableInLog(logs[name]!.open(), LEG);
  const table = "0 32 mirror disk 2 d 8 2 p 0 q 0";
  return { device: () => mapperOver(disks).mapper.create("x", table), disks, kept };
}

/** What of a disk is durable. */
type Kept = (name: string) => Uint8Array;

/** What is promised is on both legs. */
function mirrorKeeps(): string | undefined {
  const { device, kept } = mirrored();
  let said: string | undefined;
  useDisk(device(), PAGE_SIZE, (at, bytes) => {
    for (const name of ["p", "q"]) {
      const found = kept(name).subarray(at, at + bytes.length);
      if (!same(found, bytes)) said ??= `${name} may lose ${at}`;
    }
  });
  return said;
}

/** Regions that the log on its disk calls clean. */
function cleanRegions(kept: Kept): number {
  const log = kept("d");
  return log[0] === 0x72 ? (log[1024] ?? 0) : 0;
}

/** Legs are written while the log calls the region dirty; it is clean when they are the same. */
function mirrorTells(): string | undefined {
  const { device, disks, kept } = mirrored();
  let said: string | undefined;
  disks["p"]!.write(0, noise(9, LEG));
  disks["p"]!.flush();
  const isSame = (region: number): boolean => {
    const [from, to] = [region * PAGE_SIZE, (region + 1) * PAGE_SIZE];
    return same(kept("p").subarray(from, to), kept("q").subarray(from, to));
  };
  const differing = (): number => [0, 1, 2, 3].find((region) => !isSame(region)) ?? -1;
  const look = (): void => {
    const clean = cleanRegions(kept);
    const region = [0, 1, 2, 3].find((one) => (clean >>> one) & 1 && !isSame(one));
    if (region !== undefined) said ??= `region ${region} is called clean, and its legs differ`;
  };
  const mirror = device();
  if (differing() !== -1) return `region ${differing()} was not copied for good`;
  disks["d"]!.flush();
  // Of another device: whatever was put off until then has happened.
  onePmem().flush();
  for (const name of ["p", "q"]) {
    disks[name]!.before = () => {
      if ((cleanRegions(kept) & 2) !== 0) said ??= "a leg is written in a region that is clean";
    };
  }
  for (const finish of [() => mirror.flush(), () => mirror.suspend()]) {
    mirror.write(8, noise(1, 512));
    look();
    finish();
    look();
    // Whatever made it durable, what is on the disk now has to hold.
    disks["d"]!.flush();
    look();
    if (cleanRegions(kept) !== 0xf) said ??= "what was flushed is not called clean";
  }
  return said;
}

/** What was promised stands in the log of writes, as well. */
function logTells(use: (device: MappedDevice, promise: Promising) => void, leg: BlockDevice) {
  const bytes = new Uint8Array(1 << 20);
  const disks = { p: leg, log: new RamDisk({ name: "log", bytes }) };
  let said: string | undefined;
  use(mapperOver(disks).mapper.create("x", "0 64 log-writes p log"), (at, promised) => {
    const kept = durableInLog(MemoryLog.of(bytes).open(), 2 * LEG);
    if (!same(kept.subarray(at, at + promised.length), promised)) said ??= `the log lacks ${at}`;
  });
  return said;
}

function onePmem(): BlockDevice {
  const media = new ModelledMedia(2 * LEG);
  return createPmem({ name: "p", media, start: 0, length: 2 * LEG, physicalStart: 0 }).disk;
}

const beforePage = (page: number): number => page * PAGE_SIZE - 33;

/** Copies, zeros, repairs and stores over borders of pages; each has borders of its own. */
function useDax(dax: DaxDevice, promise: Promising): void {
  const [short, long] = [noise(1, 300), noise(2, 5000)];
  const at = beforePage;
  dax.copyFromIter(0, at(1), [short.subarray(0, 5), short.subarray(5)]);
  dax.fence();
  promise(at(1), short);
  dax.zero(0, at(2), 300);
  dax.fence();
  promise(at(2), new Uint8Array(300));
  dax.recoveryWrite(0, at(3), short);
  dax.fence();
  promise(at(3), short);
  dax.copyFromIter(0, at(4), [long]);
  dax.fence();
  promise(at(4), long);
  dax.zeroPageRange(6, 1);
  dax.fence();
  promise(6 * PAGE_SIZE, new Uint8Array(4032));
  const spans = [6, 7].map((page) => dax.directAccess(page, 1));
  for (const [i, { memory, start }] of spans.entries()) {
    memory.setUint8(start + (i === 0 ? 4095 : 0), 7);
  }
  dax.flush(6, 4095, 2);
  dax.fence();
  promise(7 * PAGE_SIZE - 1, Uint8Array.of(7));
  promise(7 * PAGE_SIZE, Uint8Array.of(7));
}

const story = (name: string, use: (media: ModelledMedia, promise: Promising) => void): Story => ({
  name: `dm: ${name}`,
  run: () => brokenPromise({ size: 2 * LEG }, use),
});

const LINEAR = "0 32 linear p 0\n32 32 linear q 0";
const STRIPED = "0 64 striped 2 8 p 0 q 0";
/** Chunks of half a page: no dax. */
const SMALL = "0 64 striped 2 4 p 0 q 0";

export const stories: readonly Story[] = [
  {
    name: "dm: two targets",
    run: () => byLogs(LINEAR, LEG, halves, PAGE_SIZE),
  },
  {
    name: "dm: stripes of half a page",
    run: () => byLogs(SMALL, 2048, stripes(2048), 2048),
  },
  {
    name: "dm: delayed requests",
    run: () => byLogs("0 64 delay p 0 1", PAGE_SIZE, halves, PAGE_SIZE),
  },
  {
    name: "dm: flakey while it is up",
    run: () => byLogs("0 64 flakey p 0 1 0", PAGE_SIZE, halves, PAGE_SIZE),
  },
  {
    name: "dm: flakey while it spoils others",
    run: () =>
      byLogs(`0 64 flakey p 0 0 9 5 corrupt_bio_byte 1 w 0 1`, PAGE_SIZE, halves, PAGE_SIZE),
  },
  {
    name: "dm: dust",
    run: () => byLogs("0 64 dust p 0 512", PAGE_SIZE, halves, PAGE_SIZE),
  },
  { name: "dm: a mirror's promises", run: mirrorKeeps },
  { name: "dm: a mirror's log", run: mirrorTells },
  {
    name: "dm: a log of writes, and what it passes on",
    run: () => byLogs("0 64 log-writes p q", PAGE_SIZE, halves, PAGE_SIZE),
  },
  {
    name: "dm: a log of writes",
    run: () => logTells((device, promise) => useDisk(device, PAGE_SIZE, promise), onePmem()),
  },
  {
    name: "dm: a log of writes through dax",
    run: () => logTells(({ dax }, promise) => useDax(dax!.device, promise), onePmem()),
  },
  story("dax of a leg", (media, promise) => {
    const leg = createPmem({ name: "p", media, start: 0, length: 2 * LEG, physicalStart: 0 });
    useDax(mapperOver({ p: leg.disk }).mapper.create("x", "0 64 linear p 0").dax!.device, promise);
  }),
  story("dax of two targets", (media, promise) => {
    const { device } = mapped(media, LINEAR).dax!;
    useDax(device, onMedia(promise, halves, PAGE_SIZE));
  }),
  story("dax of stripes", (media, promise) => {
    const { device } = mapped(media, STRIPED).dax!;
    useDax(device, onMedia(promise, stripes(PAGE_SIZE), PAGE_SIZE));
  }),
];
