/**
 * A kernel's view of a firmware table that we wrote, and ours of one that an emulator wrote.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import { ndctlList } from "../../src/machine/list.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { encodeNfit } from "../../src/platform/nfit.ts";
import { NFIT_OF_ALL_KINDS, modulesSsdt } from "../support/nfit-tables.ts";
import { type GuestRun, guestTools, runGuest } from "./guest.ts";

const MODULE = 64 * 2 ** 20;
/** Memory that the kernel leaves alone, for the ranges of our table to lie on. */
const RESERVED = "256M$512M";

/** The table as the kernel has it in /sys/firmware. */
function tableOf(guest: GuestRun): Uint8Array {
  const words = guest.file("nfit").trim().split(/\s+/u);
  return Uint8Array.from(words, (word) => Number.parseInt(word, 16));
}

interface Listed {
  readonly regions: readonly { readonly dev: string; readonly mappings?: unknown }[];
}

/** Regions by name; modules have ids of their makers. */
function regionsOf(listed: unknown): unknown {
  const { regions } = listed as Listed;
  return regions
    .map((region) => Object.entries(region).filter(([key]) => key !== "mappings"))
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

const lines = (text: string): string[] => text.trim().split("\n");

function cachesOf({ slots }: Machine): string[] {
  return slots.map(({ pmem }) => `${pmem?.name ?? ""} ${pmem?.dax.writeCache === true ? 1 : 0}`);
}

function expectSame(guest: GuestRun, machine: Machine): void {
  const listed = ndctlList(machine, {
    regions: true,
    namespaces: true,
    dimms: true,
    idle: true,
  });
  expect(regionsOf(listed)).toEqual(regionsOf(JSON.parse(guest.file("list"))));
  expect(cachesOf(machine)).toEqual(lines(guest.file("write-caches")));
  const warned = machine.log.filter((line) => line.includes("unable to guarantee"));
  expect(warned).toEqual(guest.file("said").trim().split("\n").filter(Boolean));
  const seen = machine.slots.map(({ region }) => {
    const { name, start, volatile, readOnly, mappings } = region!;
    const type = volatile ? "nd_volatile" : "nd_pmem";
    return `${name} 0x${start.toString(16)} ${type} ${readOnly ? 1 : 0} ${mappings}`;
  });
  expect(seen).toEqual(lines(guest.file("regions")).map((line) => line.replace(/ \d+$/u, "")));
}

describe.skipIf(guestTools.missing)(`a guest with a table of modules${guestTools.hint}`, () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("[0.48] [0.18] the kernel finds in our table what we find in it", async () => {
    const [nfit, ssdt] = [join(folder, "nfit.bin"), join(folder, "ssdt.bin")];
    writeFileSync(nfit, encodeNfit(NFIT_OF_ALL_KINDS));
    writeFileSync(ssdt, modulesSsdt());
    const guest = await runGuest("nfit", join(folder, "ours"), {
      acpiTables: [nfit, ssdt],
      commandLine: `memmap=${RESERVED}`,
    });
    expect(tableOf(guest)).toEqual(encodeNfit(NFIT_OF_ALL_KINDS));
    expectSame(guest, bootMachine({ ram: "1G", memmap: RESERVED, nfit: tableOf(guest) }));
  });

  test("we find in an emulator's table what the kernel finds in it", async () => {
    const path = join(folder, "module.img");
    writeFileSync(path, new Uint8Array(MODULE));
    const guest = await runGuest("nfit", join(folder, "theirs"), {
      nvdimms: [{ path, size: MODULE }],
    });
    const machine = bootMachine({ ram: "1G", nfit: tableOf(guest) });
    expect(machine.slots).toHaveLength(1);
    expectSame(guest, machine);
  });
});
