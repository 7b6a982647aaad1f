/** ACPI's table of persistent memory: read, written, hostile, and as a machine has it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { NfitHeader, NfitSystemAddress } from "../../src/format/nfit.ts";
import { Prng } from "../../src/lib/prng.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { loadMachine } from "../../src/node/machine-file.ts";
import { type Nfit, decodeNfit, encodeNfit, nfitRegions } from "../../src/platform/nfit.ts";
import { codeOf } from "../support/bytes.ts";
import { NFIT_OF_ALL_KINDS, QEMU_NFIT } from "../support/nfit-tables.ts";

const MIB = 2n ** 20n;
const NONE: Nfit = { ranges: [], mappings: [], controls: [], domain: undefined };

/** The sum made right again after something was changed. */
function summed(bytes: Uint8Array): Uint8Array {
  const sum = bytes.reduce((all, byte) => (all + byte) & 0xff, 0);
  bytes[9] = ((bytes[9] as number) - sum) & 0xff;
  return bytes;
}

/** A table with these in it, whatever they are. */
function tableOf(...parts: readonly (readonly number[])[]): Uint8Array {
  const bytes = Uint8Array.from([...encodeNfit(NONE), ...parts.flat()]);
  NfitHeader.length.set(new DataView(bytes.buffer), 0, bytes.length);
  return summed(bytes);
}

const messageOf = (work: () => unknown): string => {
  try {
    work();
    return "";
  } catch (error) {
    return isDaxError(error) ? `${error.code} ${error.detail ?? ""}` : String(error);
  }
};

describe("a table", () => {
  test("is read as it was written", () => {
    const { warnings, ...table } = decodeNfit(encodeNfit(NFIT_OF_ALL_KINDS));
    expect(warnings).toEqual([]);
    expect(table).toEqual(NFIT_OF_ALL_KINDS);
    for (const domain of ["adr", undefined] as const) {
      expect(decodeNfit(encodeNfit({ ...NONE, domain })).domain).toBe(domain);
    }
  });

  test("of QEMU's firmware has one module of 64 MiB", () => {
    const table = decodeNfit(QEMU_NFIT);
    expect(table.warnings).toEqual([]);
    expect(table.ranges).toEqual([
      { index: 2, kind: "persistent", start: 4096n * MIB, length: 64n * MIB },
    ]);
    expect(table.mappings).toMatchObject([{ handle: 1, range: 2, controlRegion: 3, armed: true }]);
    expect(table.controls).toEqual([
      { index: 3, vendor: 0x8086, device: 1, serial: 0x123456, code: 0x301 },
    ]);
    expect(table.domain).toBe(undefined);
  });

  test("[0.48] says by its GUIDs which ranges are volatile, and which are regions at all", () => {
    const seen = nfitRegions(NFIT_OF_ALL_KINDS).map(({ kind, start, domain, readOnly }) => [
      kind,
      Number(start / MIB),
      domain,
      readOnly,
    ]);
    expect(seen).toEqual([
      ["volatile", 512, "volatile", false],
      ["persistent", 544, "eadr", false],
      ["persistent disk", 608, "eadr", false],
      ["persistent", 640, "eadr", true],
      ["persistent", 672, "eadr", false],
    ]);
    // The GUID as it lies in memory: its first three groups are little-endian.
    const guid = NfitSystemAddress.rangeGuid.get(
      new DataView(encodeNfit(NFIT_OF_ALL_KINDS).buffer),
      40,
    );
    expect(Buffer.from(guid).toString("hex")).toBe("4f940573dafde344b16c3f22d252e5d0");
  });

  test("counts the modules of each range, and takes none for index 0", () => {
    const mapping = { ...NFIT_OF_ALL_KINDS.mappings[0]!, range: 7 };
    const range = { index: 7, kind: "persistent", start: 0n, length: MIB } as const;
    const disk = { ...range, index: 0, kind: "volatile disk" } as const;
    const mappings = [mapping, { ...mapping, handle: 9, armed: false }, { ...mapping, range: 0 }];
    expect(nfitRegions({ ...NONE, ranges: [range, disk], mappings })).toMatchObject([
      { mappings: 2, readOnly: true },
      { mappings: 0, domain: "volatile" },
    ]);
  });

  test("ranges that cannot be are no regions, and said", () => {
    const said: string[] = [];
    const range = { index: 1, kind: "persistent", start: 0n, length: MIB } as const;
    const ranges = [
      { ...range, index: 0 },
      { ...range, length: 0n },
      { ...range, start: 2n ** 64n - 1n, length: 2n },
      { ...range, start: 2n ** 64n - MIB },
    ];
    expect(nfitRegions({ ...NONE, ranges }, (what) => said.push(what))).toHaveLength(1);
    expect(said).toEqual([
      "nfit: persistent range 0 at 0x0 has index 0, which no mapping can name; no region",
      "nfit: persistent range 1 at 0x0 is empty; no region",
      "nfit: persistent range 1 at 0xffffffffffffffff reaches past the last address; no region",
    ]);
  });
});

