/**
 * Memory that fails, and devices that go, under filesystems in use: who is told, which files are
 * named, what every later access meets.
 */
import { describe, expect, test } from "vitest";
import { hearFailures } from "../../src/dax/media-failures.ts";
import { DeviceDirectory } from "../../src/dm/device-directory.ts";
import { DeviceMapper } from "../../src/dm/device-mapper.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { Machine } from "../../src/machine/machine.ts";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { onFailure } from "../../src/vfs/mounted-device.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const PAGE = 4096;
const BASE = 2 ** 32;
const environment = seededEnvironment(1);

/** A machine with one disk of 16 MiB, and a filesystem on some of it. */
function machineWith(place: (machine: Machine) => BlockDevice) {
  const machine = bootMachine({ name: "test", seed: 7, ram: "8G", memmap: ["16M!4G"] });
  const device = place(machine);
  makeExt(device, { type: "ext4", blockSize: PAGE }, environment);
  const filesystem = ext.mount(device, { write: true }, environment);
  const tree = new FileTree(filesystem);
  const file = tree.open("/f", { create: true, access: "readwrite" });
  file.write(noise(1, 16 * PAGE));
  tree.sync();
  const [extent] = file.extents();
  return { machine, device, filesystem, tree, file, addr: extent?.addr ?? Number.NaN };
}

const onDisk = (machine: Machine) => machine.disk("pmem0");

/** The second half of the disk before the first, as `mapped`. */
function onMapped(machine: Machine): BlockDevice {
  const devices = new DeviceDirectory();
  devices.add(machine.disk("pmem0"), { name: "pmem0", number: { major: 259, minor: 0 } });
  const mapper = new DeviceMapper({ devices });
  return mapper.create("mapped", "0 16384 linear 259:0 16384\n16384 16384 linear 259:0 0");
}

describe("[0.40] memory failure", () => {
  test("names the file and its bytes, from a physical address", () => {
    const { machine, tree, file, addr, filesystem } = machineWith(onDisk);
    const mapping = file.map();
    expect(mapping.getUint8(3 * PAGE)).toBe(noise(1, 16 * PAGE)[3 * PAGE]);
    const heard: unknown[] = [];
    const end = onFailure(filesystem, ({ owners }) => heard.push(owners));
    const failure = machine.memoryFailure(BASE + addr + 3 * PAGE + 700);
    const owner = { kind: "file", what: "inode 12", ino: 12, length: 512 };
    const owners = [{ ...owner, start: addr + 3 * PAGE + 512, offset: 3 * PAGE + 512 }];
    expect(failure).toEqual({
      device: "pmem0",
      start: addr + 3 * PAGE + 512,
      length: 512,
      told: [
        {
          reason: "poison",
          by: "ext4 on pmem0",
          start: addr + 3 * PAGE + 512,
          length: 512,
          owners,
        },
      ],
    });
    expect(heard).toEqual([owners]);
    end();
    // Reads are EIO, mapped loads their own error, the pages around are as they were.
    expect(codeOf(() => file.pread(new Uint8Array(10), 3 * PAGE + 600))).toBe("EIO");
    expect(codeOf(() => mapping.getUint8(3 * PAGE))).toBe("EHWPOISON");
    expect(mapping.getUint8(4 * PAGE)).toBe(noise(1, 16 * PAGE)[4 * PAGE]);
    // Who syncs the file hears of it, once.
    expect(codeOf(() => file.sync())).toBe("EIO");
    expect(codeOf(() => file.sync())).toBeUndefined();
    // A part of the page heals nothing, all of it does.
    expect(codeOf(() => file.pwrite(noise(2, 100), 3 * PAGE + 600))).toBe("EIO");
    expect(file.pwrite(noise(2, PAGE), 3 * PAGE)).toBe(PAGE);
    const found = new Uint8Array(PAGE);
    mapping.copyOut(3 * PAGE, found);
    expect(same(found, noise(2, PAGE))).toBe(true);
    expect(heard).toHaveLength(1);
    mapping.unmap();
    file.close();
    tree.close();
    machine.shutdown();
  });

  test("[X7] finds its way through device-mapper", () => {
    const { machine, tree, file, addr } = machineWith(onMapped);
    // The file lies in the first half of the mapped device, which is the second of the disk.
    const below = addr < 2 ** 23 ? addr + 2 ** 23 : addr - 2 ** 23;
    const { told } = machine.memoryFailure(BASE + below, 2 * PAGE);
    expect(told.map(({ by, start, length }) => [by, start, length])).toEqual([
      ["mapped", addr, 2 * PAGE],
      ["ext4 on mapped", addr, 2 * PAGE],
    ]);
    expect(told[1]?.owners).toEqual([
      { kind: "file", what: "inode 12", ino: 12, start: addr, length: 2 * PAGE, offset: 0 },
    ]);
    expect(codeOf(() => file.pread(new Uint8Array(10), 0))).toBe("EIO");
    file.close();
    tree.close();
  });

  test("names metadata as what it is, and what is nobody's", () => {
    const { machine, tree, file } = machineWith(onDisk);
    const { told } = machine.memoryFailure(BASE, 16 * 2 ** 20);
    const [{ owners } = { owners: [] }] = told;
    let at = 0;
    for (const { start, length } of owners) {
      expect(start).toBe(at);
      at += length;
    }
    expect(at).toBe(16 * 2 ** 20);
    const named = new Set(owners.map(({ kind, what }) => `${kind}: ${what}`));
    expect([...named]).toEqual(
      expect.arrayContaining([
        "metadata: superblock",
        "metadata: group 0 group descriptors",
        "metadata: group 0 block bitmap",
        "metadata: group 0 inode bitmap",
        "metadata: group 0 inode table",
        "metadata: inode 2 directory",
        "metadata: journal",
        "file: inode 12",
        "free: free blocks",
      ]),
    );
    file.close();
    tree.close();
  });

  test("of what is nobody's memory nobody is told", () => {
    const { machine, tree, file } = machineWith(onDisk);
    expect(codeOf(() => machine.memoryFailure(4096))).toBe("EFAULT");
    file.close();
    tree.close();
    expect(machine.memoryFailure(BASE + 2 ** 23).told).toEqual([]);
  });
});

