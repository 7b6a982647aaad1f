import { describe, expect, test } from "vitest";
import type { E820Entry } from "../../src/format/e820.ts";
import { applyMem, applyMemmap, finishUserMap, parseMemmap } from "../../src/platform/memmap.ts";
import { codeOf } from "../support/bytes.ts";

const MIB = 1n << 20n;
const GIB = 1n << 30n;
const HIGHEST = (1n << 64n) - 1n;
const firmware: readonly E820Entry[] = [
  { start: 0n, length: 3n * GIB, type: 1 },
  { start: 3n * GIB, length: GIB, type: 2 },
  { start: 4n * GIB, length: 4n * GIB, type: 1 },
];

function apply(...options: string[]): readonly E820Entry[] {
  return finishUserMap(applyMemmap(firmware, options));
}

function add(start: bigint, length: bigint, type: number): object {
  return { kind: "add", start, length, type };
}

describe("every form", () => {
  test.each<[string, object]>([
    ["64M@16M", add(16n * MIB, 64n * MIB, 1)],
    ["64M#16M", add(16n * MIB, 64n * MIB, 3)],
    ["64M$16M", add(16n * MIB, 64n * MIB, 2)],
    ["64M!4G", add(4n * GIB, 64n * MIB, 12)],
    ["0x4000000!0x100000000", add(4n * GIB, 64n * MIB, 12)],
    ["64K%16M+7", add(16n * MIB, 0x1_0000n, 7)],
    ["64K%16M-0+7", add(16n * MIB, 0x1_0000n, 7)],
    ["64K%16M+0xefffffff", add(16n * MIB, 0x1_0000n, 0xefff_ffff)],
    ["64K%16M", { kind: "remove", start: 16n * MIB, length: 0x1_0000n }],
    ["64K%16M-0", { kind: "remove", start: 16n * MIB, length: 0x1_0000n }],
    ["64K%16M-2", { kind: "remove", start: 16n * MIB, length: 0x1_0000n, only: 2 }],
    ["64K%16M-2+0", { kind: "remove", start: 16n * MIB, length: 0x1_0000n, only: 2 }],
    ["1G%4G-1+12", { kind: "retype", start: 4n * GIB, length: GIB, from: 1, to: 12 }],
    ["1G%4G-0x1+014", { kind: "retype", start: 4n * GIB, length: GIB, from: 1, to: 12 }],
    ["4G", { kind: "remove", start: 4n * GIB, length: HIGHEST - 4n * GIB, only: 1 }],
    ["0", { kind: "remove", start: 0n, length: HIGHEST, only: 1 }],
    ["exactmap", { kind: "exactmap" }],
    ["exactmapping", { kind: "exactmap" }],
    ["0!0", add(0n, 0n, 12)],
  ])("[2.97] %s", (text, effect) => {
    const [element, ...more] = parseMemmap(text);
    expect(more).toEqual([]);
    expect(element).toEqual({ text, effect, userDefined: true });
  });

  test("[2.4] [2.90] nn!ss marks ss up to, not including, ss+nn as type 12", () => {
    expect(apply("64M!4G")).toEqual([
      firmware[0],
      firmware[1],
      { start: 4n * GIB, length: 64n * MIB, type: 12 },
      { start: 4n * GIB + 64n * MIB, length: 4n * GIB - 64n * MIB, type: 1 },
    ]);
  });

  test("[2.90] every suffix, either case", () => {
    const lengths = ["1K!0", "1k!0", "1M!0", "1g!0", "1T!0", "1p!0", "1E!0", "7!0"].map((text) => {
      const effect = parseMemmap(text)[0]?.effect;
      return effect?.kind === "add" ? effect.length : undefined;
    });
    const shifts = [10n, 10n, 20n, 30n, 40n, 50n, 60n].map((shift) => 1n << shift);
    expect(lengths).toEqual([...shifts, 7n]);
  });

  test("nothing is rounded to pages", () => {
    expect(apply("1000!5000000000")).toContainEqual({
      start: 5_000_000_000n,
      length: 1000n,
      type: 12,
    });
  });
});

describe("[2.97] lists", () => {
  test("several elements and several occurrences, left to right", () => {
    const map = apply("exactmap,1G@0", "1G!1G,1G!2G");
    expect(map.map(({ type }) => type)).toEqual([1, 12, 12]);
    const reset = applyMemmap(firmware, ["64M!4G,exactmap,1G@0"]);
    expect(reset.entries).toEqual([{ start: 0n, length: GIB, type: 1 }]);
  });

  test("a bare size truncates RAM, and only RAM", () => {
    expect(apply("1G")).toEqual([{ ...firmware[0], length: GIB }, firmware[1]]);
    expect(apply("64M!4G,2G").map(({ type }) => type)).toEqual([1, 2, 12]);
  });

  test("a bad element is reported and does not stop the rest", () => {
    const { elements, entries } = applyMemmap(firmware, [",64M!4G,,bad"]);
    expect(elements.map((element) => element.error?.code)).toEqual([
      "EINVAL",
      undefined,
      "EINVAL",
      "EINVAL",
    ]);
    expect(entries).toHaveLength(4);
    expect(elements[3]?.error?.message).toContain('element 4 of the list, "bad"');
    expect(elements[3]?.error?.message).toContain("64M!4G");
  });
});

