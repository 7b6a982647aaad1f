/** Snapshots: what origin and snapshot see, stores that are full, damaged or shared, merging. */
import { describe, expect, test } from "vitest";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { DeviceMapper } from "../../src/dm/device-mapper.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const SECTORS = 512;

interface Box {
  readonly mapper: DeviceMapper;
  readonly origin: RamDisk;
  readonly cow: RamDisk;
  readonly faulty: FaultyDevice;
}

function box(cowSectors = 4096): Box {
  const [origin, cow] = [ramDisk("a", SECTORS), ramDisk("b", cowSectors)];
  origin.write(0, noise(1, SECTORS * 512));
  const faulty = new FaultyDevice(cow);
  const { mapper } = mapperOver({ a: origin, b: faulty, c: ramDisk("c", 4096) });
  return { mapper, origin, cow, faulty };
}

function contents(device: { read(sector: number, to: Uint8Array): void }): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  device.read(0, bytes);
  return bytes;
}

const status = ({ active }: MappedDevice): string | undefined => active?.placed[0]?.target.status();

/** Writes at random, and does the same to what is expected. */
function scribble(device: MappedDevice, want: Uint8Array, prng: Prng, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    const sector = prng.below(SECTORS);
    const sectors = prng.below(Math.min(40, SECTORS - sector)) + 1;
    const data = prng.below(4) === 0 ? new Uint8Array(sectors * 512) : noise(round, sectors * 512);
    if (data[0] === 0) device.writeZeroes(sector, sectors);
    else device.write(sector, data);
    want.set(data[0] === 0 ? new Uint8Array(sectors * 512) : data, sector * 512);
  }
}

/** What becomes of a store in which a word was changed. */
const damage = (at: number, value: number, size = 1 << 21): string => {
  const bytes = new Uint8Array(size);
  const cow = new RamDisk({ name: "b", bytes });
  const { mapper } = mapperOver({ a: ramDisk("a", SECTORS), b: cow });
  mapper.create("s", `0 ${SECTORS} snapshot a b P 8`).write(0, noise(1, 4096));
  mapper.remove("s");
  new DataView(bytes.buffer).setUint32(at, value, true);
  try {
    return status(mapper.create("s", `0 ${SECTORS} snapshot a b P 8`)) ?? "";
  } catch (error) {
    return (error as Error).message;
  }
};

