/**
 * Listings against ndctl's own: fixtures/ndctl/list-76.1.txt.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { type NdctlListOptions, listText, ndctlList } from "../../src/machine/list.ts";

const path = join(import.meta.dirname, "../../fixtures/ndctl/list-76.1.txt");
const sections = readFileSync(path, "utf8")
  .split(/^==== /mu)
  .slice(1);

/** The machines of the file, in its words. QEMU's modules say nothing of power loss. */
const machines = new Map<string, MachineInput>([
  ["memmap=64M!512M,32M!576M", { ram: "1G", memmap: "64M!512M,32M!576M" }],
  [
    "memmap=64M!512M and NVDIMMs of 64M and 32M",
    {
      ram: "1G",
      memmap: "64M!512M",
      pmem: [
        { size: "64M", mode: "raw" },
        { size: "32M", mode: "raw" },
      ],
    },
  ],
  ["an NVDIMM of 64M", { ram: "1G", pmem: { size: "64M", mode: "raw" } }],
]);

interface Listing {
  readonly machine: string;
  readonly command: string;
  readonly output: string;
}

const listings: Listing[] = sections.flatMap((section) => {
  const [machine = "", ...blocks] = section.split(/^=== /mu);
  return blocks.map((block) => {
    const [command = "", ...output] = block.split("\n");
    return { machine: machine.trim(), command, output: output.join("\n") };
  });
});

function optionsOf(command: string): NdctlListOptions {
  const letters = /-(\w+)$/u.exec(command)?.[1] ?? "";
  const has = (letter: string): boolean => letters.includes(letter);
  return {
    buses: has("B"),
    dimms: has("D"),
    regions: has("R"),
    idle: has("i"),
    human: has("u"),
    ...(has("N") ? { namespaces: true } : {}),
  };
}

/** The id of a module is its maker's, and lists come in the order of directories. */
function comparable(text: string): unknown {
  const sort = (node: unknown): unknown => {
    if (Array.isArray(node)) {
      return node.map((item) => sort(item)).toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
    }
    if (typeof node !== "object" || node === null) return node;
    return Object.entries(node)
      .filter(([name]) => name !== "id")
      .map(([name, value]) => [name, sort(value)]);
  };
  return text.trim() === "" ? undefined : sort(JSON.parse(text));
}

function key(value: unknown): string {
  return JSON.stringify(value);
}

test("every machine of the file is known", () => {
  expect(new Set(listings.map(({ machine }) => machine))).toEqual(new Set(machines.keys()));
  expect(listings.length).toBeGreaterThanOrEqual(28);
});

describe("the same keys in the same order with the same values", () => {
  test.each(listings)("$machine: $command", ({ machine: name, command, output }) => {
    const machine = bootMachine(machines.get(name)!);
    if (command.startsWith("disabled")) machine.disable("namespace0.0");
    if (command.startsWith("all")) for (const slot of machine.slots) slot.detach();
    const ours = listText(ndctlList(machine, optionsOf(command)));
    expect(comparable(ours)).toEqual(comparable(output));
  });
});
