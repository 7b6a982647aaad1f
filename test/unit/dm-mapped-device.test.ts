/** Mapped devices: slots, suspension, removal, dax through a table, failures from below. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Partition } from "../../src/block/partition.ts";
import type { DeviceMapper } from "../../src/dm/device-mapper.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const PAGES = 16;
const SECTORS = PAGES * 8;

function rams(): { mapper: DeviceMapper; a: Uint8Array; b: Uint8Array } {
  const [one, two] = [ramDisk("a", SECTORS), ramDisk("b", SECTORS)];
  one.write(0, new Uint8Array(SECTORS * 512).fill(1));
  two.write(0, new Uint8Array(SECTORS * 512).fill(2));
  const { mapper } = mapperOver({ a: one, b: two });
  return { mapper, a: new Uint8Array(512).fill(1), b: new Uint8Array(512).fill(2) };
}

const legs = (): Record<string, ReturnType<typeof pmemOf>> => ({
  p: pmemOf(SECTORS * 512, { name: "p" }),
  q: pmemOf(SECTORS * 512, { name: "q" }),
});

const open = (made: ReturnType<typeof legs>) =>
  mapperOver({ p: made["p"]!.pmem.disk, q: made["q"]!.pmem.disk, r: ramDisk("r", SECTORS) });

function sectorOf(device: { read(sector: number, target: Uint8Array): void }, sector = 0): number {
  const bytes = new Uint8Array(512);
  device.read(sector, bytes);
  return bytes[0]!;
}

describe("slots", () => {
  test("a loaded table serves nothing before resume", () => {
    const { mapper } = rams();
    const device = mapper.create("x", `0 ${SECTORS} linear a 0`);
    device.load([{ start: 0, length: 8, target: "linear", parameters: "b 0" }]);
    expect([sectorOf(device), device.sectors]).toEqual([1, SECTORS]);
    device.resume();
    expect([sectorOf(device), device.sectors]).toEqual([2, 8]);
  });

  test("a bad table leaves both slots, and every open count, as they were", () => {
    const { mapper } = rams();
    const lower = mapper.create("lower", "0 64 linear b 0");
    const device = mapper.create("x", "0 8 linear a 0");
    device.load([{ start: 0, length: 8, target: "linear", parameters: "/dev/mapper/lower 0" }]);
    const bad = [
      { start: 0, length: 8, target: "linear", parameters: "/dev/mapper/lower 0" },
      { start: 8, length: 8, target: "linear", parameters: "nothing 0" },
    ];
    expect(codeOf(() => device.load(bad))).toBe("ENODEV");
    expect(lower.openCount).toBe(1);
    expect(sectorOf(device)).toBe(1);
    device.resume();
    expect(sectorOf(device)).toBe(2);
    device.load([{ start: 0, length: 8, target: "zero", parameters: "" }]);
    device.clear();
    device.resume();
    expect(sectorOf(device)).toBe(2);
  });

  test("what cannot be created leaves no device and holds nothing", () => {
    const { mapper } = rams();
    const lower = mapper.create("lower", "0 64 linear b 0");
    const table = "0 8 linear /dev/mapper/lower 0\n8 8 striped 2 8 a 0";
    expect(codeOf(() => mapper.create("x", table))).toBe("EINVAL");
    expect([mapper.find("x"), lower.openCount]).toEqual([undefined, 0]);
    mapper.remove("lower");
    expect(mapper.devices).toEqual([]);
  });
});

function busy(): never {
  throw new DaxError("EBUSY", {});
}

function partitionOf(disk: BlockDevice): Partition {
  return new Partition(disk, { name: "p1", start: 64, sectors: disk.sectors - 64 });
}

describe("suspension", () => {
  test("refuses requests until resume, and freezes the filesystem unless told not to", () => {
    const { mapper } = rams();
    const device = mapper.create("x", "0 64 linear a 0");
    const calls: string[] = [];
    const freeze = () => calls.push("freeze");
    const leave = device.hold({
      name: "data",
      use: "read",
      freezing: { freeze, thaw: () => calls.push("thaw") },
    });
    device.suspend();
    expect(codeOf(() => sectorOf(device))).toBe("EAGAIN");
    expect(codeOf(() => device.write(0, new Uint8Array(512)))).toBe("EAGAIN");
    expect(codeOf(() => device.flush())).toBe("EAGAIN");
    device.suspend();
    device.resume();
    expect(sectorOf(device)).toBe(1);
    device.suspend({ nolockfs: true });
    device.resume();
    expect(calls).toEqual(["freeze", "thaw"]);
    leave();
    leave();
    expect(device.openCount).toBe(0);
  });

  test("is refused, and nothing frozen, when one filesystem cannot stand still", () => {
    const device = rams().mapper.create("x", "0 64 linear a 0");
    const calls: string[] = [];
    const freeze = () => calls.push("freeze");
    device.hold({
      name: "data",
      use: "read",
      freezing: { freeze, thaw: () => calls.push("thaw") },
    });
    const leave = device.hold({
      name: "other",
      use: "read",
      freezing: { freeze: busy, thaw: () => calls.push("wrong") },
    });
    expect(codeOf(() => device.suspend())).toBe("EBUSY");
    expect([device.suspended, calls]).toEqual([false, ["freeze", "thaw"]]);
    leave();
    device.suspend();
    expect(device.suspended).toBe(true);
  });

  test.each([
    ["itself", (device: MappedDevice) => device],
    ["a partition of it", (device: MappedDevice) => partitionOf(device)],
  ])("[1.13] a filesystem on %s has it open, and does not change meanwhile", (_, on) => {
    const bytes = 4 << 20;
    const { mapper } = mapperOver({ p: pmemOf(bytes).pmem.disk });
    const device = mapper.create("x", `0 ${bytes / 512} linear p 0`);
    makeExt(on(device), { type: "ext4", inodes: 32 }, seededEnvironment(1));
    const tree = new FileTree(ext.mount(on(device), { write: true }, seededEnvironment(2)));
    expect(device.openCount).toBe(1);
    expect(codeOf(() => mapper.remove("x"))).toBe("EBUSY");
    const file = tree.open("/f", { create: true, access: "readwrite" });
    file.pwrite(noise(1, 9000), 0);
    device.suspend();
    const disk = device.active!.legs[0]!.device;
    const seen = (): Uint8Array => {
      const all = new Uint8Array(bytes);
      disk.read(0, all);
      return all;
    };
    const frozen = seen();
    // What was written is home already: the image is one that was unmounted.
    const copy = new RamDisk({ name: "copy", bytes: frozen.slice() });
    const inside = on(device) === device ? copy : partitionOf(copy);
    expect([...ext.check(inside, seededEnvironment(3))]).toEqual([]);
    expect(codeOf(() => file.pwrite(noise(2, 9000), 0))).toBe("EAGAIN");
    expect(codeOf(() => tree.mkdir("/d"))).toBe("EAGAIN");
    expect(same(seen(), frozen)).toBe(true);
    device.resume();
    tree.mkdir("/d");
    file.close();
    tree.close();
    expect(device.openCount).toBe(0);
    mapper.remove("x");
  });

  test.each([
    ["itself", (device: MappedDevice) => device],
    ["a partition of it", (device: MappedDevice) => partitionOf(device)],
  ])("[1.13] stores through raw mappings of %s stand still", (_, on) => {
    const bytes = 64 * PAGE_SIZE;
    const { pmem } = pmemOf(bytes);
    const device = mapperOver({ p: pmem.disk }).mapper.create("x", `0 ${bytes / 512} linear p 0`);
    const mapping = mapRaw(on(device), { access: "write" });
    mapping.copyIn(5, noise(1, 9000));
    device.suspend({ nolockfs: true });
    expect(codeOf(() => mapping.copyIn(5, noise(2, 9000)))).toBe("EAGAIN");
    const seen = new Uint8Array(9000);
    mapping.copyOut(5, seen);
    expect(same(seen, noise(1, 9000))).toBe(true);
    device.resume();
    mapping.copyIn(5, noise(2, 9000));
    // Memory that cannot be taken back could be stored to.
    expect(mapping.bytes[5]).toBe(noise(2, 1)[0]);
    expect(codeOf(() => device.suspend())).toBe("EBUSY");
    expect(device.suspended).toBe(false);
    mapping.unmap();
    device.suspend();
    expect(device.suspended).toBe(true);
  });

  test("lets no store go through dax, and every flush", () => {
    const { pmem } = pmemOf(SECTORS * 512);
    const { mapper } = mapperOver({ p: pmem.disk });
    const device = mapper.create("x", `0 ${SECTORS} linear p 0`);
    const { dax } = device.dax!.device.alive ? { dax: device.dax!.device } : { dax: undefined };
    device.suspend();
    expect(codeOf(() => dax!.copyFromIter(0, 0, [new Uint8Array(8)]))).toBe("EAGAIN");
    expect(codeOf(() => dax!.zeroPageRange(0, 1))).toBe("EAGAIN");
    expect(codeOf(() => dax!.recoveryWrite(0, 0, new Uint8Array(PAGE_SIZE)))).toBe("EAGAIN");
    dax!.flush(0, 0, 64);
    dax!.fence();
    expect(dax!.directAccess(0, 1).pages).toBe(1);
    device.resume();
    expect(dax!.copyFromIter(0, 0, [new Uint8Array(8)])).toBe(8);
  });
});

describe("removal", () => {
  test("is EBUSY while somebody has the device open, or comes later when asked so", () => {
    const { mapper } = rams();
    const device = mapper.create("x", "0 64 linear a 0");
    const close = device.open();
    expect(codeOf(() => mapper.remove("x"))).toBe("EBUSY");
    mapper.remove("x", { deferred: true });
    expect([device.deferred, sectorOf(device)]).toEqual([true, 1]);
    close();
    close();
    expect(mapper.devices).toEqual([]);
    expect(codeOf(() => sectorOf(device))).toBe("ENXIO");
  });

  test("of all goes from the top, and leaves what is in use", () => {
    const { mapper } = rams();
    const low = mapper.create("low", "0 64 linear a 0");
    mapper.create("high", "0 64 linear /dev/mapper/low 0");
    const held = mapper.create("held", "0 64 linear b 0");
    held.open();
    mapper.removeAll();
    expect(mapper.devices).toEqual([held]);
    expect(low.openCount).toBe(0);
  });

  test("gives minors back, the lowest first", () => {
    const { mapper } = rams();
    for (const name of ["a", "b", "c"]) mapper.create(name, "0 8 zero");
    mapper.remove("b");
    expect(mapper.create("d", "0 8 zero").number).toEqual({ major: 253, minor: 1 });
    expect(codeOf(() => mapper.create("e", "0 8 zero", { minor: 2 }))).toBe("EBUSY");
    expect(mapper.create("e", "0 8 zero", { minor: 9 }).number.minor).toBe(9);
  });
});

describe("stacks", () => {
  test("go to eight levels and no deeper, loaded from below or from above", () => {
    const { mapper } = rams();
    mapper.create("l1", "0 8 linear a 0");
    for (let level = 2; level <= 8; level++) {
      mapper.create(`l${level}`, `0 8 linear /dev/mapper/l${level - 1} 0`);
    }
    expect(sectorOf(mapper.get("l8"))).toBe(1);
    expect(codeOf(() => mapper.create("l9", "0 8 linear /dev/mapper/l8 0"))).toBe("ELOOP");
    mapper.create("other", "0 8 linear b 0");
    const deeper = [{ start: 0, length: 8, target: "linear", parameters: "/dev/mapper/other 0" }];
    expect(codeOf(() => mapper.get("l1").load(deeper))).toBe("ELOOP");
  });

  test("never stand on themselves, through partitions either", () => {
    const { mapper, devices } = mapperOver({ a: ramDisk("a", SECTORS) });
    const low = mapper.create("low", "0 64 linear a 0");
    devices.add(new Partition(low, { name: "low1", start: 8, sectors: 32 }));
    mapper.create("high", "0 32 linear low1 0");
    for (const word of ["/dev/mapper/low", "/dev/mapper/high", "low1", "253:1", "/dev/dm-1"]) {
      const table = [{ start: 0, length: 8, target: "linear", parameters: `${word} 0` }];
      expect([word, codeOf(() => low.load(table))]).toEqual([word, "ELOOP"]);
    }
    expect(sectorOf(mapper.get("high"))).toBe(0);
  });
});

describe("dax", () => {
  test.each([
    ["0 64 linear p 0", undefined],
    ["0 64 linear p 4", "linear at 0: sector 4 of p lies inside a page"],
    ["0 64 linear r 0", "linear at 0: r offers no dax"],
    ["0 64 linear p 0\n64 8 zero", "zero at 64: it has no memory"],
    ["0 64 linear p 0\n64 8 error", "error at 64: it fails every request"],
    ["0 4 linear p 0\n4 60 linear q 8", "linear begins at sector 4, inside a page"],
    ["0 4 linear p 0", "4 sectors are less than a page"],
    ["0 64 striped 2 16 p 0 q 0", undefined],
    ["0 64 striped 2 4 p 0 q 0", "striped at 0: chunks of 4 sectors are not whole pages"],
    ["0 64 striped 2 16 p 0 r 0", "striped at 0: r offers no dax"],
  ])("[4.10] of %j: %j is in the way", (table, reason) => {
    const device = open(legs()).mapper.create("x", table);
    expect(device.daxReason).toBe(reason);
    expect(device.dax === undefined).toBe(reason !== undefined);
  });

  test("[4.10] can be ruled out", () => {
    const { mapper } = open(legs());
    const device = mapper.create("x", "0 64 linear p 0", { dax: "never" });
    expect([device.dax, device.daxReason]).toEqual([undefined, "x was made with dax=never"]);
  });

  test("comes and goes with the table, unless somebody uses it", () => {
    const { mapper } = open(legs());
    const device = mapper.create("x", "0 64 linear r 0");
    const reload = (parameters: string) => {
      device.load([{ start: 0, length: 64, target: "linear", parameters }]);
      device.resume();
    };
    reload("p 0");
    const range = device.dax!;
    expect([range.device.pages, range.device.writeCache]).toEqual([8, true]);
    const close = device.open();
    expect(codeOf(() => reload("r 0"))).toBe("EINVAL");
    reload("q 0");
    expect(device.dax!.device).toBe(range.device);
    close();
    reload("r 0");
    expect(device.dax).toBe(undefined);
    expect(codeOf(() => range.device.directAccess(0, 1))).toBe("EOPNOTSUPP");
  });

  test("[4.1] [X7] one flush over many chunks writes back each leg's own lines", () => {
    const made = legs();
    const device = open(made).mapper.create("x", "0 128 striped 2 8 p 0 q 64").dax!.device;
    const counted = () => ["p", "q"].map((name) => made[name]!.pmem.dax.counters.flushedLines);
    device.flush(0, 0, 6 * PAGE_SIZE);
    expect(counted()).toEqual([3 * 64, 3 * 64]);
    device.flush(1, 100, 64);
    expect(counted()).toEqual([3 * 64, 3 * 64 + 2]);
    device.fence();
    expect(["p", "q"].map((name) => made[name]!.pmem.dax.counters.fences)).toEqual([1, 1]);
  });

  test("[4.7] needs write-back if any leg does, and may back MAP_SYNC if all may", () => {
    const made = legs();
    made["p"]!.pmem.dax.writeCache = false;
    const { mapper } = open(made);
    expect(mapper.create("x", "0 64 linear p 0").dax!.device.writeCache).toBe(false);
    const both = mapper.create("y", "0 64 striped 2 8 p 0 q 0").dax!.device;
    expect([both.writeCache, both.synchronous]).toEqual([true, true]);
  });

  test("[X7] goes on at once when something in the midst of a stack changes", () => {
    const made = legs();
    const { mapper, devices } = open(made);
    const bytes = new Uint8Array(1 << 18);
    devices.add(new RamDisk({ name: "log", bytes }));
    mapper.create("low", "0 64 linear p 0");
    const middle = mapper.create("middle", "0 64 linear /dev/mapper/low 0");
    const top = mapper.create("top", "0 64 linear /dev/mapper/middle 0").dax!.device;
    const copy = (fill: number): number => {
      return top.copyFromIter(1, 5, [new Uint8Array(3000).fill(fill)]);
    };
    const found = (name: string): number => {
      const back = new Uint8Array(512);
      made[name]!.pmem.disk.read(9, back);
      return back[0]!;
    };
    copy(1);
    middle.suspend();
    expect(codeOf(() => copy(2))).toBe("EAGAIN");
    middle.load([{ start: 0, length: 64, target: "linear", parameters: "q 0" }]);
    middle.resume();
    copy(3);
    expect([found("p"), found("q")]).toEqual([1, 3]);
    middle.load([{ start: 0, length: 64, target: "log-writes", parameters: "p log" }]);
    middle.resume();
    copy(4);
    top.flush(1, 5, 3000);
    top.fence();
    expect([found("p"), found("q")]).toEqual([4, 3]);
    expect(middle.active?.placed[0]?.target.status()).toMatch(/^[1-9]\d* /u);
  });

  test("[X7] poison is met, healed and zeroed through the stack", () => {
    const made = legs();
    const { mapper } = open(made);
    const device = mapper.create("x", "0 64 striped 2 8 p 0 q 0").dax!.device;
    made["q"]!.media.injectPoison(PAGE_SIZE, 64);
    expect(device.directAccess(2, 1).pages).toBe(1);
    expect(codeOf(() => device.directAccess(3, 1))).toBe("EHWPOISON");
    expect(codeOf(() => device.copyFromIter(2, 0, [noise(1, 2 * PAGE_SIZE)]))).toBe("EHWPOISON");
    const data = noise(2, 3 * PAGE_SIZE);
    expect(device.recoveryWrite(2, 0, data)).toBe(3 * PAGE_SIZE);
    const back = new Uint8Array(3 * PAGE_SIZE);
    mapper.get("x").read(16, back);
    expect(same(back, data)).toBe(true);
    made["q"]!.media.injectPoison(PAGE_SIZE, 64);
    device.zeroPageRange(3, 1);
    expect(device.directAccess(3, 1).pages).toBe(1);
  });

  test("a leg whose memory somebody has claimed is EBUSY", () => {
    const made = legs();
    made["p"]!.pmem.dax.claim({ name: "cache", notifyFailure: () => {} });
    expect(codeOf(() => open(made).mapper.create("x", "0 64 linear p 0"))).toBe("EBUSY");
    const { mapper } = open(made);
    mapper.create("y", "0 64 linear q 0");
    mapper.create("z", "0 64 linear q 64");
    expect(codeOf(() => made["q"]!.pmem.remove())).toBe("EBUSY");
    mapper.removeAll();
    made["q"]!.pmem.remove();
  });
});