describe("snapshot", () => {
  test.each([
    ["P", 8],
    ["P", 1],
    ["PO", 16],
    ["N", 8],
    ["N", 32],
  ])("%s with chunks of %d: origin and snapshots keep apart", (type, chunk) => {
    const { mapper } = box();
    const first = mapper.create("s1", `0 ${SECTORS} snapshot a b ${type} ${chunk}`);
    const second = mapper.create("s2", `0 ${SECTORS} snapshot a c P 16`);
    const origin = mapper.create("o", `0 ${SECTORS} snapshot-origin a`);
    const devices = [origin, first, second];
    const wanted = devices.map(() => noise(1, SECTORS * 512).slice());
    const prng = new Prng(chunk);
    for (let round = 0; round < 12; round++) {
      for (const [i, device] of devices.entries()) scribble(device, wanted[i]!, prng, 4);
    }
    const right = devices.map((device, i) => same(contents(device), wanted[i]!));
    expect(right).toEqual([true, true, true]);
  });

  test("persists: made anew, it is what it was", () => {
    const { mapper } = box();
    const table = `0 ${SECTORS} snapshot a b P 1`;
    const want = noise(1, SECTORS * 512).slice();
    // Chunks of a sector have areas of 32 exceptions: several of them.
    scribble(mapper.create("s", table), want, new Prng(3), 30);
    const before = status(mapper.get("s"));
    mapper.remove("s");
    const again = mapper.create("s", table);
    expect([status(again), same(contents(again), want)]).toEqual([before, true]);
  });

  test("is handed over to another table, a transient one as well", () => {
    const { mapper } = box();
    for (const type of ["P", "N"]) {
      const device = mapper.create(
        "s",
        `0 ${SECTORS} snapshot a ${type === "P" ? "b" : "c"} ${type} 8`,
      );
      const want = noise(1, SECTORS * 512).slice();
      scribble(device, want, new Prng(4), 8);
      const parameters = `a ${type === "P" ? "b" : "c"} ${type} 8`;
      device.load([{ start: 0, length: SECTORS, target: "snapshot", parameters }]);
      scribble(device, want, new Prng(5), 8);
      device.resume();
      expect(same(contents(device), want)).toBe(true);
      mapper.remove("s");
    }
  });

  test.each([
    ["P", "Invalid"],
    ["PO", "Overflow"],
    ["N", "Invalid"],
  ])("%s without room is %s", (type, told) => {
    const { mapper } = box(64);
    const device = mapper.create("s", `0 ${SECTORS} snapshot a b ${type} 8`);
    const write = (): void => {
      for (let at = 0; at < SECTORS; at += 8) device.write(at, noise(at, 4096));
    };
    expect(codeOf(write)).toBe("EIO");
    expect([status(device), device.events]).toEqual([told, 1]);
    expect(codeOf(() => device.write(0, noise(1, 512)))).toBe("EIO");
    expect(codeOf(() => device.read(0, new Uint8Array(512)))).toBe(
      type === "PO" ? undefined : "EIO",
    );
  });

  test("a device that fails loses the snapshot, and the origin goes on", () => {
    const { mapper, faulty } = box();
    const device = mapper.create("s", `0 ${SECTORS} snapshot a b P 8`);
    const origin = mapper.create("o", `0 ${SECTORS} snapshot-origin a`);
    faulty.arm([{ operations: ["write"], times: 1 }]);
    origin.write(0, noise(2, 512));
    expect([status(device), device.events]).toEqual(["Invalid", 1]);
    origin.write(100, noise(2, 512));
    const back = new Uint8Array(512);
    origin.read(100, back);
    expect(same(back, noise(2, 512))).toBe(true);
  });

  test("refuses damaged stores, whatever their exceptions say", () => {
    expect(damage(0, 1)).toMatch(/-ENXIO\); .*Invalid or corrupt snapshot/u);
    expect(damage(8, 2)).toMatch(/unable to handle snapshot disk version 2/u);
    expect(damage(12, 7)).toMatch(/Chunk size is not a power of 2/u);
    expect(damage(12, 2 ** 31)).toMatch(/Chunk size is too high/u);
    expect(damage(4, 0)).toBe("Invalid");
    expect(damage(4096 + 8, 1)).toMatch(/EUCLEAN.*leads to chunk 1, which holds no data/u);
    expect(damage(4096 + 8, 2 ** 31)).toMatch(/EUCLEAN/u);
    expect(damage(4096 + 12, 2 ** 31)).toMatch(/EUCLEAN/u);
    expect(damage(12, 16)).toMatch(/^\d+\/4096 \d+$|EUCLEAN/u);
  });

  test("discards whole chunks where that was asked for", () => {
    const { mapper } = box();
    const plain = mapper.create("s", `0 ${SECTORS} snapshot a b P 8`);
    expect(codeOf(() => plain.discard(0, 8))).toBe("ENOTSUP");
    mapper.remove("s");
    const device = mapper.create("s", `0 ${SECTORS} snapshot a c P 8 1 discard_zeroes_cow`);
    device.discard(4, 20);
    const want = noise(1, SECTORS * 512)
      .slice()
      .fill(0, 8 * 512, 24 * 512);
    expect(same(contents(device), want)).toBe(true);
  });
});

describe("snapshot-merge", () => {
  test("brings everything home, and other snapshots keep what was there", () => {
    const { mapper, origin } = box();
    const table = `0 ${SECTORS} snapshot a b P 1`;
    const want = noise(1, SECTORS * 512).slice();
    scribble(mapper.create("s", table), want, new Prng(6), 30);
    const other = mapper.create("other", `0 ${SECTORS} snapshot a c N 8`);
    const device = mapper.get("s");
    device.load([{ start: 0, length: SECTORS, target: "snapshot-merge", parameters: "a b P 1" }]);
    device.resume();
    expect(status(device)).toBe("2/4096 2");
    expect(same(contents(origin), want)).toBe(true);
    expect(same(contents(device), want)).toBe(true);
    device.write(3, noise(9, 512));
    expect(same(contents(other), noise(1, SECTORS * 512))).toBe(true);
  });

  test("that fails says so, keeps the snapshot, and can be tried again", () => {
    const { mapper, origin, cow } = box();
    mapper.create("s", `0 ${SECTORS} snapshot a b P 8`).write(0, noise(2, 40 * 512));
    mapper.remove("s");
    const faulty = new FaultyDevice(origin, { rules: [{ operations: ["write"], skip: 1 }] });
    const box2 = mapperOver({ a: faulty, b: cow });
    const device = box2.mapper.create("m", `0 ${SECTORS} snapshot-merge a b P 8`);
    expect(status(device)).toBe("Merge failed");
    const want = noise(1, SECTORS * 512).slice();
    want.set(noise(2, 40 * 512));
    expect(same(contents(device), want)).toBe(true);
    faulty.arm([]);
    device.suspend();
    device.resume();
    expect([status(device), same(contents(origin), want)]).toEqual(["16/4096 16", true]);
  });
});