describe("a hostile table", () => {
  test.each<[string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array]>([
    ["EINVAL 39 bytes", (bytes) => bytes.subarray(0, 39)],
    ['EINVAL the signature is "XFIT"', (bytes) => bytes.fill(0x58, 0, 1)],
    ["EINVAL says it has 9999 bytes", (bytes) => withLength(bytes, 9999)],
    ["EINVAL says it has 39 bytes", (bytes) => withLength(bytes, 39)],
    ["EBADMSG its bytes sum to 1,", (bytes) => bytes.fill(bytes[20]! + 1, 20, 21)],
  ])("is refused: %s", (message, damage) => {
    expect(messageOf(() => decodeNfit(damage(encodeNfit(NFIT_OF_ALL_KINDS))))).toContain(message);
  });

  test.each([
    ["of length 0 ends it", [[1, 0, 0, 0], rangeBytes()], 0, "has length 0, which ends the table"],
    ["too long ends it", [[9, 0, 99, 0], rangeBytes()], 0, "of 99 bytes does not fit"],
    ["shorter than its head ends it", [[9, 0, 3, 0], rangeBytes()], 0, "of 3 bytes does not fit"],
    ["unknown is passed over", [[9, 0, 5, 0, 1], rangeBytes()], 1, undefined],
    [
      "of a wrong length is left out",
      [[0, 0, 8, 0, 1, 1, 1, 1], rangeBytes()],
      1,
      "8 bytes where 56",
    ],
    ["twice counts once", [rangeBytes(), rangeBytes()], 1, undefined],
  ])("a part %s", (_, parts, ranges, warning) => {
    const table = decodeNfit(tableOf(...parts));
    expect(table.ranges).toHaveLength(ranges);
    expect(table.warnings.map((said) => said.includes(warning ?? "nothing"))).toEqual(
      warning === undefined ? [] : [true],
    );
  });

  test("a cookie makes a range longer, and must be there when it is announced", () => {
    const announced = rangeBytes();
    announced[6] = 4;
    expect(decodeNfit(tableOf(announced)).ranges).toHaveLength(0);
    announced[2] = 64;
    expect(decodeNfit(tableOf([...announced, 0, 0, 0, 0, 0, 0, 0, 0])).ranges).toHaveLength(1);
  });

  test("damaged at random is refused or read, and boots or says why", () => {
    const prng = new Prng(48);
    let read = 0;
    for (let round = 0; round < 300; round++) {
      const bytes = encodeNfit(NFIT_OF_ALL_KINDS);
      for (let i = prng.below(8); i >= 0; i--) bytes[prng.below(bytes.length)] = prng.below(256);
      const cut = prng.below(4) === 0 ? bytes.subarray(0, prng.below(bytes.length)) : bytes;
      if (cut.length > 9) summed(cut);
      const message = messageOf(() => {
        const machine = bootMachine({ ram: "16M", nfit: cut, probe: "late" });
        read++;
        machine.shutdown();
      });
      expect(message).toMatch(/^(?:$|E[A-Z]+ )/u);
    }
    expect(read).toBeGreaterThan(50);
  });
});

