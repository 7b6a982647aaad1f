import { describe, expect, test } from "vitest";
import { type E820Entry, decodeE820, encodeE820 } from "../../src/format/e820.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import {
  bootLogLines,
  bootLogWord,
  maxPfn,
  nosaveRanges,
  resourceName,
} from "../../src/platform/e820.ts";
import { sanitise } from "../../src/platform/sanitise.ts";

const GIB = 1n << 30n;

/** `4+2:12`, in GiB: the notation of the golden vectors. */
function gib(text: string): E820Entry[] {
  return text.split(" ").map((word) => {
    const [, start, length, type] = /^(\d+)\+(\d+):(\d+)$/u.exec(word) ?? [];
    return { start: BigInt(start!) * GIB, length: BigInt(length!) * GIB, type: Number(type) };
  });
}

describe("the wire form", () => {
  const entries = [
    { start: 0n, length: 0x9_fc00n, type: 1 },
    { start: 0xffff_ffff_ffff_f000n, length: 0xfffn, type: 12 },
    { start: 4n * GIB, length: 0n, type: 0xefff_ffff },
  ];

  test("entries are 20 bytes, little-endian, packed, and keep all 64 bits", () => {
    const memory = new DataView(new ArrayBuffer(60));
    encodeE820(memory, entries);
    expect(decodeE820(memory)).toEqual(entries);
    expect([...new Uint8Array(memory.buffer, 20, 20)]).toEqual([
      0x00, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0,
    ]);
    expect(decodeE820(memory, 1)).toEqual(entries.slice(0, 1));
  });

  test.each([
    [59, undefined],
    [40, 3],
    [40, -1],
    [40, Number.NaN],
  ])("%i bytes for %s entries are refused", (bytes, count) => {
    let error: unknown;
    try {
      decodeE820(new DataView(new ArrayBuffer(bytes)), count);
    } catch (thrown) {
      error = thrown;
    }
    expect(isDaxError(error, "EINVAL")).toBe(true);
  });
});

describe("names", () => {
  test("[2.93] the boot log calls type 12 persistent (type 12)", () => {
    expect(bootLogLines(gib("4+2:12"), "user")).toEqual([
      "user: [mem 0x0000000100000000-0x000000017fffffff] persistent (type 12)",
    ]);
    expect(bootLogLines(gib("4+2:12"), "user", "v4.1")[0]).toMatch(/persistent \(type 12\)$/u);
    const words = [1, 2, 3, 4, 5, 7, 128, 0xefff_ffff, 6].map((type) => bootLogWord(type));
    expect(words).toEqual([
      "usable",
      "reserved",
      "ACPI data",
      "ACPI NVS",
      "unusable",
      "persistent (type 7)",
      "usable",
      "soft reserved",
      "type 6",
    ]);
  });

  test("[2.98] the resource is Persistent RAM in 4.1, Persistent Memory (legacy) today", () => {
    const types = [1, 2, 3, 4, 5, 6, 7, 12, 128, 0xefff_ffff];
    expect(types.map((type) => resourceName(type, "v4.1"))).toEqual([
      "System RAM",
      "reserved",
      "ACPI Tables",
      "ACPI Non-volatile Storage",
      "Unusable memory",
      "reserved",
      "reserved",
      "Persistent RAM",
      "System RAM",
      "reserved",
    ]);
    expect(types.map((type) => resourceName(type))).toEqual([
      "System RAM",
      "Reserved",
      "ACPI Tables",
      "ACPI Non-volatile Storage",
      "Unusable memory",
      "Unknown E820 type",
      "Persistent Memory",
      "Persistent Memory (legacy)",
      "System RAM",
      "Soft Reserved",
    ]);
  });
});