describe("what is refused", () => {
  test.each(["", "bad", "-64M!4G", "!4G", "@", " 64M!4G"])(
    "%j has no size: EINVAL, no effect, and the map is not the user's",
    (text) => {
      const { elements, entries, userDefined } = applyMemmap(firmware, [text]);
      expect(elements.map((element) => element.error?.code)).toEqual(["EINVAL"]);
      expect(entries).toEqual(firmware);
      expect(userDefined).toBe(false);
      expect(finishUserMap({ entries, userDefined })).toEqual(firmware);
    },
  );

  test.each(["64M!4Gx", "64M@16M ", "64M#16M-1", "64M$16M+2", "1.5G", "4G;", "64MB!4G", "exactma"])(
    "%j has trailing text: EINVAL, although its effect stands",
    (text) => {
      const [element] = parseMemmap(text);
      expect(element?.error?.code).toBe("EINVAL");
      expect(element?.error?.message).toContain("applied all the same");
      expect(element?.effect).toBeDefined();
      expect(applyMemmap(firmware, [text]).entries).not.toEqual(firmware);
    },
  );

  test.each(["64K%16Mx", "64K%16M+7-1", "64K%16M-1+12K", "64K%16M-1 "])(
    "%j checks its whole text before it acts: EINVAL, no effect",
    (text) => {
      const { elements, entries, userDefined } = applyMemmap(firmware, [text]);
      expect(elements[0]?.error?.code).toBe("EINVAL");
      expect(entries).toEqual(firmware);
      expect(userDefined).toBe(true);
    },
  );

  test.each([
    ["M", { kind: "remove", start: 0n, length: HIGHEST, only: 1 }],
    ["K!4G", { kind: "add", start: 4n * GIB, length: 0n, type: 12 }],
    ["64M!", { kind: "add", start: 0n, length: 64n * MIB, type: 12 }],
    ["64M%", { kind: "remove", start: 0n, length: 64n * MIB }],
    ["64M%16M-", { kind: "remove", start: 16n * MIB, length: 64n * MIB }],
    ["64M@M", { kind: "add", start: 0n, length: 64n * MIB, type: 1 }],
  ])(
    "%j lacks a number: EINVAL, although the kernel takes 0 for it and goes on",
    (text, effect) => {
      const [element] = parseMemmap(text);
      expect(element).toMatchObject({ effect, userDefined: true });
      expect(element?.error?.message).toContain("lacks a number");
    },
  );

  test("a type turned into itself is EINVAL, where the kernel stops with a BUG", () => {
    const { elements, entries } = applyMemmap(firmware, ["1G%4G-1+1"]);
    expect(elements[0]?.error?.message).toContain("itself");
    expect(entries).toEqual(firmware);
  });

  test("a backslash is explained", () => {
    expect(parseMemmap("64M\\$16M")[0]?.error?.message).toContain("GRUB");
  });

  test("the limit of a kernel command line holds for all occurrences together", () => {
    expect(codeOf(() => parseMemmap("1".repeat(2049)))).toBe("E2BIG");
    expect(codeOf(() => applyMemmap(firmware, ["1".repeat(1500), "1".repeat(1500)]))).toBe("E2BIG");
    expect(codeOf(() => applyMem(firmware, "1".repeat(3000)))).toBe("E2BIG");
  });

  test("numbers wrap at 2^64 and types at 2^32, as in the kernel", () => {
    expect(parseMemmap("16E!4G")[0]?.effect).toMatchObject({ length: 0n });
    expect(parseMemmap("1M%1M+0x10000000c")[0]?.effect).toMatchObject({ kind: "add", type: 12 });
    expect(parseMemmap("1M%1M+0x100000000")[0]?.effect).toMatchObject({ kind: "remove" });
  });
});

describe("the end of the options", () => {
  test("a user's map that cannot be sanitised is what the kernel panics over", () => {
    expect(codeOf(() => apply("exactmap,1G@0"))).toBe("EINVAL");
    expect(codeOf(() => apply("exactmap"))).toBe("EINVAL");
    expect(codeOf(() => apply("15E!2E"))).toBe("EINVAL");
  });

  test("a table without room loses entries, and says which", () => {
    const { entries, lost } = applyMemmap(firmware, ["1M!0,1M!2M"], 4);
    expect(entries).toHaveLength(4);
    expect(lost).toEqual([{ start: 2n * MIB, length: MIB, type: 12 }]);
  });
});

describe("mem=", () => {
  test("removes RAM from there upward", () => {
    expect(applyMem(firmware, "1G").entries[0]).toEqual({ ...firmware[0], length: GIB });
  });

  test.each(["0", "", "x", "0M", "16E"])("%j is refused, for it would remove all of it", (text) => {
    const { entries, elements } = applyMem(firmware, text);
    expect(entries).toEqual(firmware);
    expect(elements[0]?.error?.code).toBe("EINVAL");
  });

  test("memmap=0 has no such guard", () => {
    expect(applyMemmap(firmware, ["0"]).entries.filter(({ type }) => type === 1)).toEqual([]);
  });
});
