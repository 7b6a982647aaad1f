/** Who has a device in use, and who may be there beside him. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { PageCache } from "../../src/block/page-cache.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { type ExtMountOptions, ext, recoverExt } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { resizeExt } from "../../src/fs/ext/resize-grow.ts";
import { tuneExt } from "../../src/fs/ext/tune.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf } from "../support/bytes.ts";
import { mapperOver } from "../support/mapped.ts";

const MIB = 2 ** 20;
const environment = seededEnvironment(1);

function mount(device: BlockDevice, options: ExtMountOptions = {}) {
  return ext.mount(device, options, environment);
}

function make(device: BlockDevice): void {
  makeExt(device, { type: "ext4", label: "data" }, environment);
}

/** A pmem disk of 8 MiB, and its halves. */
function halves() {
  const { pmem } = pmemOf(8 * MIB);
  const { disk } = pmem;
  const sectors = (4 * MIB) / 512;
  const first = new Partition(disk, { name: "pmem0p1", start: 0, sectors });
  const second = new Partition(disk, { name: "pmem0p2", start: sectors, sectors });
  return { pmem, disk, first, second };
}

function mapped() {
  const parts = halves();
  const { disk: A, first: P, second: Q } = parts;
  return { ...parts, mapper: mapperOver({ A, P, Q }).mapper };
}