function withLength(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array {
  NfitHeader.length.set(new DataView(bytes.buffer), 0, length);
  return bytes;
}

/** A persistent range as bytes. */
function rangeBytes(): number[] {
  const ranges = [{ index: 1, kind: "persistent", start: MIB, length: MIB }] as const;
  return [...encodeNfit({ ...NONE, ranges }).subarray(40)];
}

describe("a machine with a table", () => {
  const nfit = encodeNfit(NFIT_OF_ALL_KINDS);
  const base: MachineInput = { ram: "256M", nfit };

  test("[0.48] [0.18] [0.47] has a volatile disk without write cache, and persistent ones", () => {
    const machine = bootMachine(base);
    const seen = machine.slots.map(({ region, pmem }) => {
      const { volatile, readOnly, persistence } = region!;
      const { dax, range: memory, disk } = pmem!;
      return [volatile, readOnly, persistence, dax.writeCache, memory.hasCache, disk.readOnly];
    });
    expect(seen).toEqual([
      [true, false, "cpu_cache", false, false, false],
      [false, false, "cpu_cache", false, false, false],
      [false, false, "cpu_cache", false, false, false],
      [false, true, "cpu_cache", false, false, true],
      [false, false, "cpu_cache", false, false, false],
    ]);
    // Where no module is known, nobody says how to flush.
    const warned = machine.log.filter((line) => line.includes("unable to guarantee"));
    expect(warned.map((line) => line.split(" ")[1])).toEqual([
      "namespace0.0:",
      "namespace2.0:",
      "namespace4.0:",
    ]);
    // Nothing that was stored to it is ever flushed, and nobody may claim it as persistent.
    const [disk, dax] = [machine.disk("pmem0"), machine.slots[0]!.pmem!.dax];
    disk.write(0, new Uint8Array(4096).fill(1), { fua: true });
    disk.flush();
    dax.zero(0, 0, 100);
    expect(dax.counters).toMatchObject({ flushes: 0, flushedLines: 0 });
    expect(codeOf(() => machine.claim("pmem0", { name: "cache", notifyFailure: () => {} }))).toBe(
      "EOPNOTSUPP",
    );
    machine.shutdown();
  });

  test("keeps what a module of the description says stands behind a range", () => {
    const pmem = [
      { start: "544M", size: "32M", modelled: true },
      { size: "4M", domain: "adr" },
    ] as const;
    const machine = bootMachine({ ...base, pmem });
    expect(machine.slots).toHaveLength(6);
    expect(machine.slots.map(({ backing }) => backing?.kind)).toEqual([
      "ram",
      "modelled",
      "ram",
      "ram",
      "ram",
      "ram",
    ]);
    expect(machine.slots[1]?.region?.persistence).toBe("cpu_cache");
    machine.shutdown();
  });

  test.each([
    [{ pmem: { start: "544M", size: "1M" } }, "pmem[0] is 1048576 bytes; the NFIT has 33554432"],
    [{ pmem: { start: "544M", size: "32M", as: "e820" } }, "pmem[0] is of the e820 map"],
    [{ profile: "v4.1" }, "nfit is unknown to Linux 4.1"],
    [{ nfit: 5 }, "nfit is 5; it takes a text"],
    [{ nfit: new Uint8Array(3) }, "nfit: 3 bytes; a table has 40 or more"],
    [{ nfit: "table" }, "booted without a host for files"],
  ])("is refused by name: %j", (more, message) => {
    expect(messageOf(() => bootMachine({ ...base, ...(more as MachineInput) }))).toContain(message);
  });

  test("may have it in a file beside its own, or in one of the kernel's", () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-nfit-"));
    try {
      const file = join(folder, "machine.json");
      writeFileSync(file, '{ "ram": "256M", "nfit": "table" }');
      expect(codeOf(() => loadMachine(file))).toBe("ENOENT");
      writeFileSync(join(folder, "table"), nfit);
      const machine = loadMachine(file);
      expect(machine.slots).toHaveLength(5);
      machine.shutdown();
      writeFileSync(join(folder, "table"), new Uint8Array(2 ** 20 + 1));
      expect(codeOf(() => loadMachine(file))).toBe("E2BIG");
      // Files of the kernel have no size until they are read.
      writeFileSync(file, '{ "nfit": "/proc/self/status" }');
      expect(messageOf(() => loadMachine(file))).toContain('the signature is "Name"');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
