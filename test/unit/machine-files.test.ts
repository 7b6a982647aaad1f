/** Machines: files behind ranges, bad blocks, and how sizes are shown. */
import { describe, expect, test } from "vitest";
import { copyIn } from "../../src/lib/memory.ts";
import type { MachineHost } from "../../src/machine/backing.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { ndctlList, ndctlSize } from "../../src/machine/list.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { mbrImage } from "../support/partition-images.ts";
import { ToyHost } from "../support/toy-host.ts";

const MIB = 2 ** 20;

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
