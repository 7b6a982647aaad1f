/** Who keeps the devices of a machine, and what is said to those who want them gone. */
import { describe, expect, test } from "vitest";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { Partition } from "../../src/block/partition.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import type { DaxDevice } from "../../src/dax/dax-device.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf } from "../support/bytes.ts";

const environment = seededEnvironment(1);
const holder = { name: "cache", notifyFailure: () => {} };

function machineOf() {
  return bootMachine({
    ram: "64M",
    pmem: [{ size: "8M" }, { size: "8M" }],
    dax: [{ size: "8M", devices: [{ size: "4M" }] }],
    dm: [{ name: "data", table: "0 8192 linear pmem2 0" }],
  });
}

describe("who has a device is named", () => {
  test("filesystems, raw mappings, clients and mapped devices, by who disables it", () => {
    const machine = machineOf();
    const disk = machine.disk("pmem1");
    makeExt(disk, { type: "ext4", label: "logs" }, environment);
    const filesystem = ext.mount(disk, {}, environment);
    const disable = (name: string) => () => machine.disable(name);
    expect(disable("pmem1")).toThrow(/EBUSY.*in use by ext4 on pmem1, labelled "logs";/u);
    const tree = new FileTree(filesystem);
    expect(disable("pmem1")).toThrow('ext4 on pmem1, labelled "logs", mounted at /;');
    expect(() => machine.shutdown()).toThrow('ext4 on pmem1, labelled "logs", mounted at /;');
    tree.close();
    const mapping = machine.map("pmem1");
    expect(mapping.bytes.length).toBe(disk.sectors * 512);
    expect(disable("pmem1")).toThrow("in use by a raw mapping of pmem1;");
    expect(() => machine.shutdown()).toThrow("in use by a raw mapping of pmem1;");
    mapping.unmap();
    const leave = disk.hold?.({ name: "an NBD client", use: "open" });
    expect(disable("pmem1")).toThrow("in use by an NBD client;");
    expect(() => machine.shutdown()).toThrow("in use by an NBD client;");
    leave?.();
    expect(disable("pmem2")).toThrow("in use by the mapped device data;");
    expect(machine.disable("pmem1")).toBe(true);
    machine.shutdown();
  });

  test("of device-dax, by who unbinds it", () => {
    const machine = machineOf();
    const device = machine.devDax("dax0.0");
    device.unbind();
    device.bind("fsdev_dax");
    const disk = new DaxDisk(device.dax as DaxDevice);
    makeExt(disk, { type: "ext2", label: "far" }, environment);
    const tree = new FileTree(ext.mount(disk, {}, environment));
    const unbind = () => device.unbind();
    expect(unbind).toThrow('in use by ext2 on dax0.0, labelled "far", mounted at /');
    tree.close();
    const leave = disk.hold({ name: "an NBD client", use: "open" });
    expect(unbind).toThrow("unbind 'dax0.0' (in use by an NBD client");
    leave();
    const mapping = mapRaw(disk);
    expect(mapping.bytes.length).toBe(device.size);
    expect(unbind).toThrow("1 mappings or operations, in use by a raw mapping of dax0.0");
    mapping.unmap();
    expect(unbind()).toBe(true);
  });

  test("a partition without dax, which no memory knows of", () => {
    const machine = machineOf();
    const disk = machine.disk("pmem1");
    const part = new Partition(disk, { name: "pmem1p1", start: 1, sectors: 8192 });
    makeExt(part, { type: "ext2" }, environment);
    const filesystem = ext.mount(part, {}, environment);
    expect(part.dax).toBeUndefined();
    expect(() => machine.disable("pmem1")).toThrow("remove 'pmem1' (in use by ext2 on pmem1p1;");
    expect(() => machine.shutdown()).toThrow("in use by ext2 on pmem1p1");
    filesystem.unmount();
    machine.shutdown();
  });

  test("a mapped device, by who removes it", () => {
    const machine = machineOf();
    makeExt(machine.disk("mapper/data"), { type: "ext2" }, environment);
    const filesystem = ext.mount(machine.disk("mapper/data"), { write: true }, environment);
    expect(() => machine.mapper.remove("data")).toThrow(
      "remove ioctl on data: open count 1, in use by ext2 on data; remove what stands on it",
    );
    expect(() => machine.shutdown()).toThrow("0 of them mapped devices, in use by ext2 on data;");
    filesystem.unmount();
    machine.mapper.remove("data");
    machine.shutdown();
  });

  test("a disk that is mapped raw is not to be had alone", () => {
    const machine = machineOf();
    const mapping = machine.map("pmem1");
    expect(() => machine.claim("pmem1", holder)).toThrow("EBUSY");
    expect(() => machine.claim("pmem1", holder)).toThrow("there is a raw mapping of pmem1");
    mapping.unmap();
    const claimed = machine.claim("pmem1", holder);
    expect(() => machine.map("pmem1")).toThrow(/EBUSY.*its memory is held by cache/u);
    expect(() => machine.disable("pmem1")).toThrow("held by cache");
    claimed.release();
  });
});

describe("what is no name, and no holder", () => {
  test("is EINVAL, with what was given", () => {
    const machine = machineOf();
    const disk = machine.disk("pmem1");
    const given = disk as unknown as string;
    for (const call of [
      () => machine.claim(given, holder),
      () => machine.dax(given),
      () => machine.disk(given),
      () => machine.disable(given),
      () => machine.enable(given),
      () => machine.devDax(given),
    ]) {
      expect(call).toThrow('given was a MediaDisk named "pmem1"');
      expect(codeOf(call)).toBe("EINVAL");
    }
    for (const none of [undefined, null, "cache", { name: "cache" }]) {
      expect(codeOf(() => machine.claim("pmem1", none as never))).toBe("EINVAL");
    }
    expect(machine.dax("pmem1").holder).toBeUndefined();
    const [region] = machine.daxRegions;
    const device = region?.devices[0];
    expect(() => region?.delete(device as never)).toThrow(
      /EINVAL.*delete.*given was a DevDax named "dax\d\.0"/u,
    );
  });

  test("a claim says why it is none of a device that is there", () => {
    const machine = machineOf();
    const [special] = machine.daxRegions[0]?.devices ?? [];
    const name = special?.name ?? "";
    expect(codeOf(() => machine.claim(name, holder))).toBe("EOPNOTSUPP");
    expect(() => machine.claim(name, holder)).toThrow("whose ranges change hands");
    expect(() => machine.claim("mapper/data", holder)).toThrow("a device of kind mapped");
    expect(codeOf(() => machine.claim("pmem7", holder))).toBe("ENODEV");
  });
});
