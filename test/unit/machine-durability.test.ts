/** Machines: what survives a power cut is a property of a range. */
import { describe, expect, test } from "vitest";
import type { DaxHolder } from "../../src/dax/operations.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { LineClass } from "../../src/media/modelled.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { ToyHost } from "../support/toy-host.ts";

const MIB = 2 ** 20;
const holder: DaxHolder = { name: "ext4", notifyFailure: () => {} };

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

  test("[X4] [2.50] a module counts what is written to it, where that is asked for", () => {
    const worn = { size: "2M", wear: true } as const;
    const pmem = [worn, { size: "2M" }, { ...worn, caching: "uncached" } as const];
    const machine = bootMachine({ pmem });
    const wear = () => machine.devices().map((device) => device.wear);
    expect(wear()).toMatchObject([
      { length: 2 ** 21, lineWrites: 0, worst: 0 },
      undefined,
      { worst: 0 },
    ]);
    for (const name of ["pmem0", "pmem2"]) {
      const mapping = machine.map(name, { access: "write" });
      for (let round = 0; round < 5; round++) {
        mapping.setUint8(0, round);
        mapping.setUint8(1, round);
        if (round % 2 === 0) mapping.flush(0, 64);
      }
      mapping.unmap();
    }
    expect(wear()).toMatchObject([
      { lineWrites: 3, worst: 3 },
      undefined,
      { lineWrites: 10, worst: 10 },
    ]);
    machine.shutdown();
    for (const [wrong, why] of [
      [{ ...worn, modelled: true }, "wear is for plain memory"],
      [{ ...worn, file: "x" }, "wear is for plain memory"],
      [{ ...worn, size: "4G" }, "below 4294967296 bytes"],
      [{ ...worn, domains: [{ caching: "uncached", length: "1M" }, { domain: "adr" }] }, "one way"],
    ] as const) {
      const boot = () => bootMachine({ pmem: wrong });
      expect(codeOf(boot)).toBe("EINVAL");
      expect(boot).toThrow(why);
    }
  });

  test("sizes that the model cannot hold are refused by name", () => {
    const input: MachineInput = { pmem: { size: "8G", modelled: true } };
    expect(codeOf(() => bootMachine(input))).toBe("EINVAL");
    expect(() => bootMachine(input)).toThrow("pmem[0]");
  });
});
