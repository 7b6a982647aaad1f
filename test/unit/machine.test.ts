import { describe, expect, test } from "vitest";
import type { DaxHolder } from "../../src/dax/operations.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { copyIn } from "../../src/lib/memory.ts";
import type { MachineHost } from "../../src/machine/backing.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { listText, ndctlList, ndctlSize } from "../../src/machine/list.ts";
import { LineClass } from "../../src/media/modelled.ts";
import type { Media } from "../../src/media/media.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { randomUuid } from "../../src/lib/uuid.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { mbrImage } from "../support/partition-images.ts";

const MIB = 2 ** 20;
const holder: DaxHolder = { name: "ext4", notifyFailure: () => {} };

/** Files in memory, for machines that want files. */
class ToyHost implements MachineHost {
  readonly files = new Map<string, Media>();
  readonly closed: string[] = [];

  add(path: string, size: number): void {
    const media = new RamMedia(size);
    media.close = () => this.closed.push(path);
    this.files.set(path, media);
  }

  openMedia(path: string, options: { readonly create?: number }): Media {
    if (options.create !== undefined) this.add(path, options.create);
    const media = this.files.get(path);
    if (media === undefined) throw new DaxError("ENOENT", { syscall: "open", path });
    return media;
  }
}

const everything: MachineInput = {
  name: "test",
  seed: 7,
  ram: "8G",
  memmap: ["64M!4G", { range: "32M!5G", domain: "eadr" }],
  pmem: [
    { size: "16M", domain: "adr" },
    { size: "8M", as: "e820" },
  ],
  brd: { count: 2, size: "4M" },
};

