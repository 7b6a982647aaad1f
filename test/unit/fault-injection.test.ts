import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { type FaultRule, FaultyDevice } from "../../src/block/fault-injection.ts";
import { Partition } from "../../src/block/partition.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { ExtentFile } from "../support/dax-fakes.ts";

const SECTORS = 256;

function faulty(...rules: FaultRule[]): FaultyDevice {
  return new FaultyDevice(pmemOf(SECTORS * 512).pmem.disk, { rules });
}

const sector = new Uint8Array(512);

/** Whether each of `count` reads of a sector fails. */
function reads(device: FaultyDevice, count: number): boolean[] {
  return Array.from({ length: count }, () => codeOf(() => device.read(0, sector)) === "EIO");
}

describe("which requests fail", () => {
  test("[2.80] all of them, with nothing transferred, until the rules are taken away", () => {
    const { pmem } = pmemOf(SECTORS * 512);
    const device = new FaultyDevice(pmem.disk, { rules: [{}] });
    const before = { ...pmem.dax.counters };
    const calls = [
      () => device.read(0, sector),
      () => device.write(0, noise(1, 512)),
      () => device.writeZeroes(0, 1),
      () => device.flush(),
      () => device.readBytes(3, sector.subarray(1)),
      () => device.writeBytes(3, noise(1, 5)),
      () => device.discard(0, 1),
    ];
    expect(calls.map(codeOf)).toEqual(calls.map(() => "EIO"));
    expect(device.failed).toBe(calls.length);
    // The driver below never saw them: it would not have failed.
    expect(pmem.dax.counters).toEqual(before);
    device.arm([]);
    expect(calls.map(codeOf)).toEqual([...calls.slice(1).map(() => undefined), "ENOTSUP"]);
  });

  test("by what they do", () => {
    const device = faulty({ operations: ["flush"] });
    expect(codeOf(() => device.read(0, sector))).toBe(undefined);
    expect(codeOf(() => device.write(0, sector))).toBe(undefined);
    expect(codeOf(() => device.flush())).toBe("EIO");
    device.arm([{ operations: ["write"] }]);
    expect(codeOf(() => device.read(0, sector))).toBe(undefined);
    expect(codeOf(() => device.writeZeroes(0, 1))).toBe("EIO");
  });

  test.each([
    { at: 9, sectors: 1, fails: false },
    { at: 9, sectors: 2, fails: true },
    { at: 10, sectors: 1, fails: true },
    { at: 14, sectors: 5, fails: true },
    { at: 15, sectors: 1, fails: false },
    { at: 12, sectors: 0, fails: false },
  ])("by sectors 10+5: $at+$sectors fails: $fails", ({ at, sectors, fails }) => {
    const device = faulty({ start: 10, sectors: 5 });
    const code = fails ? "EIO" : undefined;
    expect(codeOf(() => device.read(at, new Uint8Array(sectors * 512)))).toBe(code);
    expect(codeOf(() => device.readBytes(at * 512, new Uint8Array(sectors * 512)))).toBe(code);
    expect(codeOf(() => device.flush())).toBe(undefined);
  });

  test("by bytes that touch a sector", () => {
    const device = faulty({ start: 10, sectors: 1 });
    expect(codeOf(() => device.readBytes(10 * 512 - 1, new Uint8Array(1)))).toBe(undefined);
    expect(codeOf(() => device.readBytes(10 * 512 - 1, new Uint8Array(2)))).toBe("EIO");
    expect(codeOf(() => device.readBytes(11 * 512 - 1, new Uint8Array(1)))).toBe("EIO");
    expect(codeOf(() => device.readBytes(11 * 512, new Uint8Array(1)))).toBe(undefined);
  });

  test("from a sector to the end", () => {
    const device = faulty({ start: 200 });
    expect(codeOf(() => device.read(199, sector))).toBe(undefined);
    expect(codeOf(() => device.read(255, sector))).toBe("EIO");
  });

  test("after some, and only so often", () => {
    const device = faulty({ operations: ["read"], skip: 2, times: 3 });
    expect(reads(device, 7)).toEqual([false, false, true, true, true, false, false]);
    expect(device.failed).toBe(3);
  });

  test("by dice that a seed repeats", () => {
    const rules: FaultRule[] = [{ probability: 0.3 }];
    const roll = (seed: number): boolean[] =>
      reads(new FaultyDevice(pmemOf(SECTORS * 512).pmem.disk, { rules, seed }), 400);
    expect(roll(1)).toEqual(roll(1));
    expect(roll(1)).not.toEqual(roll(2));
    const failed = roll(1).filter(Boolean).length;
    expect(failed).toBeGreaterThan(80);
    expect(failed).toBeLessThan(160);
    expect(reads(faulty({ probability: 0 }), 20)).not.toContain(true);
  });

  test("a request that is wrong anyway is refused before the dice", () => {
    const device = faulty({ times: 1 });
    expect(codeOf(() => device.read(0, new Uint8Array(5)))).toBe("EINVAL");
    expect(device.failed).toBe(0);
  });
});

