/**
 * Mutated `memmap=` lines, memory maps and machine files: a machine, or a typed error; soon.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeE820 } from "../../src/format/e820.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import { describeMachine } from "../../src/machine/describe.ts";
import { listText, ndctlList } from "../../src/machine/list.ts";
import { parseMachineText } from "../../src/node/machine-file.ts";
import { bootLogLines, endOf, maxPfn, nosaveRanges } from "../../src/platform/e820.ts";
import { iomemText, reserveEarly, reserveLate } from "../../src/platform/iomem.ts";
import { applyMem, applyMemmap, finishUserMap } from "../../src/platform/memmap.ts";
import { ResourceTree } from "../../src/platform/resources.ts";
import { sanitise } from "../../src/platform/sanitise.ts";

/** More in a long run: `DAXKIT_FUZZ=10 npm test -- test/fuzz`. */
const FACTOR = Number(process.env["DAXKIT_FUZZ"] ?? "1");
const SEED = 20_150_424;

const firmware = [
  { start: 0n, length: 0x9_fc00n, type: 1 },
  { start: 0x9_fc00n, length: 0x6_0400n, type: 2 },
  { start: 0x10_0000n, length: 3n << 30n, type: 1 },
  { start: 4n << 30n, length: 4n << 30n, type: 1 },
];

const LINES = [
  "64M!4G",
  "exactmap,640K@0,3G@1M,64M!4G,1G#5G",
  "1G%4G-1+12,64K%16M,64K%1M-2,1M%8G+7",
  "2G,4K$0xfee00000,0x4000000!0x100000000",
];
const WORDS =
  "! @ # $ % - + , K M G T P E 0 1 7 0x 12 \\ \u0000 \u00e9 exactmap 18446744073709551615".split(
    " ",
  );

/** Some characters replaced, removed, doubled or put in, from `words` or from anywhere. */
function mutate(prng: Prng, text: string, words: readonly string[]): string {
  let mutated = text;
  for (let left = 1 + prng.below(3); left > 0; left--) {
    const at = prng.below(mutated.length + 1);
    const length = prng.below(4);
    const put = [
      "",
      prng.pick(words),
      mutated.slice(at, at + prng.below(20)),
      String.fromCharCode(prng.below(0x250)),
    ][prng.below(4)];
    mutated = mutated.slice(0, at) + put + mutated.slice(at + length);
  }
  return mutated;
}

/** Runs a body and says what it threw that it should not have. */
function stray(body: () => void): string | undefined {
  try {
    body();
  } catch (error) {
    if (!isDaxError(error)) return error instanceof Error ? (error.stack ?? error.message) : "?";
    if (error.message.length > 500) return `${error.message.length} characters of message`;
  }
  return undefined;
}

function report(input: string, problem: string | undefined): string[] {
  return problem === undefined ? [] : [`${JSON.stringify(input)}: ${problem}`];
}

describe("memmap=", () => {
  test(`${10_000 * FACTOR} mutated lines`, () => {
    const prng = new Prng(SEED);
    const problems: string[] = [];
    for (let i = 0; i < 10_000 * FACTOR; i++) {
      const line = mutate(prng, prng.pick(LINES), WORDS);
      const problem = stray(() => {
        applyMem(firmware, line);
        const result = applyMemmap(firmware, [line]);
        const map = finishUserMap(result);
        for (const [k, entry] of map.entries()) {
          const next = map[k + 1];
          if (result.userDefined && next !== undefined && endOf(entry) > next.start) {
            throw new Error(`entry ${k} overlaps the next`);
          }
        }
        const tree = new ResourceTree();
        reserveEarly(tree, map);
        reserveLate(tree, map);
        iomemText(tree);
        nosaveRanges(map);
        maxPfn(map);
        bootLogLines(map, "user");
      });
      problems.push(...report(line, problem));
    }
    expect(problems).toEqual([]);
  });

  test(`${2000 * FACTOR} tables of noise`, () => {
    const prng = new Prng(SEED + 1);
    const problems: string[] = [];
    for (let i = 0; i < 2000 * FACTOR; i++) {
      const bytes = new Uint8Array(20 * prng.below(40));
      // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- not an array's fill
      prng.fill(bytes);
      // Small types and aligned addresses, or hardly two entries would have to do with each other.
      for (let at = 0; at < bytes.length; at += 20) {
        if (prng.below(4) > 0) bytes.fill(0, at + 17, at + 20);
        if (prng.below(2) > 0) bytes.fill(0, at + 4, at + 8);
        if (prng.below(2) > 0) bytes.fill(0, at + 12, at + 16);
      }
      const problem = stray(() => {
        const entries = decodeE820(new DataView(bytes.buffer));
        const map = sanitise(entries) ?? entries;
        const tree = new ResourceTree("PCI mem", (1n << 52n) - 1n);
        reserveEarly(tree, map);
        reserveLate(tree, map);
        iomemText(tree);
        nosaveRanges(map);
      });
      problems.push(...report(`table ${i}`, problem));
    }
    expect(problems).toEqual([]);
  });
});