describe("[2.3] [2.4] booting", () => {
  test("the same description gives the same machine", () => {
    const [a, b] = [bootMachine(everything), bootMachine(everything)];
    expect(b.devices()).toEqual(a.devices());
    expect(b.iomem()).toBe(a.iomem());
    expect(b.log).toEqual(a.log);
    expect(b.uuid).toBe(a.uuid);
    const list = { regions: true, namespaces: true, dimms: true, idle: true };
    expect(listText(ndctlList(b, list))).toBe(listText(ndctlList(a, list)));
    const bytes = [a, b].map((machine) => {
      const { clock, random } = machine.environment;
      return [randomUuid(random), clock.now(), clock.now()];
    });
    expect(bytes[0]).toEqual(bytes[1]);
    expect(bootMachine({ ...everything, seed: 8 }).uuid).not.toBe(a.uuid);
  });

  test("every persistent range is a disk, and every RAM disk", () => {
    const machine = bootMachine(everything);
    expect(machine.failures).toEqual([]);
    expect(
      machine.devices().map(({ name, size, namespace, writeCache }) => ({
        name,
        size,
        namespace,
        writeCache,
      })),
    ).toEqual([
      { name: "pmem0", size: 16 * MIB, namespace: "namespace0.0", writeCache: true },
      { name: "pmem1", size: 64 * MIB, namespace: "namespace1.0", writeCache: true },
      { name: "pmem2", size: 32 * MIB, namespace: "namespace2.0", writeCache: false },
      { name: "pmem3", size: 8 * MIB, namespace: "namespace3.0", writeCache: true },
      { name: "ram0", size: 4 * MIB, namespace: undefined, writeCache: false },
      { name: "ram1", size: 4 * MIB, namespace: undefined, writeCache: false },
    ]);
    expect(machine.iomem()).toContain(
      "100000000-103ffffff : Persistent Memory (legacy)\n  100000000-103ffffff : namespace1.0\n",
    );
  });

  test("bytes written to a disk are read back through its dax device", () => {
    const machine = bootMachine(everything);
    const bytes = noise(1, 8192);
    machine.disk("pmem1").write(16, bytes);
    const span = machine.dax("pmem1").directAccess(2, 2);
    expect(span.pfn).toBe(0x10_0002);
    const seen = new Uint8Array(8192);
    for (let i = 0; i < 8192; i++) seen[i] = span.memory.getUint8(span.start + i);
    expect(same(seen, bytes)).toBe(true);
  });

  test("memory of no use: unknown names are ENODEV and say what there is", () => {
    const machine = bootMachine(everything);
    expect(codeOf(() => machine.disk("pmem9"))).toBe("ENODEV");
    expect(codeOf(() => machine.dax("sda"))).toBe("ENODEV");
    expect(codeOf(() => machine.enable("namespace9.0"))).toBe("ENODEV");
    let message = "";
    try {
      machine.disk("pmme1");
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("did you mean pmem1?");
  });

  test("[2.9] sizes are 64-bit: what leaves the processor's addresses is no device", () => {
    const machine = bootMachine({ memmap: ["2M!0x10000000000000", "2M!0xfffffffe00000", "2M!5G"] });
    expect(machine.devices().map(({ physicalStart }) => physicalStart)).toEqual([
      5 * 2 ** 30,
      2 ** 52 - 2 * MIB,
    ]);
    expect(machine.memoryMap.filter(({ type }) => type === 12)).toHaveLength(3);
    expect(machine.log.join("\n")).toContain("past the processor's addresses");
  });

  test("a RAM of more than any process has is only mapped", () => {
    const machine = bootMachine({ ram: "64T", memmap: "1T!32T" });
    expect(machine.devices()[0]?.size).toBe(2 ** 40);
    machine.shutdown();
  });
});

describe("[2.99] [2.100] ranges that cannot attach", () => {
  test("busy addresses are EBUSY, and the rest goes on", () => {
    const machine = bootMachine({
      ram: "8G",
      pmem: [
        { size: "2M", start: "4G" },
        { size: "2M" },
        { size: "4K", start: "64K", mode: "raw" },
      ],
    });
    expect(machine.failures.map(({ slot, error }) => [slot.name, error.code])).toEqual([
      ["namespace0.0", "EBUSY"],
      ["namespace2.0", "EBUSY"],
    ]);
    expect(machine.failures[0]?.error.message).toContain("System RAM");
    expect(machine.devices().map(({ name }) => name)).toEqual(["pmem1"]);
    expect(machine.log.at(-1)).toContain("failed with error -16");
  });

  test("legacy memory below 1 MiB is busy; Linux 4.1 calls that EINVAL", () => {
    const low = bootMachine({ profile: "v4.1", memmap: "64K!128K,2M!4G" });
    expect(low.failures.map(({ error }) => error.code)).toEqual(["EINVAL"]);
    expect(low.failures[0]?.error.message).toContain("could not reserve region");
    expect(low.devices().map(({ name }) => name)).toEqual(["pmem0"]);
  });

  test("page structures want 2 MiB sections", () => {
    const machine = bootMachine({ memmap: "1M!5G" });
    expect(machine.failures[0]?.error.code).toBe("EOPNOTSUPP");
    expect(machine.log.at(-1)).toBe("nd_pmem: probe of namespace0.0 failed with error -95");
  });

  test("a range that lies only partly in what was described for it is refused", () => {
    const machine = bootMachine({
      memmap: [{ range: "32M!5G", domain: "adr" }, "32M%5G-12", "64M!5G"],
    });
    expect(machine.failures.map(({ error }) => error.code)).toEqual(["EINVAL"]);
    expect(machine.failures[0]?.error.message).toContain("only partly");
  });
});

describe("[2.91] [2.92] legacy ranges", () => {
  test("without the driver for them no device appears, and the range stays put aside", () => {
    const machine = bootMachine({ memmap: "64M!5G", legacyPmem: false });
    expect(machine.devices()).toEqual([]);
    expect(machine.iomem()).toContain("140000000-143ffffff : Persistent Memory (legacy)\n");
    expect(bootMachine({ profile: "v4.1", memmap: "64M!5G", legacyPmem: false }).slots).toEqual([]);
  });

  test("type 6 counts only where that is asked for", () => {
    const e820 = [
      { start: 0, length: "1G", type: 1 },
      { start: "1G", length: "64M", type: 6 },
    ];
    expect(bootMachine({ e820 }).slots).toEqual([]);
    const machine = bootMachine({ e820, treat6AsPram: true });
    expect(machine.devices().map(({ physicalStart }) => physicalStart)).toEqual([2 ** 30]);
  });

  test("[2.94] adjacent marks are two devices, and an edge beneath splits one", () => {
    const two = bootMachine({ memmap: "64M!5G,64M!5184M" });
    expect(two.devices().map(({ size }) => size / MIB)).toEqual([64, 64]);
    const three = bootMachine({ ram: "8G", memmap: "4G!2G" });
    const starts = three.slots.map(({ range }) => range.start.toString(16));
    expect(starts).toEqual(["80000000", "c0000000", "fffc0000", "100000000"]);
  });
});

describe("Linux 4.1", () => {
  const old: MachineInput = { profile: "v4.1", memmap: "2M!5G,2M!6G" };

  test("[2.98] [2.100] [2.114] names, and indices that are never used again", () => {
    const machine = bootMachine(old);
    expect(machine.iomem()).toContain("140000000-1401fffff : Persistent RAM\n");
    expect(machine.iomem()).toContain("  140000000-1401fffff : pmem\n");
    expect(machine.devices().map(({ name }) => name)).toEqual(["pmem0", "pmem1"]);
    machine.disable("pmem0");
    expect(machine.enable("pmem.0").name).toBe("pmem2");
    expect(machine.devices().map(({ name }) => name)).toEqual(["pmem2", "pmem1"]);
    expect(ndctlList(machine, { regions: true, idle: true })).toBeUndefined();
  });

  test("[2.102] sixteen minors a disk", () => {
    const machine = bootMachine(old);
    expect(machine.devices().map(({ number }) => number)).toEqual([
      { major: 254, minor: 0 },
      { major: 254, minor: 16 },
    ]);
  });
});

describe("[2.101] a driver that comes late finds what is there", () => {
  test("nothing attaches before probe, everything after", () => {
    const machine = bootMachine({ ...everything, probe: "late" });
    expect(machine.devices().map(({ kind }) => kind)).toEqual(["brd", "brd"]);
    expect(machine.iomem()).not.toContain("namespace");
    expect(machine.probe()).toBe(4);
    expect(machine.devices()).toEqual(bootMachine(everything).devices());
    expect(machine.probe()).toBe(0);
  });

  test("a disabled namespace gives its addresses and its names back", () => {
    const machine = bootMachine(everything);
    const before = machine.devices();
    expect(machine.disable("namespace1.0")).toBe(true);
    expect(machine.disable("namespace1.0")).toBe(false);
    expect(machine.iomem()).not.toContain("namespace1.0");
    expect(codeOf(() => machine.disk("pmem1"))).toBe("ENODEV");
    machine.disk("pmem2").write(0, noise(3, 512));
    machine.enable("namespace1.0");
    expect(machine.devices()).toEqual(before);
  });

  test("what was written stays through disabling", () => {
    const machine = bootMachine(everything);
    const bytes = noise(4, 512);
    machine.disk("pmem1").write(7, bytes);
    machine.disable("pmem1");
    machine.enable("namespace1.0");
    const seen = new Uint8Array(512);
    machine.disk("pmem1").read(7, seen);
    expect(same(seen, bytes)).toBe(true);
  });
});

/** How often a machine warns that writes may not last. */
function warned(input: MachineInput): number {
  return bootMachine(input).log.filter((line) => line.includes("unable to guarantee")).length;
}

describe("[0.18] [0.19] [0.25] [4.5] what survives is a property of a range", () => {
  test("battery-backed and volatile ranges have the write cache off, mixed ones on", () => {
    const machine = bootMachine({
      pmem: [
        { size: "2M", domain: "adr" },
        { size: "2M", domain: "eadr" },
        { size: "2M", domain: "volatile" },
        { size: "4M", domains: [{ domain: "eadr", length: "2M" }, { domain: "adr" }] },
        { size: "4M", domains: [{ domain: "eadr", length: "2M" }, { domain: "volatile" }] },
      ],
    });
    expect(machine.devices().map(({ writeCache }) => writeCache)).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
    expect(machine.devices()[3]?.domains).toEqual([
      { start: 0, length: 2 * MIB, domain: "eadr" },
      { start: 2 * MIB, length: 2 * MIB, domain: "adr" },
    ]);
    expect(machine.regions.map(({ persistence }) => persistence)).toEqual([
      "memory_controller",
      "cpu_cache",
      "unknown",
      "memory_controller",
      "unknown",
    ]);
    expect(machine.regions.map((region) => region.volatile)).toEqual([
      false,
      false,
      true,
      false,
      false,
    ]);
  });

  test("half of a range battery-backed: lines are written back only in the other half", () => {
    const host = new ToyHost();
    host.add("dimm", 4 * MIB);
    const flushed: number[] = [];
    host.files.get("dimm")!.flush = (offset) => void flushed.push(offset);
    const domains = [{ domain: "eadr", length: "2M" }, { domain: "adr" }] as const;
    const dax = bootMachine({ pmem: { file: "dimm", domains } }, host).dax("pmem0");
    dax.copyFromIter(0, 0, [noise(1, 64)]);
    dax.copyFromIter(512, 0, [noise(1, 64)]);
    expect(flushed).toEqual([2 * MIB]);
  });

  test("[0.47] only memory of which nobody knows warns of it", () => {
    expect(warned({ pmem: { size: "2M" } })).toBe(0);
    expect(warned({ memmap: "2M!5G" })).toBe(1);
  });

  test("[4.13] [4.14] volatile memory cannot be claimed, persistent memory can, once", () => {
    const machine = bootMachine({
      memmap: "2M!5G",
      pmem: [
        { size: "2M", domain: "volatile" },
        { size: "2M", domains: [{ domain: "adr", length: "1M" }, { domain: "volatile" }] },
        { size: "2M" },
      ],
      brd: "2M",
    });
    const claim = (name: string): unknown => machine.claim(name, holder, { contiguous: true });
    expect(codeOf(() => claim("pmem0"))).toBe("EOPNOTSUPP");
    expect(codeOf(() => claim("pmem1"))).toBe("EOPNOTSUPP");
    expect(codeOf(() => claim("ram0"))).toBe("EOPNOTSUPP");
    expect(codeOf(() => claim("pmem2"))).toBeUndefined();
    expect(codeOf(() => claim("pmem3"))).toBeUndefined();
    const other = { ...holder, name: "xfs" };
    expect(codeOf(() => machine.claim("pmem2", other))).toBe("EBUSY");
    expect(machine.dax("ram0").holder).toBeUndefined();
  });
});

describe("files and bad blocks", () => {
  test("a file is used to its last whole page, or as far as the size says", () => {
    const host = new ToyHost();
    host.add("odd", 2 * MIB + 1000);
    host.add("large", 8 * MIB);
    const machine = bootMachine(
      { pmem: [{ file: "odd" }, { file: "large", size: "2M" }, { file: "new", size: "4M" }] },
      host,
    );
    expect(machine.devices().map(({ size, file }) => [size / MIB, file])).toEqual([
      [2, "odd"],
      [2, "large"],
      [4, "new"],
    ]);
    machine.shutdown();
    expect(host.closed).toEqual(["odd", "large", "new"]);
  });

  test.each<[MachineInput, string]>([
    [{ pmem: { file: "missing" } }, "ENOENT"],
    [{ pmem: [{ file: "small" }, { file: "small", size: "4M" }] }, "EINVAL"],
    [{ pmem: { file: "tiny" } }, "EINVAL"],
    [{ pmem: { file: "small", domains: [{ domain: "adr", length: "1M" }] } }, "EINVAL"],
    [{ pmem: { file: "small", domains: [{ domain: "adr", length: "3M" }] } }, "EINVAL"],
    [{ pmem: { file: "small", poison: { start: "2M", length: 512 } } }, "EINVAL"],
    [{ memmap: { range: "4M!5G", file: "small" } }, "EINVAL"],
    [{ memmap: ["exactmap"], pmem: { file: "small" } }, "EINVAL"],
  ])("%j is refused, and what was opened is closed: %s", (input, code) => {
    const host = new ToyHost();
    host.add("small", 2 * MIB);
    host.add("tiny", 1000);
    const opened: string[] = [];
    const counting: MachineHost = {
      openMedia: (path, options) => {
        const media = host.openMedia(path, options);
        opened.push(path);
        return media;
      },
    };
    expect(codeOf(() => bootMachine(input, counting))).toBe(code);
    expect(host.closed.toSorted()).toEqual(opened.toSorted());
  });

  test("partitions are devices of their own, with what survives in them", () => {
    const host = new ToyHost();
    host.add("disk", 8 * MIB);
    const table = mbrImage((8 * MIB) / 512, [
      { type: 0x83, start: 2048, sectors: 4096 },
      { type: 0x83, start: 8192, sectors: 8192 },
    ]);
    copyIn(host.files.get("disk")!.window(0).memory, 0, table.subarray(0, 512));
    const domains = [{ domain: "eadr", length: "2M" }, { domain: "adr" }] as const;
    const machine = bootMachine({ pmem: { file: "disk", domains, start: "8G" } }, host);
    expect(machine.devices().slice(1)).toMatchObject([
      {
        name: "pmem0p1",
        kind: "partition",
        parent: "pmem0",
        size: 2 * MIB,
        number: { major: 259, minor: 1 },
        physicalStart: 8 * 2 ** 30 + MIB,
        domains: [
          { start: 0, length: MIB, domain: "eadr" },
          { start: MIB, length: MIB, domain: "adr" },
        ],
      },
      { name: "pmem0p2", physicalStart: 8 * 2 ** 30 + 4 * MIB, domains: [{ domain: "adr" }] },
    ]);
    expect(machine.disk("pmem0p2").sectors).toBe(8192);
  });

  test("without a host files are refused by name", () => {
    expect(codeOf(() => bootMachine({ pmem: { file: "x" } }))).toBe("ENOTSUP");
  });

  test("marked ranges share what stands behind them, each at its place", () => {
    const host = new ToyHost();
    host.add("dimm", 4 * MIB);
    const machine = bootMachine({ memmap: [{ range: "4M!5G", file: "dimm" }, "2M!5G"] }, host);
    expect(machine.devices().map(({ physicalStart, size }) => [physicalStart, size])).toEqual([
      [5 * 2 ** 30, 2 * MIB],
      [5 * 2 ** 30 + 2 * MIB, 2 * MIB],
    ]);
    machine.disk("pmem1").write(0, noise(9, 512));
    expect(
      host.files
        .get("dimm")
        ?.window(0)
        .memory.getUint8(2 * MIB),
    ).toBe(noise(9, 1)[0]);
  });

  test("described bad blocks are there, are listed, and heal", () => {
    const machine = bootMachine({ pmem: { size: "2M", poison: { start: 8192, length: 100 } } });
    const sector = new Uint8Array(512);
    expect(codeOf(() => machine.disk("pmem0").read(16, sector))).toBe("EIO");
    expect(codeOf(() => machine.dax("pmem0").directAccess(2, 1))).toBe("EHWPOISON");
    expect(ndctlList(machine, { regions: true, mediaErrors: true })).toMatchObject([
      { badblock_count: 1, badblocks: [{ offset: 16, length: 1 }] },
    ]);
    machine.disk("pmem0").write(16, sector);
    expect(codeOf(() => machine.disk("pmem0").read(16, sector))).toBeUndefined();
  });
});

describe("modelled memory", () => {
  test("records what is done through a disk, by domain", () => {
    const machine = bootMachine({
      pmem: [
        {
          size: "2M",
          modelled: true,
          domains: [{ domain: "eadr", length: "1M" }, { domain: "adr" }],
        },
        { size: "2M" },
      ],
    });
    const media = machine.modelled("pmem0");
    expect(media?.domains.map(({ domain }) => domain)).toEqual(["eadr", "adr"]);
    expect(machine.modelled("pmem1")).toBeUndefined();
    const before = media?.trace.count ?? 0;
    machine.disk("pmem0").write(8, noise(1, 512));
    expect(media?.trace.count).toBeGreaterThan(before);
    expect(machine.devices()[0]?.backing).toBe("modelled");
  });

  test("poison lies over it", () => {
    const machine = bootMachine({
      pmem: { size: "2M", modelled: true, poison: { start: 0, length: 1 } },
    });
    expect(codeOf(() => machine.dax("pmem0").directAccess(0, 1))).toBe("EHWPOISON");
    expect(machine.modelled("pmem0")).toBeDefined();
  });

  test("[2.112] Linux 4.1 maps uncached: every store is durable when it is made", () => {
    const input = { size: "2M", modelled: true } as const;
    const old = bootMachine({ profile: "v4.1", pmem: input }).modelled("pmem0");
    const today = bootMachine({ pmem: input }).modelled("pmem0");
    expect(old?.classes[0]).toBe(LineClass.inOrder);
    expect(today?.classes[0]).toBe(LineClass.cached);
  });

  test("sizes that the model cannot hold are refused by name", () => {
    const input: MachineInput = { pmem: { size: "8G", modelled: true } };
    expect(codeOf(() => bootMachine(input))).toBe("EINVAL");
    expect(() => bootMachine(input)).toThrow("pmem[0]");
  });
});

describe("shutdown", () => {
  test("a device in use is EBUSY with nothing changed; then everything ends", () => {
    const machine = bootMachine(everything);
    const dax = machine.dax("pmem2");
    dax.enter();
    const before = machine.devices();
    expect(codeOf(() => machine.shutdown())).toBe("EBUSY");
    expect(codeOf(() => machine.disable("pmem2"))).toBe("EBUSY");
    expect(machine.devices()).toEqual(before);
    dax.exit();
    dax.claim(holder);
    expect(codeOf(() => machine.shutdown())).toBe("EBUSY");
    dax.release(holder);
    machine.shutdown();
    machine.shutdown();
    expect(machine.running).toBe(false);
    expect(codeOf(() => dax.directAccess(0, 1))).toBe("ENXIO");
    expect(codeOf(() => machine.probe())).toBe("ENXIO");
    expect(machine.iomem()).not.toContain("namespace");
  });
});

test.each([
  [0, 0],
  [4096, 4096],
  [5000 * 1024 - 1, 5000 * 1024 - 1],
  [5000 * 1024, "4.88 MiB (5.12 MB)"],
  [2 ** 31 - 1, "2048.00 MiB (2147.48 MB)"],
  [2 ** 31, "2.00 GiB (2.15 GB)"],
  [2 ** 41 - 1, "2048.00 GiB (2199.02 GB)"],
  [2 ** 41, "2.00 TiB (2.20 TB)"],
])("ndctl -u shows %d bytes as %j", (bytes, shown) => expect(ndctlSize(bytes)).toBe(shown));
