/**
 * A device that stands still: requests, filesystems on its partitions and on what is mapped over
 * it, raw mappings. Its media does not change by one bit until it is thawed.
 */
import { describe, expect, test } from "vitest";
import { freezeDevice, thawDevice } from "../../src/block/device-freeze.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { AddressSpaces } from "../../src/dax/address-spaces.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf, same } from "../support/bytes.ts";
import { nameFiles, storm, stormy } from "../support/freeze-storm.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const MIB = 2 ** 20;
const PAGE = 4096;
const environment = seededEnvironment(1);
const GOES_ON = new Set(["read", "load", "list", "msync", "fsync", "sync", "tick"]);

/** Four partitions of 8 MiB: a filesystem, one below a mapped device, a raw mapping, nothing. */
function world(how: "checked" | "raw" = "checked") {
  const media = new RamMedia(32 * MIB);
  const { disk, dax } = createPmem({
    name: "pmem0",
    media,
    start: 0,
    length: 32 * MIB,
    physicalStart: 2 ** 32,
  });
  const sectors = (8 * MIB) / 512;
  const [first, second, third, fourth] = [0, 1, 2, 3].map((index) => {
    return new Partition(disk, { name: `pmem0p${index + 1}`, start: index * sectors, sectors });
  }) as [Partition, Partition, Partition, Partition];
  const raw = mapRaw(third, { access: "write" });
  if (how === "raw") raw.bytes[0] = 1;
  const { mapper } = mapperOver({ second });
  const lower = mapper.create("lower", `0 ${sectors} linear 254:16 0`);
  const upper = mapper.create("upper", `0 ${sectors} linear /dev/mapper/lower 0`);
  const worlds = [first, upper].map((device) => {
    makeExt(device, { type: "ext4", blockSize: PAGE }, environment);
    return stormy(new FileTree(ext.mount(device, { write: true }, environment)));
  });
  const bytes = () => copyOf(media.window(0).memory, 0, media.size);
  return { disk, dax, first, third, fourth, worlds, raw, bytes, mapper, lower, upper };
}

const legOf = (name: string, physicalStart: number) =>
  createPmem({ name, media: new RamMedia(MIB), start: 0, length: MIB, physicalStart });

