/**
 * The same stores to memory that is mapped in four ways, with and without what makes them durable:
 * the verdict depends on the way.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem, type Pmem } from "../../src/drivers/pmem.ts";
import type { Caching } from "../../src/media/media.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import { noise, same } from "../support/bytes.ts";

const SIZE = 4 * PAGE_SIZE;
const TYPES: readonly Caching[] = ["write-back", "write-through", "write-combining", "uncached"];

/** Cuts everywhere; `done` counts what was promised. */
function cut(
  modelled: ModelledOptions,
  work: (pmem: Pmem, promise: () => void) => void,
  check: (media: ModelledMedia, done: number) => string | undefined,
): Findings {
  const media = new ModelledMedia(SIZE, modelled);
  const initial = media.recorder.image.slice();
  const pmem = createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 });
  work(pmem, () => media.ack("done"));
  const { trace } = media;
  const budget = { leaves: 100_000, steps: 100_000 };
  const program = {
    check: (left: ModelledMedia, acked: readonly unknown[]) => check(left, acked.length),
  };
  const found = explore({ initial, modelled, trace, program, torn: "prefix", depth: 1, budget });
  expect([found.unmeasurable, found.cut]).toEqual([undefined, false]);
  expect(found.tallies[0]?.covered).toBe(found.tallies[0]?.space);
  return found;
}

const all = (caching: Caching): ModelledOptions => ({
  caching: [{ start: 0, length: SIZE, caching }],
});

type Order = "nothing" | "a fence at the end" | "a fence after each" | "flushes and fences";

/** A record of eight bytes and the flag that says it is there, in one line. */
function publish({ dax }: Pmem, order: Order, promise: () => void): void {
  const { memory, start } = dax.directAccess(0, 1);
  const settle = (at: number): void => {
    if (order === "flushes and fences") dax.flush(0, at, 8);
    if (order !== "nothing") dax.fence();
  };
  memory.setUint8(start + 8, 1);
  if (order !== "a fence at the end") settle(8);
  memory.setUint8(start, 1);
  settle(0);
  promise();
}

function checkPublished(media: ModelledMedia, done: number): string | undefined {
  const { memory } = media.window(0);
  const flag = memory.getUint8(0);
  if (flag === 1 && memory.getUint8(8) !== 1) return "a flag without its record";
  return done > 0 && flag === 0 ? "what was promised is not there" : undefined;
}

describe("[2.75] [2.50] [X1] a record and its flag in one line", () => {
  test.each<[Order, ...(Caching | undefined)[]]>([
    ["nothing", "uncached"],
    // In order, and waited for; a line that is combined has no order of its own.
    ["a fence at the end", "uncached", "write-through"],
    ["a fence after each", "uncached", "write-through", "write-combining"],
    ["flushes and fences", "uncached", "write-through", "write-combining", "write-back"],
  ])("with %s survives on %s %s %s %s", (order, ...survives) => {
    const verdicts = TYPES.map((caching) => {
      const { failure } = cut(
        all(caching),
        (pmem, promise) => publish(pmem, order, promise),
        checkPublished,
      );
      return failure === undefined;
    });
    expect(verdicts).toEqual(TYPES.map((caching) => survives.includes(caching)));
  });
});

describe("slices of a device, each mapped in its own way", () => {
  const caching = TYPES.map((type, page) => ({
    start: page * PAGE_SIZE,
    length: PAGE_SIZE,
    caching: type,
  }));

  test("[2.75] a copy and a fence are durable in each, and over the borders", () => {
    const found = cut(
      { caching },
      ({ dax }, promise) => {
        for (let page = 0; page < 4; page++) {
          const at = page * PAGE_SIZE + (page < 3 ? PAGE_SIZE - 70 : 100);
          dax.copyFromIter(0, at, [noise(page, 140)]);
          dax.fence();
          promise();
        }
      },
      (media, done) => {
        const seen = new Uint8Array(140);
        for (let page = 0; page < done; page++) {
          const at = page * PAGE_SIZE + (page < 3 ? PAGE_SIZE - 70 : 100);
          for (let i = 0; i < 140; i++) seen[i] = media.window(0).memory.getUint8(at + i);
          if (!same(seen, noise(page, 140))) return `copy ${page} is not there`;
        }
        return undefined;
      },
    );
    expect(found.failure).toBeUndefined();
  });

  test("[2.75] lines are written back where they are cached, and nowhere else", () => {
    const media = new ModelledMedia(SIZE, { caching });
    const pmem = createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 });
    const before = media.trace.count;
    pmem.dax.flush(0, 0, SIZE);
    expect(media.trace.count).toBe(before + 1);
    expect([media.trace.offsetOf(before), media.trace.lengthOf(before)]).toEqual([0, PAGE_SIZE]);
  });

  test.each<[Caching, boolean, boolean]>([
    ["write-back", true, true],
    ["write-through", true, false],
    ["write-combining", true, false],
    ["uncached", false, false],
  ])("[2.49] %s: write cache %s, lines written back: %s", (type, writeCache, hasCache) => {
    const media = new ModelledMedia(SIZE, all(type));
    const base = { name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 };
    const { dax, range, disk } = createPmem(base);
    expect([dax.writeCache, range.hasCache]).toEqual([writeCache, hasCache]);
    disk.write(0, noise(1, 512));
    disk.flush();
    expect([dax.counters.flushes > 0, dax.counters.fences]).toEqual([hasCache, writeCache ? 1 : 0]);
  });
});

test("[X1] a line that is combined for too long is not measured, and said so", () => {
  const media = new ModelledMedia(SIZE, all("write-combining"));
  const { memory } = media.window(0);
  for (let i = 0; i < 40; i++) memory.setUint8((i * 8) % 64, i);
  const { unmeasurable } = explore({
    initial: new Uint8Array(SIZE),
    modelled: all("write-combining"),
    trace: media.trace,
    program: { check: () => undefined },
    torn: "prefix",
    depth: 1,
    budget: { leaves: 1000, steps: 1000 },
  });
  expect(unmeasurable).toContain("fence more often");
});
