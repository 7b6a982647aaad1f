/** Mapped devices of a machine: described, made, named, refused, and gone at its end. */
import { describe, expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { codeOf, noise } from "../support/bytes.ts";

const machineOf = (dm: MachineInput["dm"] & {}) =>
  bootMachine({
    pmem: [
      { size: "8M", domain: "adr" },
      { size: "8M", domain: "eadr" },
    ],
    brd: "4M",
    dm,
  });

const FAST = { name: "fast", table: "0 32768 striped 2 64 pmem0 0 /dev/pmem1 0" };
const TOP = {
  name: "top",
  table: ["0 4096 linear /dev/mapper/fast 64", "4096 4096 linear ram0 0"],
};

describe("[X7] mapped devices of a machine", () => {
  test("are disks of it, over its disks and over each other", () => {
    const machine = machineOf([FAST, TOP]);
    expect(machine.unmapped).toEqual([]);
    expect(machine.devices().filter(({ kind }) => kind === "mapped")).toMatchObject([
      { name: "mapper/fast", size: 16 << 20, number: { major: 253, minor: 0 }, writeCache: true },
      { name: "mapper/top", size: 4 << 20, targets: ["linear", "linear"] },
    ]);
    const bytes = noise(1, 4096);
    machine.disk("mapper/top").write(0, bytes);
    const seen = new Uint8Array(4096);
    // Chunk 1 of two stripes is chunk 0 of the second.
    machine.disk("pmem1").read(0, seen);
    expect(seen).toEqual(bytes);
    machine.shutdown();
    expect(machine.mapper.devices).toEqual([]);
  });

  test("that are refused do not stop the others, and are made when they can be", () => {
    const dm = [{ name: "bad", table: "0 8 linear pmem7 0" }, FAST];
    const machine = bootMachine({ pmem: [{ size: "8M" }, { size: "8M" }], dm, probe: "late" });
    expect(machine.mapper.devices).toEqual([]);
    machine.probe();
    expect(machine.mapper.devices.map(({ name }) => name)).toEqual(["fast"]);
    expect(machine.unmapped.map(({ name, error }) => [name, error.code])).toEqual([
      ["bad", "ENODEV"],
    ]);
    machine.shutdown();
  });

  test("in use keep the machine up, whole", () => {
    const machine = machineOf([FAST, TOP]);
    const close = machine.mapper.get("fast").open();
    expect(codeOf(() => machine.shutdown())).toBe("EBUSY");
    expect(machine.mapper.devices.length).toBe(2);
    expect(codeOf(() => machine.disable("pmem0"))).toBe("EBUSY");
    close();
    machine.shutdown();
    expect(machine.running).toBe(false);
  });

  test.each([
    [[{ table: "0 8 zero" }], "dm[0] needs a name and a table"],
    [[FAST, FAST], 'dm[1].name is "fast", as an earlier one'],
    [[{ name: "x", table: "0 8" }], "dm[0].table: Invalid format on line 1"],
    [[{ name: "x", table: 8 }], "dm[0].table"],
    [[{ ...FAST, dax: "maybe" }], "dm[0].dax"],
    [[{ ...FAST, tables: "" }], "did you mean table?"],
  ])("are described with what is wrong: %j", (dm, why) => {
    expect(() => bootMachine({ dm } as unknown as MachineInput)).toThrow(why);
  });
});
