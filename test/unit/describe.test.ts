import { describe, expect, test } from "vitest";
import { describeMachine } from "../../src/machine/describe.ts";
import { DescriptionError } from "../../src/machine/shape.ts";

function refusal(input: unknown): DescriptionError {
  try {
    describeMachine(input);
  } catch (error) {
    if (error instanceof DescriptionError) return error;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(input)}`);
}

test("an empty description is a machine", () => {
  expect(describeMachine({})).toEqual({
    name: "machine",
    profile: "modern",
    seed: 0,
    ram: 4 * 2 ** 30,
    memmap: [],
    pmem: [],
    brd: [],
    dax: [],
    axonram: [],
    dcssblk: [],
    dm: [],
    legacyPmem: true,
    rawMappings: true,
    fsdev: true,
    treat6AsPram: false,
    probe: "boot",
  });
});

test("one item needs no list, sizes are numbers or text, null is left out", () => {
  const described = describeMachine({
    name: null,
    ram: "8G",
    memmap: "64M!4G",
    pmem: { size: "0x200000", start: "0x140000000", domain: "eadr" },
    brd: "16M",
  });
  expect(described).toMatchObject({
    name: "machine",
    ram: 8 * 2 ** 30,
    memmap: [{ option: "64M!4G" }],
    pmem: [{ size: 2 ** 21, start: 0x1_4000_0000n, as: "nfit", domains: [{ domain: "eadr" }] }],
    brd: [16 * 2 ** 20],
  });
});

test("RAM disks: a size, a count of them, a list of both", () => {
  expect(describeMachine({ brd: ["4M", { count: 2, size: "8M" }] }).brd).toEqual([
    4 * 2 ** 20,
    8 * 2 ** 20,
    8 * 2 ** 20,
  ]);
  expect(describeMachine({ brd: { count: 0, size: "8M" } }).brd).toEqual([]);
});

test("what stands behind a marked range", () => {
  const { memmap } = describeMachine({
    memmap: [{ range: "64M!4G", domains: [{ domain: "adr", length: "32M" }, { domain: "eadr" }] }],
  });
  expect(memmap[0]).toEqual({
    option: "64M!4G",
    backing: {
      readOnly: false,
      modelled: false,
      domains: [{ domain: "adr", length: 32 * 2 ** 20 }, { domain: "eadr" }],
      poison: [],
      range: { start: 4n << 30n, length: 64n << 20n },
    },
  });
});

test("Linux 4.1 reports modules by its memory map", () => {
  expect(describeMachine({ profile: "v4.1", pmem: { size: "2M" } }).pmem[0]?.as).toBe("e820");
});

describe("every refusal names the key, the value seen and what is accepted", () => {
  test.each<[input: unknown, path: string, words: string[]]>([
    [null, "", ["null", "a mapping"]],
    ["64M", "", ['"64M"', "a mapping"]],
    [[], "", ["a list"]],
    [{ rma: "4G" }, "rma", ["no known key", "did you mean ram?"]],
    [{ memory: "4G" }, "memory", ["no known key", "known are"]],
    [{ ["k".repeat(500)]: 1 }, `${"k".repeat(40)}…`, ["no known key"]],
    [{ ram: "4Q" }, "ram", ['"4Q"', "64M"]],
    [{ ram: "1M" }, "ram", ["1048576", "16M"]],
    [{ ram: "64T1" }, "ram", ["64T1"]],
    [{ ram: 2 ** 24 + 1 }, "ram", ["whole pages"]],
    [{ profile: "modren" }, "profile", ['"modren"', "did you mean modern?"]],
    [{ seed: -1 }, "seed", ["-1", "whole number"]],
    [{ seed: 1.5 }, "seed", ["1.5"]],
    [{ name: "a\nb" }, "name", ["one line"]],
    [{ name: "x".repeat(5000) }, "name", ["5000 characters"]],
    [{ legacyPmem: "yes" }, "legacyPmem", ['"yes"', "true or false"]],
    [{ probe: "never" }, "probe", ["boot, late"]],
    [{ mem: "0" }, "mem", ["all memory"]],
    [{ memmap: "64M!" }, "memmap", ["lacks a number"]],
    [{ memmap: ["64M!4G", "bad"] }, "memmap[1]", ['"bad"']],
    [{ memmap: "64M!4G,64M!5Gx" }, "memmap", ["element 2"]],
    [{ memmap: [7] }, "memmap[0]", ["7", "a mapping"]],
    [{ memmap: "1,".repeat(1500) }, "memmap", ["3000 characters"]],
    [{ memmap: Array.from({ length: 200 }, () => "1048576!1048576") }, "memmap", ["command line"]],
    [{ memmap: [{ file: "a" }] }, "memmap[0]", ["needs a range"]],
    [{ memmap: [{ range: "64M@4G" }] }, "memmap[0].range", ["marked persistent"]],
    [{ memmap: [{ range: "64M!4G,64M!5G" }] }, "memmap[0].range", ["one range"]],
    [{ memmap: [{ range: "exactmap" }] }, "memmap[0].range", ["one range"]],
    [{ pmem: {} }, "pmem[0]", ["needs a size, a file, or both"]],
    [{ pmem: [{ size: "64M" }, { size: 0 }] }, "pmem[1].size", ["above 0"]],
    [{ pmem: { size: "64M", domian: "adr" } }, "pmem.domian", ["did you mean domain?"]],
    [{ pmem: { size: "64M", domain: "ADR" } }, "pmem.domain", ["adr, eadr, volatile"]],
    [
      { pmem: { size: "64M", domain: "adr", domains: { domain: "eadr" } } },
      "pmem[0].domains",
      ["contradicts"],
    ],
    [
      { pmem: { size: "64M", domains: [{ domain: "adr" }, { domain: "eadr" }] } },
      "pmem[0].domains[0]",
      ["needs a length"],
    ],
    [{ pmem: { size: "64M", domains: [{ length: 1 }] } }, "pmem[0].domains[0]", ["a domain"]],
    [{ pmem: { size: "64M", readOnly: true } }, "pmem[0].readOnly", ["for files"]],
    [{ pmem: { file: "a", modelled: true } }, "pmem[0].modelled", ["is for memory"]],
    [{ pmem: { size: "64M", poison: {} } }, "pmem[0].poison[0]", ["needs a length"]],
    [{ pmem: { size: "64M", start: "4P" } }, "pmem[0].start", ["below 2^52"]],
    [{ pmem: { size: "64M", start: "0xffffffffffffffffff" } }, "pmem.start", ["0xffff"]],
    [{ profile: "v4.1", pmem: { size: "2M", as: "nfit" } }, "pmem[0].as", ["4.1"]],
    [{ profile: "v4.1", pmem: { size: "2M", mode: "raw" } }, "pmem[0].mode", ["4.1"]],
    [{ pmem: Array.from({ length: 300 }, () => ({ size: "2M" })) }, "pmem", ["300 items"]],
    [{ e820: [{ start: 0, length: 1 }] }, "e820[0]", ["needs start, length and type"]],
    [{ e820: [{ start: 0, length: 1, type: "ram" }] }, "e820[0].type", ["usable"]],
    [{ e820: [{ start: 0, length: 1, type: 0 }] }, "e820[0].type", ["1 to 2^32 - 1"]],
    [
      { e820: [{ start: "0xffffffffffffffff", length: 1, type: 1 }] },
      "e820[0]",
      ["past the last address"],
    ],
    [{ brd: "1K" }, "brd", ["whole pages"]],
    [{ brd: [{ count: 2 }] }, "brd[0]", ["needs a size"]],
    [{ brd: { count: 1000, size: "4K" } }, "brd.count", ["at most 256"]],
    [
      {
        brd: [
          { count: 200, size: "4K" },
          { count: 200, size: "4K" },
        ],
      },
      "brd",
      ["400 disks"],
    ],
    [JSON.parse('{"__proto__": {"ram": 1}}'), "__proto__", ["no known key"]],
    [{ constructor: 1 }, "constructor", ["no known key"]],
    [{ pmem: { size: Symbol("s") } }, "pmem.size", ["symbol"]],
    [{ pmem: () => 1 }, "pmem", ["a function"]],
  ])("%j", (input, path, words) => {
    const error = refusal(input);
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain(path);
    for (const word of words) expect(error.message).toContain(word);
    expect(error.message.length).toBeLessThan(400);
  });

  test("the place is there for programs too", () => {
    expect(refusal({ pmem: [{ size: "64M" }, { size: "x" }] }).keyPath).toEqual([
      "pmem",
      1,
      "size",
    ]);
  });
});