describe("machine files", () => {
  const example = readFileSync(join(import.meta.dirname, "../../examples/machine.yaml"), "utf8")
    .split("\n")
    .filter((line) => !/^\s*#/u.test(line))
    .join("\n");
  const full = `name: full
profile: modern
seed: 3
ram: 2G
mem: 1900M
memmap: ["16M!512M,16M$600M", { range: "4M!700M", domains: { domain: adr }, poison: { length: 1 } }]
e820:
  - { start: 0, length: 0x9fc00, type: usable }
  - { start: 1M, length: 2G, type: 1 }
pmem:
  - { size: 4M, domains: [{ domain: eadr, length: 2M }, { domain: adr }], mode: raw }
  - { size: 2M, start: 0x200000000, as: e820, modelled: true }
brd: [4K, { count: 2, size: 1M }]
legacyPmem: true
treat6AsPram: false
probe: boot
`;
  const words = [
    ": |- |\n|\n  |[|]|{|}|,|#|&a |*a|!!binary |>|pmem:|memmap:|brd:|size: |start: |domain: eadr",
    "|null|true|~|<<|64M!4G|1E|7P|-1|0x|.inf|.nan|1e400|9007199254740993|\"|'|---|...|%YAML 1.1",
    "|\t|\u0000|\ufeff|__proto__|constructor|? |?|:|-",
  ]
    .join("")
    .split("|");

  test(`${3000 * FACTOR} mutated texts`, () => {
    const prng = new Prng(SEED + 2);
    const problems: string[] = [];
    let accepted = 0;
    for (let i = 0; i < 3000 * FACTOR; i++) {
      const text = mutate(prng, prng.pick([example, full]), words);
      const problem = stray(() => {
        parseMachineText(text, "m");
        accepted++;
      });
      problems.push(...report(text, problem));
    }
    expect(problems).toEqual([]);
    expect(accepted).toBeGreaterThan(50 * FACTOR);
  });

  const sizes = ["0", "1", "4096", "4K", "64K", "1M", "2M", "3M", "16M", "64M", "1G", "4G", "5G"];

  test(`${200 * FACTOR} machines with other numbers boot, list themselves and end`, () => {
    const prng = new Prng(SEED + 3);
    const problems: string[] = [];
    let booted = 0;
    for (let i = 0; i < 200 * FACTOR; i++) {
      let text = prng.pick([example, full]);
      for (let left = 1 + prng.below(3); left > 0; left--) {
        const numbers = [...text.matchAll(/\b(?!v4)\d[\dA-Za-z]*/gu)];
        const { index, 0: found } = prng.pick(numbers);
        text = text.slice(0, index) + prng.pick(sizes) + text.slice(index + found.length);
      }
      const problem = stray(() => {
        const machine = bootMachine(parseMachineText(text, "m"));
        machine.iomem();
        machine.devices();
        listText(ndctlList(machine, { buses: true, dimms: true, regions: true, idle: true }));
        machine.shutdown();
        booted++;
      });
      problems.push(...report(text, problem));
    }
    expect(problems).toEqual([]);
    expect(booted).toBeGreaterThan(50 * FACTOR);
  });
});

const keys = ["ram", "pmem", "memmap", "brd", "e820", "size", "domain", "file", "x", "__proto__"];
const leaves = [0, 1, -1, 1.5, 2 ** 53, Number.NaN, "", "64M", "64M!4G", "adr", true, null, 1n];

/** Anything, a few levels deep. */
function anything(prng: Prng, depth: number): unknown {
  const kind = prng.below(depth > 0 ? 4 : 2);
  if (kind < 2) return prng.pick<unknown>(leaves);
  const items = Array.from({ length: prng.below(4) }, () => anything(prng, depth - 1));
  if (kind === 2) return items;
  return Object.fromEntries(items.map((item) => [prng.pick(keys), item]));
}

describe("descriptions", () => {
  test(`${10_000 * FACTOR} values of any shape`, () => {
    const prng = new Prng(SEED + 4);
    const problems: string[] = [];
    for (let i = 0; i < 10_000 * FACTOR; i++) {
      const value = anything(prng, 3);
      problems.push(
        ...report(
          `value ${i}`,
          stray(() => describeMachine(value)),
        ),
      );
    }
    expect(problems).toEqual([]);
  });
});