describe("a frozen device", () => {
  test("[1.9][1.13][1.14][1.15] its media does not change by one bit, by whatever door", () => {
    const { disk, worlds, raw, fourth, bytes } = world();
    for (const all of worlds) {
      storm(all, 1);
      nameFiles(all.tree);
    }
    raw.setUint32(0, 1);
    freezeDevice(disk);
    const before = bytes();
    for (let seed = 2; seed < 6; seed++) {
      for (const all of worlds) {
        for (const [door, outcome] of storm(all, seed)) {
          expect([door, outcome]).toEqual([door, GOES_ON.has(door) ? "done" : "EAGAIN"]);
        }
      }
    }
    expect(codeOf(() => raw.setUint32(0, 2))).toBe("EAGAIN");
    expect(raw.getUint32(0)).toBe(1);
    expect(codeOf(() => disk.write(0, new Uint8Array(512)))).toBe("EAGAIN");
    expect(codeOf(() => fourth.writeZeroes(0, 8))).toBe("EAGAIN");
    expect(codeOf(() => fourth.writeBytes(7, new Uint8Array(9)))).toBe("EAGAIN");
    fourth.read(0, new Uint8Array(512));
    for (const { nameless } of worlds) nameless.close();
    expect(same(bytes(), before)).toBe(true);
    thawDevice(disk);
    raw.setUint32(0, 2);
    fourth.writeZeroes(0, 8);
    for (const all of worlds) {
      expect(storm(all, 7).filter(([, outcome]) => outcome === "EAGAIN")).toEqual([]);
      all.tree.close({ revoke: true });
    }
  });

  test("[1.9] nests, with itself and with who suspended a device above", () => {
    const { disk, worlds, upper, lower } = world();
    const [own, mapped] = worlds.map(
      ({ file }) =>
        () =>
          codeOf(() => file.pwrite(Uint8Array.of(1), 0)),
    );
    expect(codeOf(() => thawDevice(disk))).toBe("EINVAL");
    freezeDevice(disk);
    freezeDevice(disk);
    upper.suspend();
    thawDevice(disk);
    expect([own?.(), mapped?.()]).toEqual(["EAGAIN", "EAGAIN"]);
    thawDevice(disk);
    expect([own?.(), mapped?.()]).toEqual([undefined, "EAGAIN"]);
    upper.resume();
    expect(mapped?.()).toBeUndefined();
    lower.suspend();
    expect(mapped?.()).toBe("EAGAIN");
    lower.resume();
    expect(mapped?.()).toBeUndefined();
    for (const { tree } of worlds) tree.close({ revoke: true });
  });

  test("[X2] freeze, suspend, truncation and teardown take pages away by one engine", () => {
    const { disk, dax, worlds, upper } = world();
    const [own, mapped] = worlds;
    if (own === undefined || mapped === undefined) throw new Error("two worlds");
    const spaceOf = ({ file }: typeof own) => {
      const space = AddressSpaces.of(file.inode.filesystem).get(file.inode.ino);
      if (space === undefined) throw new Error("it is not mapped");
      return space;
    };
    const counted = (all: typeof own, what: () => void) => {
      all.mapping.setUint8(5 * PAGE, 1);
      const { counters } = spaceOf(all);
      const { writeProtected, unmapped } = counters;
      what();
      return [counters.writeProtected - writeProtected, counters.unmapped - unmapped];
    };
    expect(counted(own, () => freezeDevice(disk))).toEqual([1, 0]);
    thawDevice(disk);
    expect(counted(mapped, () => upper.suspend())).toEqual([1, 0]);
    upper.resume();
    expect(counted(own, () => own.file.truncate(PAGE))[1]).toBeGreaterThan(0);
    const { areas } = spaceOf(mapped);
    dax.kill();
    expect(areas.size).toBe(0);
    for (const { tree } of worlds) tree.close({ revoke: true });
  });

  test("one partition stands still alone", () => {
    const { first, worlds, fourth, disk } = world();
    freezeDevice(first);
    const [own, other] = worlds.map(
      ({ tree }) =>
        () =>
          codeOf(() => tree.mkdir("/x")),
    );
    expect([own?.(), other?.()]).toEqual(["EAGAIN", undefined]);
    fourth.writeZeroes(0, 1);
    disk.flush();
    thawDevice(first);
    expect(own?.()).toBeUndefined();
    for (const { tree } of worlds) tree.close({ revoke: true });
  });

  test("[1.13] memory that cannot be taken back keeps all of it from freezing", () => {
    const { disk, worlds, raw, dax } = world("raw");
    expect(codeOf(() => freezeDevice(disk))).toBe("EBUSY");
    for (const { tree, file } of worlds) {
      expect(tree.mounts.root.filesystem.freezing?.frozen).toBe(false);
      expect(file.pwrite(Uint8Array.of(1), 0)).toBe(1);
    }
    raw.unmap();
    freezeDevice(disk);
    thawDevice(disk);
    for (const { tree } of worlds) tree.close({ revoke: true });
    expect(dax.users).toBe(0);
  });

  test("who stores by himself, with the memory claimed, is not frozen behind his back", () => {
    const media = new RamMedia(MIB);
    const { disk, dax } = createPmem({
      name: "pmem0",
      media,
      start: 0,
      length: MIB,
      physicalStart: 2 ** 32,
    });
    const cache = { name: "cache", notifyFailure: () => {} };
    dax.claim(cache);
    expect(codeOf(() => freezeDevice(disk))).toBe("EBUSY");
    dax.release(cache);
    freezeDevice(disk);
    expect(codeOf(() => disk.writeZeroes(0, 1))).toBe("EAGAIN");
  });

  test("[1.12] a request that waits goes on when somebody thaws the device meanwhile", () => {
    const disk = ramDisk("ram0", 8);
    const faulty = new FaultyDevice(disk);
    freezeDevice(faulty);
    disk.freezing.whenFrozen = (syscall) => {
      expect(syscall).toBe("write");
      thawDevice(disk);
    };
    faulty.write(0, new Uint8Array(512).fill(7));
    const found = new Uint8Array(1);
    disk.readBytes(0, found);
    expect(found[0]).toBe(7);
  });

  test("[1.9] a mapped device stands still, suspended or not, and goes on after both", () => {
    const { upper, worlds, bytes } = world();
    const [, all] = worlds;
    if (all === undefined) throw new Error("two worlds");
    const makes = (name: string) => codeOf(() => all.tree.mkdir(name));
    freezeDevice(upper);
    const before = bytes();
    expect([upper.suspended, makes("/a")]).toEqual([false, "EAGAIN"]);
    upper.read(0, new Uint8Array(512));
    expect(codeOf(() => upper.write(0, new Uint8Array(512)))).toBe("EAGAIN");
    expect(codeOf(() => upper.dax?.device.zeroPageRange(0, 1))).toBe("EAGAIN");
    upper.suspend();
    expect(same(bytes(), before)).toBe(true);
    thawDevice(upper);
    expect(makes("/a")).toBe("EAGAIN");
    // It is suspended, not frozen.
    expect(codeOf(() => thawDevice(upper))).toBe("EINVAL");
    upper.resume();
    expect(makes("/a")).toBeUndefined();
    upper.suspend();
    freezeDevice(upper);
    upper.resume();
    expect([upper.suspended, makes("/b")]).toEqual([false, "EAGAIN"]);
    thawDevice(upper);
    expect(makes("/b")).toBeUndefined();
    for (const { tree } of worlds) tree.close({ revoke: true });
  });

  test("[1.9] a table that is left while its leg stands still takes nothing with it", () => {
    const { mapper } = mapperOver({ a: ramDisk("a", 64), b: ramDisk("b", 64) });
    const device = mapper.create("x", "0 64 linear a 0");
    const a = mapper.get("x").below[0];
    if (a === undefined) throw new Error("no leg");
    freezeDevice(a);
    device.load([{ start: 0, length: 64, target: "linear", parameters: "b 0" }]);
    device.resume();
    expect(codeOf(() => device.writeZeroes(0, 1))).toBe("EAGAIN");
    thawDevice(a);
    device.writeZeroes(0, 1);
    mapper.remove("x");
  });

  test("[1.9] operations of its memory that store fail, and of a partition only its own", () => {
    const { disk, dax, first, third, worlds, raw, lower, bytes } = world();
    const page = new Uint8Array(PAGE).fill(7);
    const stores = (device: typeof dax, pgoff: number) =>
      [
        () => device.copyFromIter(pgoff, 8, [page.subarray(8)]),
        () => device.recoveryWrite(pgoff, 0, page),
        () => device.zeroPageRange(pgoff, 1),
        () => device.zero(pgoff, 5, PAGE),
      ].map((store) => codeOf(store));
    const [held, done] = [Array(4).fill("EAGAIN"), Array(4).fill(undefined)];
    const upper = lower.dax?.device;
    if (upper === undefined) throw new Error(lower.daxReason);
    const pages = (8 * MIB) / PAGE;
    freezeDevice(disk);
    const before = bytes();
    for (let index = 0; index < 4; index++) expect(stores(dax, index * pages)).toEqual(held);
    expect(stores(upper, 5)).toEqual(held);
    // What changes nothing goes on.
    dax.flush(0, 0, PAGE);
    dax.fence();
    expect(dax.directAccess(0, 1).pages).toBe(1);
    expect(same(bytes(), before)).toBe(true);
    thawDevice(disk);
    expect(stores(dax, 3 * pages)).toEqual(done);
    freezeDevice(first);
    expect(stores(dax, pages - 2)).toEqual(held);
    // A run that ends in the neighbour begins in it.
    expect(codeOf(() => dax.zeroPageRange(pages - 1, 2))).toBe("EAGAIN");
    expect(stores(dax, 2 * pages)).toEqual(done);
    freezeDevice(third);
    expect(stores(dax, 2 * pages)).toEqual(held);
    thawDevice(first);
    expect(stores(dax, 3 * pages)).toEqual(done);
    thawDevice(third);
    expect([dax.gate, stores(dax, 2 * pages)]).toEqual([undefined, done]);
    raw.unmap();
    for (const { tree } of worlds) codeOf(() => tree.close({ revoke: true }));
  });

  test.each([
    ["its cache", "writecache p a b 4096 0"],
    ["a cache on disk", "writecache s a b 4096 0"],
    ["its log", "log-writes a b"],
    ["a leg", "mirror core 2 16 nosync 2 a 0 b 0"],
    ["its exceptions", "snapshot a b P 8"],
  ])("[1.9] a mapped device stands still with %s, and loses nothing by it", (_, target) => {
    const [a, b] = [legOf("a", 2 ** 32), legOf("b", 2 ** 33)];
    const { mapper } = mapperOver({ a: a.disk, b: b.disk });
    const device = mapper.create("x", `0 1024 ${target}`);
    const data = new Uint8Array(PAGE).fill(9);
    device.write(8, data);
    const leg = b.disk;
    freezeDevice(leg);
    const media = () => {
      const all = new Uint8Array(MIB);
      leg.read(0, all);
      return all;
    };
    const before = media();
    expect(codeOf(() => device.write(16, data))).toBe("EAGAIN");
    expect(codeOf(() => device.writeZeroes(16, 8))).toBe("EAGAIN");
    device.flush();
    const found = new Uint8Array(PAGE);
    device.read(8, found);
    expect([same(found, data), same(media(), before)]).toEqual([true, true]);
    thawDevice(leg);
    device.write(16, data);
    device.flush();
    device.read(16, found);
    expect(same(found, data)).toBe(true);
    const status = device.active?.placed[0]?.target.status() ?? "";
    expect(status).not.toMatch(/^-5|disabled|Invalid|[DR]A|A[DR]/u);
    mapper.remove("x");
  });

  test("a filesystem cannot be mounted to be written on what stands still", () => {
    const bytes = new Uint8Array(8 * MIB);
    const disk = new RamDisk({ name: "ram0", bytes });
    makeExt(disk, { type: "ext4" }, environment);
    freezeDevice(disk);
    expect(codeOf(() => ext.mount(disk, { write: true }, environment).sync?.())).toBe("EAGAIN");
    new FileTree(ext.mount(disk, {}, environment)).close();
    thawDevice(disk);
    new FileTree(ext.mount(disk, { write: true }, environment)).close();
  });
});
