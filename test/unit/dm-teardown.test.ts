/** Ends of mapped devices and of their tables: nothing is held, whatever fails on the way. */
import { describe, expect, test } from "vitest";
import { dmsetup } from "../../src/dm/dmsetup.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { forEvery, surely } from "../../src/lib/for-every.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const SECTORS = 16_384;
const environment = seededEnvironment(1);

/** Every target that has legs, and each place that a leg may have in it. */
const TABLES: readonly (readonly [name: string, target: string])[] = [
  ["linear", "linear pmem0 0"],
  ["striped", "striped 2 8 pmem0 0 pmem1 0"],
  ["mirror, core log", "mirror core 2 1024 nosync 2 pmem0 0 pmem1 0 1 handle_errors"],
  ["mirror, log on disk", "mirror disk 2 pmem0 1024 2 pmem1 0 pmem2 0 1 handle_errors"],
  ["snapshot, origin", "snapshot pmem0 pmem1 P 8"],
  ["snapshot, exceptions", "snapshot pmem1 pmem0 P 8"],
  ["snapshot-origin", "snapshot-origin pmem0"],
  ["snapshot-merge", "snapshot-merge pmem1 pmem0 P 8"],
  ["writecache, origin", "writecache p pmem0 pmem1 4096 0"],
  ["writecache, cache", "writecache p pmem1 pmem0 4096 0"],
  ["writecache on a disk", "writecache s pmem1 pmem0 4096 0"],
  ["log-writes, device", "log-writes pmem0 pmem1"],
  ["log-writes, log", "log-writes pmem1 pmem0"],
  ["flakey", "flakey pmem0 0 9 0"],
  ["dust", "dust pmem0 0 512"],
  ["delay", "delay pmem0 0 0"],
];

/** A device by such a table, one more over it, and then its leg goes in the midst of writes. */
function broken(target: string, nested: boolean) {
  const machine = bootMachine({ pmem: [{ size: "16M" }, { size: "16M" }, { size: "16M" }] });
  const { mapper } = machine;
  const low = mapper.create("x", `0 ${SECTORS} ${target}`);
  if (nested) mapper.create("top", `0 ${SECTORS} linear /dev/mapper/x 0`);
  low.write(0, noise(1, 4096));
  low.flush();
  low.write(64, noise(2, 512));
  machine.disable("pmem0", { whenIdle: () => {} });
  codeOf(() => low.write(8, noise(3, 4096)));
  codeOf(() => low.flush());
  return { machine, mapper };
}

describe("a leg has gone", () => {
  for (const nested of [false, true]) {
    test.each(TABLES)(`%s: removal leaves nothing held; a device above: ${nested}`, (_, target) => {
      const { machine, mapper } = broken(target, nested);
      if (nested) mapper.remove("top");
      mapper.remove("x");
      expect(mapper.devices).toEqual([]);
      machine.shutdown();
    });
  }

  test.each(TABLES)("%s: suspend, load and resume bring another table", (_, target) => {
    const { machine, mapper } = broken(target, false);
    for (const words of [
      ["suspend", "x"],
      ["load", "x", "--table", `0 ${SECTORS} linear pmem2 0`],
      ["resume", "x"],
    ]) {
      expect(dmsetup(mapper, words)).toEqual({ stdout: "", stderr: "", status: 0 });
    }
    mapper.get("x").write(0, noise(4, 4096));
    mapper.remove("x");
    machine.shutdown();
  });
});

/** Where a cache counts its commits, and where its entries begin. */
const [COMMITS, ENTRIES] = [24, 64];

/** A machine whose table of a writecache cannot go on while its cache is torn. */
function withCache() {
  const machine = bootMachine({ pmem: [{ size: "16M" }, { size: "16M" }] });
  const device = machine.mapper.create("x", `0 ${SECTORS} linear pmem0 0`);
  const load = () =>
    dmsetup(machine.mapper, [
      "load",
      "x",
      "--table",
      `0 ${SECTORS} writecache p pmem0 pmem1 4096 0`,
    ]);
  expect(load().status).toBe(0);
  const dax = machine.dax("pmem1");
  // Two entries that say the same.
  const tear = (torn: boolean): void => {
    dax.copyFromIter(0, COMMITS, [Uint8Array.of(1)]);
    dax.copyFromIter(0, ENTRIES, [new Uint8Array(32).fill(torn ? 0 : 0xff)]);
  };
  tear(true);
  return { machine, device, tear };
}

