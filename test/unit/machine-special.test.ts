/** Machines with device-dax, axonram and dcssblk, and slices that are mapped in their own way. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import { daxctlList } from "../../src/machine/daxctl-list.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { listText, ndctlList } from "../../src/machine/list.ts";
import { parseMachineText } from "../../src/node/machine-file.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const MIB = 2 ** 20;
const example = join(import.meta.dirname, "../../examples/device-dax.yaml");

function exampleMachine(): ReturnType<typeof bootMachine> {
  return bootMachine(parseMachineText(readFileSync(example, "utf8"), example));
}

describe("the example", () => {
  test("[0.16] [0.32] [2.45] [2.60] every device is there, in its mode", () => {
    const machine = exampleMachine();
    expect(machine.unmapped).toEqual([]);
    expect(
      machine.devices().map(({ name, kind, size, mode, readOnly, writeCache }) => {
        return [name, kind, size / MIB, mode, readOnly, writeCache];
      }),
    ).toEqual([
      ["pmem1", "pmem", 64, undefined, false, true],
      ["axonram0", "axonram", 16, undefined, false, false],
      ["dcssblk0", "dcssblk", 12, undefined, true, false],
      ["dax0.1", "device-dax", 128, "fsdev", false, true],
      ["dax0.0", "device-dax", 256, "devdax", false, true],
      ["dax0.2", "device-dax", 256, "system-ram", false, false],
      ["dax0.3", "device-dax", 384, "devdax", false, true],
    ]);
    machine.shutdown();
    expect(machine.iomem()).not.toContain("dax0");
  });

  test("[2.46] [2.56] who has which addresses", () => {
    const machine = exampleMachine();
    const lines = machine.iomem().split("\n");
    const from = lines.findIndex((line) => line.includes("hmem.0"));
    expect(lines.slice(from, from + 9)).toEqual([
      "180000000-1bfffffff : hmem.0",
      "  180000000-1bfffffff : Soft Reserved",
      "    180000000-18fffffff : dax0.0",
      "    190000000-197ffffff : dax0.1",
      "    198000000-1a7ffffff : dax0.2",
      "      198000000-1a7ffffff : System RAM (kmem)",
      "    1a8000000-1bfffffff : dax0.3",
      "1c0000000-1c0ffffff : axonram0",
      "200000000-2007fffff : dcssblk0",
    ]);
  });

  test("in daxctl's words", () => {
    const machine = exampleMachine();
    expect(daxctlList(machine)).toMatchObject([
      { chardev: "dax0.0", size: 256 * MIB, target_node: 0, align: 2 * MIB, mode: "devdax" },
      { chardev: "dax0.1", align: 4096, mode: "fsdev" },
      { chardev: "dax0.2", mode: "system-ram", online_memblocks: 2, total_memblocks: 2 },
      { chardev: "dax0.3" },
    ]);
    machine.devDax("dax0.3").unbind();
    machine.devDax("dax0.3").resize(128 * MIB);
    expect(
      listText(daxctlList(machine, { regions: true, idle: true, human: true, mappings: true })),
    ).toContain(`    {
      "chardev":"dax0.3",
      "size":"128.00 MiB (134.22 MB)",
      "target_node":0,
      "align":2097152,
      "mode":"devdax",
      "state":"disabled",
      "mappings":[
        {
          "page_offset":"0",
          "start":"0x1a8000000",
          "end":"0x1afffffff",
          "size":"128.00 MiB (134.22 MB)"
        }
      ]
    }`);
    expect(listText(daxctlList(machine, { regions: true }))).toContain(
      '"available_size":268435456',
    );
    expect(daxctlList(bootMachine({}), { regions: true })).toBeUndefined();
  });

  test("a device that serves filesystems is a disk while it does", () => {
    const machine = exampleMachine();
    machine.disk("dax0.1").write(8, noise(1, 512));
    const device = machine.devDax("dax0.1");
    expect(device.dax?.directAccess(1, 1).pages).toBe(1);
    device.unbind();
    expect(codeOf(() => machine.disk("dax0.1"))).toBe("ENODEV");
    device.bind("fsdev_dax");
    const seen = new Uint8Array(512);
    machine.disk("dax0.1").read(8, seen);
    expect(same(seen, noise(1, 512))).toBe(true);
    device.dax?.enter();
    expect(codeOf(() => machine.shutdown())).toBe("EBUSY");
    device.dax?.exit();
    machine.shutdown();
  });

  test("[2.75] slices keep what their mapping says", () => {
    const machine = exampleMachine();
    expect(machine.modelled("pmem1")?.caching.map(({ caching }) => caching)).toEqual([
      "uncached",
      "write-through",
      "write-combining",
    ]);
    const { dax } = machine.hosts.find("pmem1") === undefined ? {} : { dax: machine.dax("pmem1") };
    const before = machine.modelled("pmem1")?.trace.count ?? 0;
    dax?.flush(0, 0, 8 * MIB);
    expect(machine.modelled("pmem1")?.trace.count).toBe(before);
  });

  test("[1.1] [4.12] disks and device-dax are mapped by name", () => {
    const machine = exampleMachine();
    for (const name of ["pmem1", "axonram0", "dax0.0"]) {
      const mapping = machine.map(name, { access: "write" });
      mapping.setUint8(77, 7);
      expect(machine.map(name).getUint8(77)).toBe(7);
    }
    expect(codeOf(() => machine.map("dax0.1"))).toBe("EOPNOTSUPP");
    expect(codeOf(() => machine.map("dcssblk0", { access: "write" }))).toBe("EROFS");
    expect(codeOf(() => machine.map("pmem9"))).toBe("ENODEV");
  });

  test("[4.13] [4.16] nothing of it can be claimed as persistent memory", () => {
    const machine = exampleMachine();
    const holder = { name: "cache0", notifyFailure: () => {} };
    for (const name of ["axonram0", "dax0.1"]) {
      expect(codeOf(() => machine.claim(name, holder))).toBe("EOPNOTSUPP");
    }
  });
});

test("[1.3] raw mappings of disks can be forbidden, those of device-dax are what it is for", () => {
  const machine = bootMachine({ pmem: { size: "4M" }, dax: { size: "4M" }, rawMappings: false });
  expect(() => machine.map("pmem1")).toThrow("rawMappings: false");
  expect(codeOf(() => machine.map("pmem1"))).toBe("EOPNOTSUPP");
  expect(machine.map("dax0.0").getUint8(0)).toBe(0);
});

test("[0.28] a device that was deleted is gone for whoever still has it", () => {
  const machine = bootMachine({ dax: { size: "8M", devices: { size: "4M" } } });
  const [region] = machine.daxRegions;
  const device = region?.create();
  if (region === undefined || device === undefined) throw new Error("the machine has one");
  region.delete(device.name);
  for (const verb of [
    () => device.resize(2 * MIB),
    () => device.resize(2 * MIB, { whenBusy: () => false }),
    () => device.setAlign(4096),
    () => device.addMapping("100000000-1001fffff"),
    () => device.bind("device_dax"),
    () => device.open(),
    () => device.unbind(),
  ]) {
    expect(codeOf(verb)).toBe("ENXIO");
  }
  expect(() => device.resize(2 * MIB)).toThrow("it was deleted; its region has dax0.0");
  expect([device.size, device.driver, region.availableSize]).toEqual([0, undefined, 4 * MIB]);
  // What it would have taken is whole, for others.
  const first = machine.devDax("dax0.0");
  first.resize(8 * MIB, { whenBusy: () => false });
  expect([first.driver, first.size]).toEqual(["device_dax", 8 * MIB]);
  machine.shutdown();
});

describe("drivers of disks", () => {
  test.each(["axonram0", "dcssblk0"])("[2.45] %s is taken off and put on again", (name) => {
    const segments = [
      { type: "SW", size: "4M" },
      { type: "EW", size: "4M" },
    ] as const;
    const machine = bootMachine({ axonram: "16M", dcssblk: { segments } });
    const before = machine.devices();
    const map = machine.iomem();
    const page = noise(3, 4096);
    machine.disk(name).write(8, page);
    const { dax } = machine.disk(name);
    dax?.device.enter();
    expect(() => machine.disable(name)).toThrow("close them, or disable with whenIdle");
    expect(machine.devices()).toEqual(before);
    dax?.device.exit();
    expect(machine.disable(name)).toBe(true);
    expect(machine.disable(name)).toBe(false);
    expect(codeOf(() => machine.disk(name))).toBe("ENODEV");
    expect(machine.iomem()).not.toContain(name);
    expect(machine.enable(name).name).toBe(name);
    expect(machine.enable(name)).toBe(machine.enable(name));
    expect(machine.devices()).toEqual(before);
    expect(machine.iomem()).toBe(map);
    const read = new Uint8Array(4096);
    machine.disk(name).read(8, read);
    same(read, page);
    machine.shutdown();
  });

  test("[2.45] with whenIdle nobody is asked, and the addresses wait for the last user", () => {
    const machine = bootMachine({ axonram: "16M" });
    const mapping = machine.map("axonram0", { access: "write" });
    const { dax } = machine.disk("axonram0");
    let idle = 0;
    dax?.device.enter();
    machine.disable("axonram0", { whenIdle: () => idle++ });
    expect(codeOf(() => mapping.setUint8(0, 1))).toBe("ENXIO");
    expect([idle, codeOf(() => machine.enable("axonram0"))]).toEqual([0, "EBUSY"]);
    dax?.device.exit();
    expect(idle).toBe(1);
    mapping.unmap();
    expect(machine.enable("axonram0").dax.alive).toBe(true);
    machine.shutdown();
  });

  test("devices of other kinds say who takes them off", () => {
    const machine = bootMachine({ brd: "16M", dax: { size: "1G" }, pmem: [{ size: "64M" }] });
    machine.mapper.create("all", "0 131072 linear pmem1 0");
    for (const [name, why] of [
      ["ram0", "RAM disks end with the machine"],
      ["dax0.0", "machine.devDax(name)"],
      ["mapper/all", "machine.mapper"],
    ] as const) {
      for (const verb of [() => machine.disable(name), () => machine.enable(name)]) {
        expect(codeOf(verb)).toBe("EOPNOTSUPP");
        expect(verb).toThrow(why);
      }
    }
    expect(codeOf(() => machine.disable("axonram0"))).toBe("ENODEV");
    machine.shutdown();
  });
});

describe("what cannot be", () => {
  test.each<[MachineInput, string]>([
    [{ dax: { size: "3M" } }, "dax[0].size"],
    [{ dax: { size: "4M", start: "1M" } }, "dax[0].start"],
    [{ dax: {} }, "needs a size, a file, or both"],
    [{ dax: { size: "4M", devices: [{}, {}] } }, "dax[0].devices[0]"],
    [{ dax: { size: "4M", devices: [{ size: "8M" }] } }, "dax[0].devices[0]"],
    [{ dax: { size: "4M", devices: { align: "8K" } } }, "4K, 2M or 1G"],
    [{ dax: { size: "4M", devices: { align: "1G" } } }, "dax[0].devices[0]"],
    [{ dax: { size: "4M", start: "1G" }, memmap: "2M!1G" }, "set exactly these addresses aside"],
    [{ profile: "v4.1", dax: { size: "4M" } }, "unknown to Linux 4.1"],
    [{ axonram: "5K" }, "axonram[0].size"],
    [{ dcssblk: { segments: [] } }, "needs segments"],
    [{ dcssblk: { segments: [{ size: 4097 }] } }, "dcssblk[0].segments[0].size"],
    [{ pmem: { file: "x", caching: "uncached" } }, "files are mapped write-back"],
    [{ pmem: { size: "4M", caching: "uncached", domains: [{ domain: "adr" }] } }, "contradicts"],
  ])("%j is refused by place", (input, words) => {
    expect(() => bootMachine(input)).toThrow(words);
    expect(codeOf(() => bootMachine(input))).toBe("EINVAL");
  });

  test("memory without a node is no system RAM, and the rest of the machine goes on", () => {
    const machine = bootMachine({
      dax: { size: "256M", targetNode: -1, devices: { mode: "system-ram" } },
      brd: "4M",
    });
    expect(machine.unmapped.map(({ name, error }) => [name, error.code])).toEqual([
      ["dax0.0", "EINVAL"],
    ]);
    expect(machine.devices().map(({ name }) => name)).toEqual(["ram0", "dax0.0"]);
  });
});

test("[2.49] [2.75] listings say how memory is mapped, where that is not write-back", () => {
  const slices = [{ caching: "uncached", length: "2M" }, { domain: "adr" }] as const;
  const machine = bootMachine({
    pmem: [
      { size: "4M" },
      { size: "4M", caching: "write-through" },
      { size: "4M", domains: slices },
    ],
    dax: { size: "4M", caching: "write-combining" },
  });
  const listed = ndctlList(machine) as { dev: string; caching?: unknown }[];
  expect(listed.map(({ caching }) => caching)).toEqual([
    undefined,
    "write-through",
    [{ offset: 0, length: 2 * MIB, type: "uncached" }],
  ]);
  expect(machine.devices().map(({ name, caching }) => [name, caching])).toEqual([
    ["pmem1", undefined],
    ["pmem2", [{ start: 0, length: 4 * MIB, caching: "write-through" }]],
    ["pmem3", [{ start: 0, length: 2 * MIB, caching: "uncached" }]],
    ["dax0.0", [{ start: 0, length: 4 * MIB, caching: "write-combining" }]],
  ]);
  machine.shutdown();
  // Linux 4.1 maps all of it uncached.
  const old = bootMachine({ profile: "v4.1", memmap: "4M!4G" });
  expect(old.devices().map(({ caching }) => caching)).toEqual([
    [{ start: 0, length: 4 * MIB, caching: "uncached" }],
  ]);
  old.shutdown();
});

test("[3.4] without its driver no device-dax serves a filesystem, and the rest works", () => {
  const devices = [{ size: "4M", align: "4K", mode: "fsdev" }, { size: "4M" }] as const;
  const [on, off] = [true, false].map((fsdev) =>
    bootMachine({ dax: { size: "8M", devices }, ...(fsdev ? {} : { fsdev }) }),
  );
  expect(codeOf(() => on?.disk("dax0.0"))).toBe(undefined);
  expect(on?.unmapped).toEqual([]);
  expect(codeOf(() => off?.disk("dax0.0"))).toBe("ENODEV");
  expect(off?.unmapped.map(({ error }) => error.detail)).toEqual([
    'no driver "fsdev_dax"; there is device_dax, kmem',
  ]);
  expect(codeOf(() => off?.devDax("dax0.0").bind("fsdev_dax"))).toBe("EINVAL");
  off?.devDax("dax0.0").bind("device_dax");
  for (const name of ["dax0.0", "dax0.1"]) {
    const mapping = off?.map(name, { access: "write" });
    mapping?.setUint32(4, 7, true);
    expect(mapping?.getUint32(4, true)).toBe(7);
    mapping?.unmap();
  }
  on?.shutdown();
  off?.shutdown();
});