describe("sanitise", () => {
  test.each([
    ["0+16:1 4+4:12", "0+4:1 4+4:12 8+8:1"],
    ["0+16:1 4+2:12 6+2:12", "0+4:1 4+2:12 6+2:12 8+8:1"],
    ["0+3:1 4+4:1 2+4:12", "0+2:1 2+1:12 3+1:12 4+2:12 6+2:1"],
    ["0+1:1 1+1:1", "0+2:1"],
    ["4+4:12 5+1:12", "4+1:12 5+1:12 6+2:12"],
    ["4+4:12 6+4:12", "4+2:12 6+2:12 8+2:12"],
    ["4+4:12 4+4:12", "4+4:12"],
    ["4+1:7 5+1:7", "4+2:7"],
    ["0+1:1 1+0:2", "0+1:1"],
    ["4+4:12 4+2:2 6+2:7", "4+2:12 6+2:12"],
    ["0+8:128 4+4:12", "0+8:128"],
    ["8+2:2 0+4:1 2+8:3", "0+2:1 2+8:3"],
  ])("[2.94] %s becomes %s", (input, output) => {
    expect(sanitise(gib(input))).toEqual(gib(output));
  });

  test("[2.94] a hole of 4 KiB under persistent memory splits it twice", () => {
    const hole = { start: 5n * GIB, length: 4096n, type: 2 };
    expect(sanitise([...gib("0+16:1"), hole, ...gib("4+4:12")])).toEqual([
      ...gib("0+4:1 4+1:12"),
      { start: 5n * GIB, length: 4096n, type: 12 },
      { start: 5n * GIB + 4096n, length: 3n * GIB - 4096n, type: 12 },
      ...gib("8+8:1"),
    ]);
  });

  test("soft-reserved ranges stay apart today and merged in 4.1", () => {
    const two = [0n, GIB].map((start) => ({ start, length: GIB, type: 0xefff_ffff }));
    expect(sanitise(two)).toEqual(two);
    expect(sanitise(two, { profile: "v4.1" })).toEqual([{ ...two[0], length: 2n * GIB }]);
  });

  test("a single entry and one that reaches 2^64 are refused", () => {
    expect(sanitise(gib("0+1:1"))).toBeUndefined();
    expect(sanitise([])).toBeUndefined();
    const high = { start: (1n << 64n) - 4096n, length: 4096n, type: 1 };
    expect(sanitise([high, ...gib("0+1:1")])).toBeUndefined();
    const below = { ...high, length: 4095n };
    expect(sanitise([high, below])).toBeUndefined();
    expect(sanitise([below, ...gib("0+1:1")])).toEqual([...gib("0+1:1"), below]);
  });

  test("output past the capacity is lost silently", () => {
    expect(sanitise(gib("0+1:1 2+1:1 4+1:1"), { capacity: 2 })).toEqual(gib("0+1:1 2+1:1"));
  });
});

/** Page frames from one GiB to another. */
function pages(from: bigint, to: bigint): object {
  return { start: (from * GIB) >> 12n, length: ((to - from) * GIB) >> 12n };
}

describe("accounting", () => {
  const map = gib("0+2:1 2+1:2 4+1:1 5+2:12");

  test("[2.96] type 12 counts for the highest page frame in 4.1, and not today", () => {
    expect(maxPfn(map)).toBe((5n * GIB) >> 12n);
    expect(maxPfn(map, "v4.1")).toBe((7n * GIB) >> 12n);
    expect(maxPfn(gib("0+1:1 1+1:3"))).toBe((2n * GIB) >> 12n);
    expect(maxPfn(gib("0+1:1 1+1:3"), "v4.1")).toBe(GIB >> 12n);
  });

  test("[2.95] hibernation saves no persistent memory", () => {
    expect(nosaveRanges(map)).toEqual([pages(2n, 4n)]);
    expect(nosaveRanges(map, "v4.1")).toEqual([pages(2n, 4n), pages(5n, 7n)]);
    expect(nosaveRanges(gib("1+1:12 2+1:1"))).toEqual([pages(0n, 2n)]);
  });

  test("a page only partly RAM is not saved", () => {
    const entries = [
      { start: 0n, length: 0x9_fc00n, type: 1 },
      { start: 0x10_0000n, length: 0x10_0000n, type: 1 },
    ];
    expect(nosaveRanges(entries)).toEqual([{ start: 0x9fn, length: 0x61n }]);
  });
});