describe("mounts of one device", () => {
  test("one writes, or several read", () => {
    const disk = new RamDisk({ name: "ram0", bytes: new Uint8Array(4 * MIB) });
    make(disk);
    const writer = mount(disk, { write: true });
    for (const write of [true, false]) {
      expect(() => mount(disk, { write })).toThrow(
        /EBUSY.*mount 'ram0' \(ram0 is in use by ext4 on ram0, labelled "data";/u,
      );
    }
    writer.unmount();
    writer.unmount();
    const readers = [mount(disk), mount(disk, { noload: true })];
    expect(codeOf(() => mount(disk, { write: true }))).toBe("EBUSY");
    readers[0]?.unmount();
    expect(codeOf(() => mount(disk, { write: true }))).toBe("EBUSY");
    readers[1]?.unmount();
    mount(disk, { write: true }).unmount();
  });

  test("one that is refused, or fails, leaves the device as it was", () => {
    const disk = new RamDisk({ name: "ram0", bytes: new Uint8Array(4 * MIB) });
    expect(codeOf(() => mount(disk, { write: true }))).toBe("EUCLEAN");
    make(disk);
    expect(codeOf(() => mount(disk, { write: true, dax: "always" }))).toBe("EINVAL");
    mount(disk, { write: true }).unmount();
  });

  test("a tree has the device until it closes, and says where", () => {
    const { disk, first, second } = halves();
    make(first);
    make(second);
    const tree = new FileTree(mount(first, { write: true }));
    tree.mkdir("/sub");
    tree.mount("/sub", mount(second));
    expect(() => mount(second, { write: true })).toThrow("mounted at /sub;");
    expect(disk.users?.().map(({ name }) => name)).toEqual([
      'ext4 on pmem0p1, labelled "data", mounted at /',
      'ext4 on pmem0p2, labelled "data", mounted at /sub',
    ]);
    tree.unmount("/sub");
    mount(second, { write: true }).unmount();
    tree.close();
    expect(disk.users?.()).toEqual([]);
  });

  test("a disk and its partitions are one, by the sectors that they share", () => {
    const { disk, first, second } = halves();
    make(first);
    make(second);
    const one = mount(first, { write: true });
    const two = mount(second, { write: true });
    expect(() => mount(disk, { write: true })).toThrow(
      /mount 'pmem0' \(bytes 0\+4194304 of pmem0 are in use by ext4 on pmem0p1/u,
    );
    const again = new Partition(disk, { name: "other", start: 8, sectors: first.sectors - 8 });
    expect(codeOf(() => mount(again, { write: true }))).toBe("EBUSY");
    one.unmount();
    two.unmount();
    const whole = mount(disk, { write: true });
    expect(() => mount(second)).toThrow(
      /mount 'pmem0p2' \(pmem0 is in use by ext4 on pmem0, labelled/u,
    );
    whole.unmount();
    mount(second, { write: true }).unmount();
  });

  test("whatever is wrapped around a device", () => {
    const disk = new RamDisk({ name: "ram0", bytes: new Uint8Array(4 * MIB) });
    make(disk);
    const writer = mount(new FaultyDevice(disk), { write: true });
    expect(codeOf(() => mount(disk))).toBe("EBUSY");
    expect(codeOf(() => mount(new PageCache(disk)))).toBe("EBUSY");
    expect(new PageCache(disk).users()).toEqual(new FaultyDevice(disk).users());
    writer.unmount();
  });
});

test("who does not say what he does is no user", () => {
  const disk = new RamDisk({ name: "ram0", bytes: new Uint8Array(4096) });
  const upper = mapperOver({ A: disk }).mapper.create("upper", "0 8 linear A 0");
  for (const none of [
    undefined,
    null,
    {},
    { name: "x" },
    { use: "read" },
    { name: "x", use: "y" },
  ]) {
    expect(codeOf(() => disk.hold(none as never))).toBe("EINVAL");
    expect(codeOf(() => upper.hold(none as never))).toBe("EINVAL");
  }
  expect([disk.users().length, upper.users(), upper.openCount]).toEqual([1, [], 0]);
});

describe("what changes a filesystem that nobody may have mounted", () => {
  const calls: readonly (readonly [string, (device: BlockDevice) => void])[] = [
    ["mkfs", make],
    ["tune", (device) => void tuneExt(device, { label: "other" }, environment)],
    ["resize", (device) => void resizeExt(device, {}, environment)],
    ["mount", (device) => recoverExt(device, { write: true }, environment)],
  ];

  test.each(calls)("%s is EBUSY over a mount, a leg and a raw mapping", (call, change) => {
    const { disk, first, second } = halves();
    make(first);
    for (const write of [true, false]) {
      const mounted = mount(first, { write });
      const before = bytesOf(disk);
      expect(() => change(first)).toThrow(
        new RegExp(`EBUSY.*${call} 'pmem0p1' \\(pmem0p1 is in use by ext4 on pmem0p1`, "u"),
      );
      expect(bytesOf(disk)).toEqual(before);
      mounted.unmount();
    }
    const mapper = mapperOver({ A: first }).mapper;
    mapper.create("upper", "0 8192 linear A 0");
    expect(() => change(first)).toThrow("in use by the mapped device upper;");
    mapper.remove("upper");
    const mapping = mapRaw(disk);
    expect(() => change(first)).toThrow("in use by a raw mapping of pmem0;");
    mapping.unmap();
    change(first);
    change(second.name === "pmem0p2" ? first : second);
  });

  test("what only looks is not refused", () => {
    const { first } = halves();
    make(first);
    const mounted = mount(first, { write: true });
    expect(tuneExt(first, {}, environment).changed).toBe(false);
    mounted.unmount();
  });
});

describe("device-mapper", () => {
  test("a leg is neither mounted nor is what is mounted a leg", () => {
    const { disk, first, second, mapper } = mapped();
    make(disk);
    const upper = mapper.create("upper", "0 8192 linear A 0");
    for (const write of [true, false]) {
      expect(() => mount(disk, { write })).toThrow("pmem0 is in use by the mapped device upper;");
      expect(codeOf(() => mount(first, { write }))).toBe("EBUSY");
    }
    make(upper);
    const mounted = mount(upper, { write: true });
    expect(() => mapper.remove("upper")).toThrow(
      'open count 1, in use by ext4 on upper, labelled "data"; remove what stands on it first',
    );
    mounted.unmount();
    mapper.remove("upper");
    make(second);
    const leg = mount(second);
    expect(() => mapper.create("upper", "0 8192 linear Q 0")).toThrow(/EBUSY.*ext4 on pmem0p2/u);
    expect(() => mapper.create("upper", "0 8192 linear A 0")).toThrow(/EBUSY.*ext4 on pmem0p2/u);
    mapper.create("upper", "0 8192 linear P 0");
    leg.unmount();
    mapper.create("other", "0 8192 linear Q 0");
  });

  test("tables share a leg, but not a disk with its partition", () => {
    const { mapper } = mapped();
    mapper.create("one", "0 8192 linear P 0");
    mapper.create("two", "0 8 linear P 8184");
    expect(codeOf(() => mapper.create("three", "0 8 linear A 0"))).toBe("EBUSY");
    mapper.removeAll();
    mapper.create("three", "0 8 linear A 0");
    expect(codeOf(() => mapper.create("one", "0 8 linear P 0"))).toBe("EBUSY");
  });

  test("a leg may be mapped raw, and what is mapped raw may be a leg", () => {
    const { disk, first, mapper } = mapped();
    const before = mapRaw(disk, { access: "write" });
    mapper.create("upper", "0 8192 linear A 0");
    const after = mapRaw(first);
    before.setUint8(0, 7);
    expect(after.getUint8(0)).toBe(7);
    mapper.remove("upper");
    for (const mapping of [before, after]) mapping.unmap();
  });

  test("[1.11] a filesystem on top of tables and a raw mapping below exclude each other", () => {
    const { disk, first, mapper } = mapped();
    const lower = mapper.create("lower", "0 16384 linear A 0");
    const upper = mapper.create("upper", "0 8192 linear /dev/mapper/lower 0");
    make(upper);
    const mounted = mount(upper);
    for (const device of [disk, first, lower]) {
      expect(() => mapRaw(device)).toThrow(/EBUSY.*in use by the mapped device/u);
    }
    expect(() => mapRaw(upper)).toThrow(/EBUSY.*in use by ext4 on upper/u);
    mounted.unmount();
    for (const device of [disk, first, lower, upper]) {
      const mapping = mapRaw(device);
      expect(() => mount(upper)).toThrow(`in use by a raw mapping of ${device.name};`);
      expect(codeOf(() => make(upper))).toBe("EBUSY");
      mapping.unmap();
      expect(upper.users()).toEqual([]);
    }
    expect(lower.openCount).toBe(1);
    mount(upper, { write: true }).unmount();
  });

  test("[1.11] a table that is loaded under a filesystem takes no leg that is mapped raw", () => {
    const { second, mapper } = mapped();
    const upper = mapper.create("upper", "0 8192 linear P 0");
    make(upper);
    const mounted = mount(upper);
    const mapping = mapRaw(second);
    const load = () =>
      upper.load([{ start: 0, length: 8192, target: "linear", parameters: "Q 0" }]);
    expect(load).toThrow(/EBUSY.*a raw mapping of pmem0p2/u);
    mapping.unmap();
    load();
    expect(codeOf(() => mapRaw(second))).toBe("EBUSY");
    upper.clear();
    mapRaw(second).unmap();
    mounted.unmount();
  });

  test("a raw mapping keeps a mapped device", () => {
    const { mapper } = mapped();
    const mapping = mapRaw(mapper.create("upper", "0 8192 linear A 0"));
    expect(() => mapper.remove("upper")).toThrow("in use by a raw mapping of upper;");
    mapping.unmap();
    mapper.remove("upper");
  });
});

function bytesOf(disk: BlockDevice): string {
  const bytes = new Uint8Array(64 * 1024);
  disk.readBytes(0, bytes);
  return Buffer.from(bytes).toString("base64");
}