describe("[1.18] [1.19] [1.20] [1.21] teardown", () => {
  test("a driver that is unbound leaves nobody with memory, and waits for the last", () => {
    const { machine, tree, file } = machineWith(onDisk);
    const mapping = file.map({ access: "write" });
    const raw = tree.open("/f").map();
    const alias = raw.bytes;
    mapping.setUint32(0, 77);
    const dax = machine.dax("pmem0");
    expect(codeOf(() => machine.disable("pmem0"))).toBe("EBUSY");
    let idle = 0;
    const told = hearFailures(() => machine.disable("pmem0", { whenIdle: () => idle++ }));
    expect(told.map(({ by, reason }) => [by, reason])).toEqual([["ext4 on pmem0", "pre-remove"]]);
    // Memory that was handed out is not taken away under anybody: the device waits.
    expect([idle, alias.length, dax.alive]).toEqual([0, 16 * PAGE, false]);
    expect(codeOf(() => mapping.getUint32(0))).toBe("ENXIO");
    expect(codeOf(() => mapping.setUint32(0, 1))).toBe("ENXIO");
    expect(codeOf(() => raw.getUint8(0))).toBe("ENXIO");
    expect(codeOf(() => file.map())).toBe("ENXIO");
    expect(codeOf(() => file.pread(new Uint8Array(1), 0))).toBe("ENXIO");
    expect(codeOf(() => file.pwrite(new Uint8Array(1), 0))).toBe("ENXIO");
    expect(codeOf(() => tree.mkdir("/d"))).toBe("ENXIO");
    expect(codeOf(() => machine.enable("namespace0.0"))).toBe("EBUSY");
    raw.unmap();
    tree.close({ revoke: true });
    expect([idle, dax.users, dax.holder]).toEqual([1, 0, undefined]);
    // Bound again, everything is there that was stored until then, and the image is clean.
    machine.enable("namespace0.0");
    const disk = machine.disk("pmem0");
    expect([...ext.check(disk, environment)]).toEqual([]);
    const again = new FileTree(ext.mount(disk, { write: true }, environment));
    const word = new Uint8Array(4);
    again.open("/f").pread(word, 0);
    expect([...word]).toEqual([0, 0, 0, 77]);
    again.close({ revoke: true });
    machine.shutdown();
  });

  test("[X7] stripes that fail or go are told once, and name what lay on them alone", () => {
    const machine = bootMachine({ pmem: [{ size: "16M" }, { size: "16M" }] });
    const device = machine.mapper.create("x", "0 65536 striped 2 8 pmem0 0 pmem1 0");
    makeExt(device, { type: "ext4", blockSize: PAGE }, environment);
    const filesystem = ext.mount(device, { write: true }, environment);
    const tree = new FileTree(filesystem);
    const file = tree.open("/f", { create: true, access: "readwrite" });
    file.write(noise(1, 8 * PAGE));
    tree.sync();
    const addr = [...file.extents()][0]?.addr ?? Number.NaN;
    const heard: unknown[] = [];
    onFailure(filesystem, (failure) => heard.push(failure));
    // Each leg has every other page of it.
    const leg = machine.slots[(addr / PAGE) % 2 === 0 ? 0 : 1];
    const [first, own] = [Math.ceil(addr / PAGE / 2) * PAGE, addr % (2 * PAGE) === 0 ? 0 : 1];
    const at = own === 0 ? first : first - PAGE;
    const pmem = leg?.pmem;
    if (pmem === undefined) throw new Error("no disk");
    const { told } = machine.memoryFailure(pmem.physicalStart + at, 4 * PAGE);
    const ranges = [0, 2, 4, 6].map((page) => ({ start: addr + page * PAGE, length: PAGE }));
    const place = { reason: "poison", start: addr, length: 7 * PAGE, ranges };
    const owners = ranges.map(({ start, length }) => {
      const owner = { kind: "file", what: "inode 12", ino: 12 };
      return Object.assign(owner, { start, length, offset: start - addr });
    });
    const fs = { ...place, by: "ext4 on x", owners };
    expect(told).toEqual([{ ...place, by: "x", owners: [] }, fs]);
    expect(heard).toEqual([fs]);
    const page = new Uint8Array(PAGE);
    expect(codeOf(() => file.pread(page, 0))).toBe("EIO");
    expect(file.pread(page, PAGE)).toBe(PAGE);
    heard.length = 0;
    machine.disable(leg?.name ?? "", { whenIdle: () => {} });
    machine.disable(leg?.name === "pmem0" ? "pmem1" : "pmem0", { whenIdle: () => {} });
    expect(heard).toMatchObject([{ reason: "pre-remove", by: "ext4 on x", owners: [] }]);
    tree.close({ revoke: true });
    machine.mapper.remove("x");
    machine.shutdown();
  });

  test("[X7] a leg that goes takes its chunks, and every change; others are read", () => {
    const machine = bootMachine({ pmem: [{ size: "16M" }, { size: "16M" }] });
    const device = machine.mapper.create("x", "0 65536 striped 2 8 pmem0 0 pmem1 0");
    makeExt(device, { type: "ext4", blockSize: PAGE }, environment);
    const tree = new FileTree(ext.mount(device, { write: true }, environment));
    const file = tree.open("/f", { create: true, access: "readwrite" });
    file.write(noise(1, 8 * PAGE));
    file.sync();
    const addr = [...file.extents()][0]?.addr ?? Number.NaN;
    machine.disable("pmem0", { whenIdle: () => {} });
    const page = new Uint8Array(PAGE);
    const outcomes = Array.from({ length: 8 }, (_, i) => codeOf(() => file.pread(page, i * PAGE)));
    const onFirst = (i: number) => (addr / PAGE + i) % 2 === 0;
    expect(outcomes).toEqual(
      Array.from({ length: 8 }, (_, i) => (onFirst(i) ? "ENXIO" : undefined)),
    );
    expect(codeOf(() => file.pwrite(page, onFirst(0) ? PAGE : 0))).toBe("ENXIO");
    expect(codeOf(() => tree.mkdir("/d"))).toBe("ENXIO");
    tree.close({ revoke: true });
    machine.mapper.remove("x");
    machine.shutdown();
  });

  test("memory under a filesystem is not to be had alone, and the other way round", () => {
    const { machine, tree, file } = machineWith(onDisk);
    const holder = { name: "cache", notifyFailure: () => {} };
    expect(codeOf(() => machine.dax("pmem0").claim(holder))).toBe("EBUSY");
    file.close();
    tree.close();
    machine.dax("pmem0").claim(holder);
    const mount = (write: boolean) => ext.mount(machine.disk("pmem0"), { write }, environment);
    expect(() => mount(false)).toThrow("its memory is held by cache");
    expect(codeOf(() => mount(true))).toBe("EBUSY");
    machine.dax("pmem0").release(holder);
    new FileTree(mount(true)).close();
    machine.shutdown();
  });
});