describe("a table that cannot go on", () => {
  test.each([false, true])("leaves the old one live; suspended before: %j", (suspended) => {
    const { machine, device, tear } = withCache();
    if (suspended) device.suspend();
    expect(codeOf(() => device.resume())).toBe("EINVAL");
    expect(device.suspended).toBe(suspended);
    expect(device.active?.placed[0]?.type.name).toBe("linear");
    expect(device.inactive?.placed[0]?.type.name).toBe("writecache");
    const wrote = codeOf(() => device.write(0, noise(7, 512)));
    expect(wrote).toBe(suspended ? "EAGAIN" : undefined);
    // The new one waits: it goes on as soon as it can.
    tear(false);
    device.resume();
    expect(device.active?.placed[0]?.type.name).toBe("writecache");
    device.write(8, noise(8, 4096));
    const found = new Uint8Array(512);
    device.read(0, found);
    expect(same(found, suspended ? new Uint8Array(512) : noise(7, 512))).toBe(true);
    machine.mapper.remove("x");
    machine.shutdown();
  });

  test("goes nowhere when it is the first one", () => {
    const { machine, tear } = withCache();
    const table = `0 ${SECTORS} writecache p pmem0 pmem1 4096 0`;
    machine.mapper.remove("x");
    expect(codeOf(() => machine.mapper.create("x", table))).toBe("EINVAL");
    tear(false);
    machine.mapper.create("x", table);
    machine.mapper.remove("x");
    machine.shutdown();
  });

  test("leaves what is mounted at work", () => {
    const { device } = withCache();
    makeExt(device, { type: "ext4" }, environment);
    const fs = ext.mount(device, { write: true, dax: "never" }, environment);
    const tree = new FileTree(fs);
    // The new table has no dax, so that nobody may use the old one's.
    expect(codeOf(() => device.resume())).toBe("EINVAL");
    tree.mkdir("/x");
    tree.close();
    const again = new FileTree(ext.mount(device, {}, environment));
    expect(Array.from(again.readdir("/"), ({ name }) => name)).toContain("x");
  });
});

test("a table too small for what is mounted is live, and only the filesystem fails", () => {
  const { mapper } = mapperOver({ a: ramDisk("a", SECTORS) });
  const device = mapper.create("x", `0 ${SECTORS} linear a 0`);
  makeExt(device, { type: "ext4", blockSize: 4096 }, environment);
  const tree = new FileTree(ext.mount(device, { write: true }, environment));
  expect(dmsetup(mapper, ["load", "x", "--table", "0 1000 linear a 0"]).status).toBe(0);
  expect(dmsetup(mapper, ["resume", "x"])).toEqual({ stdout: "", stderr: "", status: 0 });
  expect([device.suspended, device.sectors]).toEqual([false, 1000]);
  expect(codeOf(() => tree.mkdir("/x"))).toBe("EROFS");
  expect(codeOf(() => device.read(1000, new Uint8Array(512)))).toBe("EIO");
  expect(codeOf(() => tree.close())).toBe("EIO");
  expect(device.openCount).toBe(0);
  mapper.remove("x");
});

test("files behind the end of such a table are EIO, through dax as well", () => {
  const machine = bootMachine({ pmem: [{ size: "16M" }] });
  const device = machine.mapper.create("x", `0 ${SECTORS} linear pmem0 0`);
  makeExt(device, { type: "ext4", blockSize: 4096 }, environment);
  const tree = new FileTree(ext.mount(device, { write: true }, environment));
  const file = tree.open("/f", { create: true, access: "readwrite" });
  file.write(noise(1, 1 << 20));
  file.sync();
  device.load([{ start: 0, length: 1000, target: "linear", parameters: "pmem0 0" }]);
  device.resume();
  expect(codeOf(() => file.pread(new Uint8Array(4096), 0))).toBe("EIO");
  codeOf(() => tree.close({ revoke: true }));
  machine.mapper.remove("x");
  machine.shutdown();
});

test("a snapshot whose exceptions lead nowhere is refused in words", () => {
  const machine = bootMachine({ pmem: [{ size: "16M" }, { size: "16M" }] });
  const table = `0 ${SECTORS} snapshot pmem0 pmem1 P 8`;
  machine.mapper.create("x", table).write(0, noise(1, 4096));
  machine.mapper.remove("x");
  // The exceptions begin with the second chunk: one that leads far behind the end.
  machine.disk("pmem1").write(8, new Uint8Array(512).fill(0x11));
  const { stderr, status } = dmsetup(machine.mapper, ["create", "x", "--table", table]);
  expect([status, stderr.split("\n")[0]]).toEqual([
    1,
    "device-mapper: reload ioctl on x (253:0) failed: Structure needs cleaning",
  ]);
  machine.shutdown();
});

test("what is done for every one ends with the first error, or with none of a device", () => {
  const done: number[] = [];
  const step = (one: number): void => {
    done.push(one);
    if (one === 2) throw new RangeError("ours");
    expect(one).not.toBe(9);
  };
  expect(forEvery([1, 2, 3], step)).toEqual([new RangeError("ours")]);
  expect(done).toEqual([1, 2, 3]);
  expect(() => surely([2, 3], step)).toThrow("ours");
  expect(done).toEqual([1, 2, 3, 2, 3]);
  surely([1], () => ramDisk("a", 1).read(5, new Uint8Array(512)));
});
