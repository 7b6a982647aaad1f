/** Device-dax memory as memory of the machine. */
import { describe, expect, test } from "vitest";
import { attachPageMap } from "../../src/dax/pages.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { memoryBlockSize } from "../../src/drivers/kmem.ts";
import type { DevDax } from "../../src/drivers/device-dax.ts";
import type { DaxRegionOptions } from "../../src/drivers/dax-region.ts";
import { iomemText } from "../../src/platform/iomem.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { BASE, MIB, emptyRegion } from "../support/dax-regions.ts";

function memoryOf(bytes: number, options: Partial<DaxRegionOptions> = {}): DevDax {
  const device = emptyRegion(bytes, options).device("dax0.0");
  device.resize(bytes);
  return device;
}

function text(device: DevDax): string {
  const { resources } = device.region.options;
  return resources === undefined ? "" : iomemText(resources);
}

describe("[2.46] [2.56] a range becomes system RAM", () => {
  test("on borders of memory blocks, and is taken back", () => {
    const device = memoryOf(600 * MIB, { physicalStart: BASE + 100 * MIB });
    device.bind("kmem");
    const { memory } = device;
    expect(memory?.size).toBe(512 * MIB);
    expect([memory?.blocks, memory?.onlineBlocks]).toEqual([4, 4]);
    expect(text(device)).toBe(
      "106400000-12bbfffff : Soft Reserved\n" +
        "  108000000-127ffffff : dax0.0\n" +
        "    108000000-127ffffff : System RAM (kmem)\n",
    );
    expect(device.dax).toBeUndefined();
    device.unbind();
    expect(text(device)).toBe("106400000-12bbfffff : Soft Reserved\n");
    expect(memory?.onlineBlocks).toBe(0);
    expect(codeOf(() => memory?.take(4096))).toBe("ENXIO");
    device.bind("device_dax");
  });

  test("each range by itself; those too small are left out", () => {
    const region = emptyRegion(1024 * MIB);
    const [a, b] = [region.device("dax0.0"), region.create()];
    a.addMapping("100000000-107ffffff");
    a.addMapping("110000000-1101fffff");
    a.addMapping("118000000-127ffffff");
    a.bind("kmem");
    expect(a.memory?.ranges).toEqual([
      { start: BASE, length: 128 * MIB },
      { start: BASE + 384 * MIB, length: 256 * MIB },
    ]);
    b.addMapping("112000000-1121fffff");
    expect(() => b.bind("kmem")).toThrow("no range holds a whole memory block");
    expect(codeOf(() => b.bind("kmem"))).toBe("EINVAL");
    expect(b.driver).toBeUndefined();
  });

  test("memory near to no node, and blocks that are none, are refused", () => {
    expect(() => memoryOf(256 * MIB, { targetNode: -1 }).bind("kmem")).toThrow("invalid node -1");
    expect(codeOf(() => memoryOf(256 * MIB, { memoryBlock: 3 }).bind("kmem"))).toBe("EINVAL");
  });

  test("addresses that somebody has are EBUSY, unless some were had before", () => {
    const device = memoryOf(256 * MIB);
    const { resources } = device.region.options;
    const thief = resources?.request({ start: BigInt(BASE), length: 4096n }, "thief");
    const before = text(device);
    expect(codeOf(() => device.bind("kmem"))).toBe("EBUSY");
    expect(text(device)).toBe(before);
    if (thief !== undefined) resources?.remove(thief);
    const region = emptyRegion(1024 * MIB);
    const other = region.device("dax0.0");
    other.addMapping("100000000-107ffffff");
    other.addMapping("118000000-11fffffff");
    region.options.resources?.request({ start: BigInt(BASE + 400 * MIB), length: 1n }, "thief");
    other.bind("kmem");
    expect(other.memory?.size).toBe(128 * MIB);
  });
});

test("[2.54] pages of a device and pages of RAM are never one", () => {
  const device = memoryOf(256 * MIB);
  device.bind("fsdev_dax");
  const { dax } = device;
  if (dax === undefined) throw new Error("no dax");
  const map = attachPageMap(dax);
  expect(map.state(3)).toMatchObject({ pfn: BASE / 4096 + 3, references: 1 });
  expect(device.memory).toBe(undefined);
  device.unbind();
  device.bind("kmem");
  // The same addresses as RAM: the device is gone, and nobody finds a page of it any more.
  expect([device.dax, codeOf(() => dax.directAccess(3, 1))]).toEqual([undefined, "ENXIO"]);
  const piece = device.memory?.take(4096);
  expect([piece?.length, piece?.domain]).toEqual([4096, "volatile"]);
});

describe("memory in use", () => {
  test("[2.47] is volatile and cannot be taken back", () => {
    const device = memoryOf(256 * MIB);
    device.bind("kmem");
    const { memory } = device;
    if (memory === undefined) throw new Error("no memory");
    const [first, second] = [memory.take(64 * MIB), memory.take(192 * MIB)];
    expect(first.domain).toBe("volatile");
    expect(codeOf(() => memory.take(4096))).toBe("ENOMEM");
    expect(codeOf(() => memory.take(100))).toBe("EINVAL");
    expect(() => device.unbind()).toThrow("268435456 bytes of it are in use");
    expect(codeOf(() => device.unbind())).toBe("EBUSY");
    expect(device.driver).toBe("kmem");
    expect(text(device)).toContain("System RAM (kmem)");
    memory.give(first);
    expect(codeOf(() => memory.give(first))).toBe("EINVAL");
    const third = memory.take(16 * MIB);
    expect(third.start).toBe(first.start);
    memory.give(second);
    memory.give(third);
    expect(memory.used).toBe(0);
    device.unbind();
  });

  test("serves a RAM disk", () => {
    const device = memoryOf(128 * MIB);
    device.bind("kmem");
    const range = device.memory?.take(MIB);
    if (range === undefined) throw new Error("no memory");
    const { disk, dax } = createBrd({ name: "ram0", size: MIB, range });
    const bytes = noise(1, 8192);
    disk.write(8, bytes);
    const seen = new Uint8Array(8192);
    disk.read(8, seen);
    expect(same(seen, bytes)).toBe(true);
    expect([dax.writeCache, dax.counters.flushes]).toEqual([false, 0]);
  });
});

test("memory blocks grow with the machine, as far as the end of memory is a multiple", () => {
  const GIB = 1024 * MIB;
  expect(memoryBlockSize(4 * GIB)).toBe(128 * MIB);
  expect(memoryBlockSize(64 * GIB)).toBe(2 * GIB);
  expect(memoryBlockSize(65 * GIB)).toBe(GIB);
  expect(memoryBlockSize(64 * GIB + 256 * MIB)).toBe(256 * MIB);
  expect(memoryBlockSize(64 * GIB + MIB)).toBe(128 * MIB);
});