/** What a writer to a partition meets: at most 30 writes, or up to the first that fails. */
function failuresOf(stops: boolean): readonly unknown[][] {
  const told: unknown[][] = [];
  const disk = pmemOf(SECTORS * 512).pmem.disk;
  const device = new FaultyDevice(
    new Partition(disk, { name: "pmem0p1", start: 64, sectors: 64 }),
    { rules: [{ operations: ["write"], skip: 7 }], onFailure: (...what) => void told.push(what) },
  );
  for (let at = 0; at < 30; at++) {
    if (stops && told.length > 0) break;
    codeOf(() => device.write(at, noise(at, 512)));
  }
  return told;
}

describe("where failures stand", () => {
  test("[2.69] [2.71] a partition fails without its disk, and with it", () => {
    const { pmem } = pmemOf(SECTORS * 512);
    const disk = new FaultyDevice(pmem.disk);
    const part = (start: number): FaultyDevice =>
      new FaultyDevice(new Partition(disk, { name: "pmem0p1", start, sectors: 64 }));
    const [first, second] = [part(64), part(128)];
    first.arm([{}]);
    expect(codeOf(() => first.read(0, sector))).toBe("EIO");
    expect(codeOf(() => second.read(0, sector))).toBe(undefined);
    expect(codeOf(() => disk.read(64, sector))).toBe(undefined);
    first.arm([]);
    disk.arm([{ start: 130, sectors: 1 }]);
    expect(codeOf(() => first.read(2, sector))).toBe(undefined);
    expect(codeOf(() => second.read(2, sector))).toBe("EIO");
    expect(codeOf(() => second.read(3, sector))).toBe(undefined);
    expect(first.name).toBe("pmem0p1");
  });

  test("[2.70] a harness is told of the first failure, and stops its writers", () => {
    expect(failuresOf(true)).toEqual([["write", 7, 1]]);
    expect(failuresOf(false)).toHaveLength(23);
  });

  test("[2.74] [2.77] with reach metadata, metadata fails and file data does not", () => {
    const { pmem } = pmemOf(SECTORS * 512);
    pmem.disk.write(0, noise(1, SECTORS * 512));
    const device = new FaultyDevice(pmem.disk, { reach: "metadata" });
    const part = new Partition(device, { name: "pmem0p1", start: 8, sectors: 64 });
    for (const holder of [device, part]) {
      const file = new ExtentFile(
        4096,
        [{ type: "mapped", offset: 0, length: 4096, addr: 4096 }],
        holder.dax,
        holder,
      );
      device.arm([{ operations: ["read"] }]);
      expect(codeOf(() => new Buffers(holder, 1024).get(3, "inode table"))).toBe("EIO");
      expect(daxRead(file, new Uint8Array(4096), 0)).toBe(4096);
      device.arm([]);
      const { memory, at } = new Buffers(holder, 1024).get(3);
      const back = new Uint8Array(1024);
      holder.readBytes(3072, back);
      expect(memory.getUint8(at + 9)).toBe(back[9]);
    }
  });

  test("with reach all there is no dax to go around", () => {
    const device = faulty({});
    expect(device.dax).toBe(undefined);
    const bytes = new Uint8Array(16);
    const extents = [{ type: "mapped", offset: 0, length: 16, addr: 0 }] as const;
    const file = new ExtentFile(16, extents, device.dax, device);
    expect(codeOf(() => daxRead(file, bytes, 0))).toBe("EIO");
    device.arm([]);
    expect(daxRead(file, bytes, 0)).toBe(16);
    expect(same(bytes, new Uint8Array(16))).toBe(true);
  });
});
