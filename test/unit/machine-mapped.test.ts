/** Mapped devices of a machine: described, made, named, refused, and gone at its end. */
import { describe, expect, test } from "vitest";
import { parseTable } from "../../src/dm/words.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { codeOf, noise } from "../support/bytes.ts";

/** A table of primary partitions, each with its first sector and its length. */
function mbrOf(...entries: readonly (readonly [number, number])[]): Uint8Array {
  const sector = new Uint8Array(512);
  const view = new DataView(sector.buffer);
  for (const [i, [start, sectors]] of entries.entries()) {
    const at = 446 + 16 * i;
    view.setUint8(at + 4, 0x83);
    view.setUint32(at + 8, start, true);
    view.setUint32(at + 12, sectors, true);
  }
  view.setUint16(510, 0xaa55, true);
  return sector;
}

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

  test("have partitions, with devices over these, and again", () => {
    const machine = machineOf([FAST, { name: "m1", table: "0 32768 linear mapper/fast 0" }]);
    machine.disk("mapper/m1").write(0, mbrOf([64, 8192], [8256, 4096]));
    const upper = machine.mapper.create("upper", "0 8192 linear /dev/mapper/m1p1 0");
    expect(upper.dax?.length).toBe(8192 * 512);
    const table = upper.active?.placed[0]?.target.table() ?? "";
    machine.mapper.create("again", `0 8192 linear ${table}`);
    upper.write(0, mbrOf([8, 1024]));
    machine.mapper.create("top", "0 1024 linear /dev/mapper/upper1 0");
    const bytes = noise(3, 512);
    machine.disk("mapper/top").write(5, bytes);
    const seen = new Uint8Array(512);
    machine.disk("mapper/fast").read(64 + 8 + 5, seen);
    expect(seen).toEqual(bytes);
    machine.disk("mapper/m1p2").write(0, bytes);
    machine.disk("mapper/fast").read(8256, seen);
    expect(seen).toEqual(bytes);
    for (const name of ["mapper/m1p3", "mapper/m11", "mapper/upperp1", "mapper/fast1"]) {
      expect([name, codeOf(() => machine.disk(name))]).toEqual([name, "ENODEV"]);
    }
    expect(
      codeOf(() => machine.mapper.get("m1").load(parseTable("0 8 linear /dev/mapper/m1p1 0"))),
    ).toBe("ELOOP");
    expect(codeOf(() => machine.mapper.remove("m1"))).toBe("EBUSY");
    machine.shutdown();
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
