/** Machines: booting, what attaches and what cannot, and shutting down. */
import { describe, expect, test } from "vitest";
import type { DaxHolder } from "../../src/dax/operations.ts";
import { randomUuid } from "../../src/lib/uuid.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { listText, ndctlList } from "../../src/machine/list.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const MIB = 2 ** 20;
const holder: DaxHolder = { name: "ext4", notifyFailure: () => {} };

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
