/**
 * A booted machine against a kernel: for the same map and options the same resources, devices,
 * messages and listings.
 */
import { describe, expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { listText, ndctlList } from "../../src/machine/list.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { type KernelRun, firmwareMap, kernelRuns } from "./memory-map-corpus.ts";

/** Only what the kernel swallowed and a description refuses is left out. */
const bootable = kernelRuns.filter(({ options }) => !options.some((o) => /x,|!4G,|\+7-1/u.test(o)));

function boot({ options }: KernelRun): Machine {
  const memmap: string[] = [];
  let mem: string | undefined;
  for (const option of options) {
    const [, name, text = ""] = /^(mem|memmap)=(.*)$/u.exec(option) ?? [];
    if (name === "mem") mem = text;
    else memmap.push(text);
  }
  const e820 = firmwareMap.map(({ start, length, type }) => ({
    start,
    length: Number(length),
    type,
  }));
  const input: MachineInput = { e820, memmap, ...(mem === undefined ? {} : { mem }) };
  return bootMachine(input);
}

/** Lines in an order of their own: what a kernel lists in the order of a hash. */
function sortedLines(lines: readonly string[]): string[] {
  return lines.map((line) => line.trim()).toSorted();
}

/** ndctl walks regions in the order of a directory; ours is by number. */
function byDevice(text: string): unknown {
  const value = JSON.parse(text) as unknown;
  const sort = (node: unknown): unknown => {
    if (Array.isArray(node)) {
      return node
        .map((item) => sort(item))
        .toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
    }
    if (typeof node !== "object" || node === null) return node;
    return Object.entries(node).map(([key, item]) => [key, sort(item)]);
  };
  return sort(value);
}

test("most runs of the corpus can be booted", () => {
  expect(bootable.length).toBeGreaterThanOrEqual(14);
});

describe("[2.3] [2.99] [2.100] [0.47] Linux 6.1 has the same resources and devices", () => {
  test.each(bootable)("$options", (run) => {
    const machine = boot(run);
    const log = machine.log.filter((line) => line.startsWith("e820: "));
    expect(log.map((line) => line.trim())).toEqual(run.log.map((line) => line.trim()));
    expect(machine.log.filter((line) => line.startsWith("user: "))).toEqual(run.map);
    expect(machine.log.filter((line) => line.startsWith("nd_pmem"))).toEqual(run.driver);
    const iomem = machine.iomem().trimEnd().split("\n");
    expect(sortedLines(iomem)).toEqual(sortedLines(run.iomem));
    machine.shutdown();
  });
});

describe("ndctl lists the same", () => {
  const listed = bootable.filter(({ list }) => list !== undefined);

  test.each(listed)("ndctl list -RNDi: $options", (run) => {
    const machine = boot(run);
    const ours = ndctlList(machine, { regions: true, namespaces: true, dimms: true, idle: true });
    expect(byDevice(listText(ours))).toEqual(byDevice(run.list!));
  });

  test.each(listed.filter(({ listHuman }) => listHuman !== undefined))(
    "ndctl list -RNDiBu: $options",
    (run) => {
      const machine = boot(run);
      const ours = ndctlList(machine, {
        regions: true,
        namespaces: true,
        dimms: true,
        buses: true,
        idle: true,
        human: true,
      });
      expect(byDevice(listText(ours))).toEqual(byDevice(run.listHuman!));
    },
  );

  test("text is laid out as json-c does", () => {
    const run = listed.find(({ options }) => options.join(" ").includes("16M%672M"))!;
    const ours = ndctlList(boot(run), { regions: true, namespaces: true, dimms: true, idle: true });
    expect(listText(ours)).toBe(`${run.list}\n`);
  });
});
