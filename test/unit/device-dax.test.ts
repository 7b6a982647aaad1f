/** Regions and devices of device-dax: verbs, layouts, drivers. */
import { describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { inOrder, physicalOf } from "../../src/drivers/dax-ranges.ts";
import { DaxRegion } from "../../src/drivers/dax-region.ts";
import type { DevDax } from "../../src/drivers/device-dax.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { iomemText } from "../../src/platform/iomem.ts";
import { codeOf } from "../support/bytes.ts";
import { BASE, MIB, emptyRegion, fsdevOf, staticDevice } from "../support/dax-regions.ts";

const GIB = 1024 * MIB;
const UNIT = 2 * MIB;

/** `pgoff start+length` in units of 2 MiB from the start of the region. */
function layoutOf(device: DevDax): string {
  return device.ranges
    .map(({ pgoff, start, length }) => {
      return `${(pgoff * PAGE_SIZE) / UNIT}@${(start - BASE) / UNIT}+${length / UNIT}`;
    })
    .join(" ");
}

describe("[0.28] verbs of a region", () => {
  test("create makes devices without memory, delete takes them", () => {
    const region = emptyRegion(16 * UNIT);
    const seed = region.create();
    expect([seed.name, seed.size, seed.id]).toEqual(["dax0.1", 0, 1]);
    expect(codeOf(() => seed.bind("nd_pmem" as "kmem"))).toBe("EINVAL");
    expect(region.create().name).toBe("dax0.2");
    region.delete("dax0.1");
    expect(region.devices.map(({ name }) => name)).toEqual(["dax0.0", "dax0.2"]);
    expect(codeOf(() => region.delete("dax0.1"))).toBe("ENXIO");
    expect(codeOf(() => region.delete("dax0.0"))).toBe("EBUSY");
    region.device("dax0.2").resize(UNIT);
    expect(() => region.delete("dax0.2")).toThrow("2097152 bytes");
    region.device("dax0.0").resize(15 * UNIT);
    expect(codeOf(() => region.create())).toBe("ENOSPC");
  });

  test("a static region has one device, and no verb changes it", () => {
    const { device } = staticDevice([[0, 0, 512]]);
    const { region } = device;
    for (const verb of [
      () => region.create(),
      () => region.delete("dax0.0"),
      () => device.resize(0),
      () => device.setAlign(PAGE_SIZE),
      () => device.addMapping("100000000-1001fffff"),
    ]) {
      expect(codeOf(verb)).toBe("EINVAL");
    }
  });

  test("nothing can be done when the region's driver is gone", () => {
    const region = emptyRegion(16 * UNIT);
    const device = region.device("dax0.0");
    device.resize(UNIT);
    device.bind("device_dax");
    expect(codeOf(() => region.remove())).toBe("EBUSY");
    device.unbind();
    region.remove();
    for (const verb of [
      () => region.create(),
      () => device.resize(0),
      () => device.setAlign(PAGE_SIZE),
      () => device.addMapping("100000000-1001fffff"),
      () => device.bind("device_dax"),
    ]) {
      expect(codeOf(verb)).toBe("ENXIO");
    }
  });

  test("what cannot be a region is refused", () => {
    const media = new RamMedia(UNIT);
    const base = { id: 0, media, start: 0, physicalStart: BASE, length: UNIT };
    const wrong = [
      { length: 100 },
      { length: 2 * UNIT },
      { physicalStart: 5 },
      { start: 512 },
      { align: 8192 },
      { layout: [] },
      { layout: [{ pgoff: 0, start: BASE + UNIT, length: UNIT }] },
      { layout: [{ pgoff: 0, start: BASE, length: PAGE_SIZE }] },
    ];
    for (const change of wrong) {
      expect(codeOf(() => new DaxRegion({ ...base, ...change }))).toBe("EINVAL");
    }
    const page = { start: BASE, length: PAGE_SIZE };
    const twins = [
      { pgoff: 0, ...page },
      { pgoff: 0, start: BASE + PAGE_SIZE, length: PAGE_SIZE },
    ];
    const make = (): unknown => new DaxRegion({ ...base, align: PAGE_SIZE, layout: twins });
    expect(make).toThrow("meets range 0x100000000+4096 at page 0");
  });
});

describe("growing and shrinking", () => {
  test("holes are filled in the order of addresses; only the last range is extended", () => {
    const region = emptyRegion(16 * UNIT);
    const [a, b, c] = [region.device("dax0.0"), region.create(), region.create()];
    a.resize(4 * UNIT);
    b.resize(4 * UNIT);
    c.resize(2 * UNIT);
    expect([a, b, c].map((device) => layoutOf(device))).toEqual(["0@0+4", "0@4+4", "0@8+2"]);
    // Nothing behind a: the space at the end becomes a range of its own.
    a.resize(6 * UNIT);
    expect(layoutOf(a)).toBe("0@0+4 4@10+2");
    // Its last range lies before the end now, and is extended.
    a.resize(7 * UNIT);
    expect(layoutOf(a)).toBe("0@0+4 4@10+3");
    b.resize(0);
    expect(layoutOf(b)).toBe("");
    // The hole comes first, although the last range could be extended.
    a.resize(12 * UNIT);
    expect(layoutOf(a)).toBe("0@0+4 4@10+3 7@4+4 11@13+1");
    // The rest: the last range lies at the end of what is free.
    a.resize(14 * UNIT);
    expect(layoutOf(a)).toBe("0@0+4 4@10+3 7@4+4 11@13+3");
    expect(region.availableSize).toBe(0);
    // Backwards: ranges go, the one that is met is trimmed.
    a.resize(9 * UNIT);
    expect(layoutOf(a)).toBe("0@0+4 4@10+3 7@4+2");
    a.resize(4 * UNIT);
    expect(layoutOf(a)).toBe("0@0+4");
  });

  test("space at the start comes first, and is never an extension", () => {
    const region = emptyRegion(8 * UNIT);
    const [a, b] = [region.device("dax0.0"), region.create()];
    a.resize(2 * UNIT);
    b.resize(2 * UNIT);
    a.resize(0);
    b.resize(5 * UNIT);
    expect(layoutOf(b)).toBe("0@2+2 2@0+2 4@4+1");
    // Range 4@4 is the last, and what lies behind it goes on from it.
    b.resize(8 * UNIT);
    expect(layoutOf(b)).toBe("0@2+2 2@0+2 4@4+4");
  });

  test("what finds too little room changes nothing", () => {
    const region = emptyRegion(8 * UNIT);
    const [a, b] = [region.device("dax0.0"), region.create()];
    a.resize(2 * UNIT);
    b.resize(2 * UNIT);
    expect(() => a.resize(8 * UNIT)).toThrow("the region has 8388608");
    expect(codeOf(() => a.resize(8 * UNIT))).toBe("ENOSPC");
    expect(layoutOf(a)).toBe("0@0+2");
    a.resize(6 * UNIT);
    expect(layoutOf(a)).toBe("0@0+2 2@4+4");
  });

  test("sizes are multiples of 2 MiB and of the alignment; a driver keeps them", () => {
    const region = emptyRegion(4 * GIB, { align: GIB, physicalStart: BASE });
    const device = region.device("dax0.0");
    for (const size of [UNIT, -GIB, 0.5, Number.NaN, 2 ** 53]) {
      expect(codeOf(() => device.resize(size))).toBe("EINVAL");
    }
    device.resize(GIB);
    device.bind("device_dax");
    expect(codeOf(() => device.resize(0))).toBe("EBUSY");
    expect(codeOf(() => device.resize(UNIT))).toBe("EINVAL");
    expect(codeOf(() => device.setAlign(PAGE_SIZE))).toBe("EBUSY");
    expect(codeOf(() => device.addMapping("140000000-17fffffff"))).toBe("EBUSY");
    expect(codeOf(() => device.bind("kmem"))).toBe("EBUSY");
  });

  test("holes count as far as they are aligned for the device", () => {
    const region = emptyRegion(3 * GIB);
    const [a, b] = [region.device("dax0.0"), region.create()];
    a.resize(UNIT);
    b.setAlign(GIB);
    expect(codeOf(() => b.resize(3 * GIB))).toBe("ENOSPC");
    b.resize(GIB);
    expect(b.ranges).toEqual([{ pgoff: 0, start: BASE + GIB, length: GIB }]);
    a.resize(GIB);
    a.setAlign(GIB);
    expect(a.align).toBe(GIB);
  });

  test("any sequence keeps devices apart, and their pages without a gap", () => {
    const prng = new Prng(12);
    for (let round = 0; round < 30; round++) {
      const region = emptyRegion(24 * UNIT);
      const devices = [region.device("dax0.0"), region.create(), region.create()];
      for (let step = 0; step < 25; step++) {
        const device = prng.pick(devices);
        const before = layoutOf(device);
        const wanted = prng.below(16) * UNIT;
        const room = region.availableSize + device.size >= wanted;
        expect(codeOf(() => device.resize(wanted))).toBe(room ? undefined : "ENOSPC");
        expect(room ? device.size : layoutOf(device)).toBe(room ? wanted : before);
        checkLayout(region);
      }
    }
  });
});

function checkLayout(region: DaxRegion): void {
  const all = region.devices.flatMap(({ ranges }) => ranges).toSorted((a, b) => a.start - b.start);
  let past = BASE;
  for (const { start, length } of all) {
    expect(start).toBeGreaterThanOrEqual(past);
    past = start + length;
  }
  expect(past).toBeLessThanOrEqual(BASE + region.span.length);
  for (const { ranges } of region.devices) {
    let pages = 0;
    for (const { pgoff, length } of ranges) {
      expect(pgoff).toBe(pages);
      pages += length / PAGE_SIZE;
    }
  }
}

describe("mappings at an exact place", () => {
  test("are added behind the others; off the alignment they are an error", () => {
    const region = emptyRegion(16 * UNIT);
    const device = region.device("dax0.0");
    device.addMapping("0x100800000-0x100bfffff\n");
    device.addMapping("100000000-1001FFFFF");
    expect(layoutOf(device)).toBe("0@4+2 2@0+1");
    // Linux says nothing here, and does nothing.
    expect(codeOf(() => device.addMapping("100c00000-100c00fff"))).toBe("EINVAL");
    expect(codeOf(() => device.addMapping("100c01000-100e00fff"))).toBe("EINVAL");
    expect(() => device.addMapping("100800000-1009fffff")).toThrow("in use");
    expect(codeOf(() => device.addMapping("100800000-1009fffff"))).toBe("EBUSY");
    expect(codeOf(() => device.addMapping("102000000-1021fffff"))).toBe("EINVAL");
    for (const text of [
      "",
      "-",
      "5",
      "1-0",
      "100000000-",
      "zz-1",
      "1 - 2",
      `${"f".repeat(17)}-1`,
    ]) {
      expect(codeOf(() => device.addMapping(text))).toBe("EINVAL");
    }
    expect(layoutOf(device)).toBe("0@4+2 2@0+1");
  });

  test("an alignment must divide every range", () => {
    const region = emptyRegion(2 * GIB);
    const device = region.device("dax0.0");
    device.addMapping("100200000-1003fffff");
    expect(codeOf(() => device.setAlign(GIB))).toBe("EINVAL");
    expect(codeOf(() => device.setAlign(8192))).toBe("EINVAL");
    device.setAlign(PAGE_SIZE);
    expect(device.align).toBe(PAGE_SIZE);
  });
});

describe("[3.15] [3.21] where a page lies", () => {
  // In any order, and with pages that no range has.
  const ranges = inOrder([
    { pgoff: 8, start: BASE + 0x8000, length: 0x2000 },
    { pgoff: 0, start: BASE + 0x10_0000, length: 0x3000 },
    { pgoff: 3, start: BASE + 0x10_3000, length: 0x1000 },
  ]);

  test.each([
    [0, 0x1000, 0x10_0000],
    [2, 0x1000, 0x10_2000],
    [0, 0x3000, 0x10_0000],
    [3, 0x1000, 0x10_3000],
    [9, 0x1000, 0x9000],
  ])("page %d and %d bytes", (pgoff, length, at) => {
    expect(physicalOf(ranges, pgoff, length)).toBe(BASE + at);
  });

  test("nothing across the end of a range, though the next goes on, and nothing in holes", () => {
    expect(physicalOf(ranges, 2, 0x2000)).toBeUndefined();
    expect(physicalOf(ranges, 0, 0x4000)).toBeUndefined();
    expect(physicalOf(ranges, 4, 0x1000)).toBeUndefined();
    expect(physicalOf(ranges, 10, 0x1000)).toBeUndefined();
  });
});

describe("drivers", () => {
  test("all ranges are claimed under the device's name, or none", () => {
    const region = emptyRegion(8 * UNIT);
    const [a, b] = [region.device("dax0.0"), region.create()];
    a.resize(2 * UNIT);
    b.resize(2 * UNIT);
    a.resize(4 * UNIT);
    const { resources } = region.options;
    if (resources === undefined) throw new Error("no tree");
    a.bind("device_dax");
    expect(iomemText(resources)).toBe(
      "100000000-100ffffff : Soft Reserved\n" +
        "  100000000-1003fffff : dax0.0\n" +
        "  100800000-100bfffff : dax0.0\n",
    );
    expect(a.unbind()).toBe(true);
    expect(a.unbind()).toBe(false);
    expect(iomemText(resources)).toBe("100000000-100ffffff : Soft Reserved\n");
    resources.request({ start: BigInt(BASE + 5 * UNIT), length: 4096n }, "thief");
    const before = iomemText(resources);
    expect(() => a.bind("fsdev_dax")).toThrow("thief");
    expect(codeOf(() => a.bind("device_dax"))).toBe("EBUSY");
    expect(iomemText(resources)).toBe(before);
    expect(a.driver).toBeUndefined();
  });

  test("a device without memory has no driver", () => {
    const device = emptyRegion(8 * UNIT).device("dax0.0");
    for (const driver of ["device_dax", "fsdev_dax", "kmem"] as const) {
      expect(codeOf(() => device.bind(driver))).toBe("ENXIO");
    }
  });

  test("[3.30] [3.31] plain device-dax refuses every operation of a filesystem", () => {
    const { device } = staticDevice([[0, 0, 8]]);
    device.bind("device_dax");
    const { dax } = device;
    if (dax === undefined) throw new Error("no dax device");
    const page = new Uint8Array(PAGE_SIZE);
    for (const operation of [
      () => dax.directAccess(0, 1),
      () => dax.zeroPageRange(0, 1),
      () => dax.recoveryWrite(0, 0, page),
      () => dax.copyFromIter(0, 0, [page]),
      () => dax.stitch([{ pgoff: 0, pages: 1 }]),
    ]) {
      expect(codeOf(operation)).toBe("EOPNOTSUPP");
    }
    device.unbind();
    device.bind("fsdev_dax");
    expect(device.dax?.directAccess(0, 1).pages).toBe(1);
  });

  test("[1.7] a device that is in use keeps its size", () => {
    const region = emptyRegion(8 * UNIT);
    const device = region.device("dax0.0");
    device.resize(4 * UNIT);
    device.bind("fsdev_dax");
    device.dax?.enter();
    expect(codeOf(() => device.resize(UNIT))).toBe("EBUSY");
    expect(codeOf(() => device.unbind())).toBe("EBUSY");
    device.dax?.exit();
    device.unbind();
    device.resize(UNIT);
    expect(device.size).toBe(UNIT);
  });

  test.each(["fsdev_dax", "device_dax"] as const)(
    "[1.7] a resize of %s waits for what is in flight, while it is asked to",
    (driver) => {
      const region = emptyRegion(8 * UNIT);
      const device = region.device("dax0.0");
      device.resize(4 * UNIT);
      device.bind(driver, { writeCache: false });
      const before = device.dax;
      before?.enter();
      before?.enter();
      const asked: [string, number][] = [];
      const end = (user: string, attempt: number): boolean => {
        asked.push([user, attempt]);
        expect([device.size, before?.alive]).toEqual([4 * UNIT, true]);
        if (attempt > 1) before?.exit();
        return true;
      };
      device.resize(UNIT, { whenBusy: end });
      expect(asked).toEqual([
        ["2 mappings or operations", 1],
        ["2 mappings or operations", 2],
        ["1 mappings or operations", 3],
      ]);
      expect([device.size, device.driver, before?.alive]).toEqual([UNIT, driver, false]);
      expect([device.dax?.pages, device.dax?.writeCache]).toEqual([UNIT / PAGE_SIZE, false]);
      device.resize(2 * UNIT, { whenBusy: () => false });
      expect(device.dax?.pages).toBe((2 * UNIT) / PAGE_SIZE);
    },
  );

  test("[1.7] nobody waits for ever, and what is used stays as it is", () => {
    const region = emptyRegion(8 * UNIT);
    const device = region.device("dax0.0");
    device.resize(4 * UNIT);
    device.bind("device_dax");
    const mapping = device.open().map({ access: "write" });
    const call = (): void => device.resize(UNIT, { whenBusy: (_user, attempt) => attempt < 3 });
    expect(codeOf(call)).toBe("EBUSY");
    expect(call).toThrow("raw mapping of dax0.0; nobody waits for it any more");
    mapping.setUint8(3 * UNIT, 1);
    expect(codeOf(() => device.resize(100 * UNIT, { whenBusy: () => true }))).toBe("ENOSPC");
    expect(codeOf(() => device.resize(1, { whenBusy: () => true }))).toBe("EINVAL");
    expect(codeOf(() => device.resize(100 * UNIT))).toBe("EBUSY");
    device.resize(UNIT, {
      whenBusy: () => {
        mapping.unmap();
        return true;
      },
    });
    const again = device.open().map();
    expect(again.length).toBe(UNIT);
    again.unmap();
    device.resize(0, { whenBusy: () => false });
    expect(device.driver).toBeUndefined();
  });

  test("[1.7] what happens while a resize waits counts", () => {
    const region = emptyRegion(8 * UNIT);
    const device = region.device("dax0.0");
    device.resize(4 * UNIT);
    device.bind("fsdev_dax");
    const { dax } = device;
    dax?.enter();
    const whenBusy = (): boolean => {
      region.create().resize(4 * UNIT);
      dax?.exit();
      return true;
    };
    expect(codeOf(() => device.resize(8 * UNIT, { whenBusy }))).toBe("ENOSPC");
    expect([device.size, device.driver, dax?.alive]).toEqual([4 * UNIT, "fsdev_dax", true]);
  });

  test("unbinding kills what was served, and is EBUSY while it is used", () => {
    const { device, dax } = fsdevOf([[0, 0, 8]]);
    dax.enter();
    expect(codeOf(() => device.unbind())).toBe("EBUSY");
    dax.exit();
    const holder = { name: "ext4", notifyFailure: () => {} };
    dax.claim(holder);
    expect(() => device.unbind()).toThrow("held by ext4");
    dax.release(holder);
    device.unbind();
    expect(codeOf(() => dax.directAccess(0, 1))).toBe("ENXIO");
    device.bind("fsdev_dax");
    expect(device.dax).not.toBe(dax);
  });
});
