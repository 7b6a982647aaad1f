/**
 * A booted guest and a booted description of the same machine: resources and listings.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daxkit } from "../support/daxkit.ts";
import { type GuestRun, guestTools, runGuest } from "./guest.ts";

const MEMMAP = "64M!512M,32M!640M";
const MODULE = 64 * 2 ** 20;
/** What neither PCI, ACPI nor the kernel image put into the map. */
const OURS = /^ *[0-9a-f]+-[0-9a-f]+ : (Reserved|System RAM|Persistent Memory.*|namespace[\d.]+)$/u;
const TYPES: Readonly<Record<string, number>> = { usable: 1, reserved: 2 };

/** `BIOS-e820: [mem 0x0-0x9fbff] usable`, as a machine file says it. */
function firmware(log: string): object[] {
  return log
    .trim()
    .split("\n")
    .map((line) => {
      const [, first, last, word] = /0x(\w+)-0x(\w+)\] (\w+)$/u.exec(line) ?? [];
      const [from, to] = [BigInt(`0x${first}`), BigInt(`0x${last}`)];
      return { start: `0x${first}`, length: Number(to - from) + 1, type: TYPES[word!] };
    });
}

/** Without order, which is that of a directory, and ids, which are the maker's. */
function comparable(text: string): unknown {
  const sort = (node: unknown): unknown => {
    if (Array.isArray(node)) {
      return node
        .map((item) => sort(item))
        .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    }
    if (typeof node !== "object" || node === null) return node;
    return Object.entries(node)
      .filter(([name]) => name !== "id")
      .map(([name, value]) => [name, sort(value)]);
  };
  return sort(JSON.parse(text));
}

function resources(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => OURS.test(line))
    .map((line) => line.trim())
    .toSorted();
}

describe.skipIf(guestTools.missing)(`a guest with persistent memory${guestTools.hint}`, () => {
  let folder = "";
  const machine = (): string => join(folder, "machine.json");
  let guest: GuestRun;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    const nvdimm = join(folder, "module.img");
    writeFileSync(nvdimm, Buffer.alloc(MODULE));
    guest = await runGuest("machine", folder, {
      commandLine: `memmap=${MEMMAP}`,
      nvdimms: [{ path: nvdimm, size: MODULE }],
    });
    // QEMU puts modules at 4 GiB, where its firmware says nothing; the map would put them last.
    const pmem = [{ size: MODULE, start: "4G", mode: "raw" }];
    const input = { e820: firmware(guest.file("e820")), memmap: MEMMAP, pmem };
    writeFileSync(machine(), JSON.stringify(input));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("the same resources", () => {
    const { stdout, stderr } = daxkit(["iomem", machine()]);
    expect(stderr).toBe("");
    expect(resources(stdout)).toEqual(resources(guest.file("iomem")));
    expect(resources(stdout).length).toBeGreaterThanOrEqual(12);
  });

  test.each([
    ["-RNDi", "list"],
    ["-RNBu", "list-human"],
  ])("ndctl list %s", (options, name) => {
    const { stdout, stderr } = daxkit(["list", options, machine()]);
    expect(stderr).toBe("");
    expect(comparable(stdout)).toEqual(comparable(guest.file(name)));
  });
});
