/**
 * What a driver promises by a fence, held against the crash model: power is cut at every instant,
 * in every state that the model allows, and everything that was acknowledged is looked for.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import type { Torn } from "../../src/crash/versions.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem, type Pmem, type PmemOptions } from "../../src/drivers/pmem.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { DomainRange } from "../../src/media/media.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import { noise, same } from "../support/bytes.ts";

/** A promise: from here on these bytes are what they were when it was made. */
interface Promised {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Writes to a device, and promises when it thinks it may. */
type Workload = (pmem: Pmem, promise: (at: number, bytes: Uint8Array) => void) => void;

const SIZE = 8 * PAGE_SIZE;
/** Bytes that one slot of {@link everyAlignment} takes. */
const SLOT = 448;

/** Looks for the latest promises; older ones lie in lines that nobody has touched since. */
function checkPromises(media: ModelledMedia, acked: readonly unknown[]): string | undefined {
  for (const { at, bytes } of (acked as readonly Promised[]).slice(-4)) {
    const found = copyOf(media.window(at).memory, at, bytes.length);
    if (!same(found, bytes)) return `bytes ${at}+${bytes.length} are not what was promised`;
  }
  return undefined;
}

function cutEverywhere(
  workload: Workload,
  options: Partial<PmemOptions> = {},
  modelled: ModelledOptions = {},
  torn: Torn = "atoms",
): Findings {
  const media = new ModelledMedia(SIZE, modelled);
  const initial = new Uint8Array(SIZE).fill(0xff);
  media.recorder.image.set(initial);
  const base = { name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 };
  const pmem = createPmem({ ...base, ...options });
  workload(pmem, (at, bytes) => media.ack({ at, bytes }));
  const { trace } = media;
  const program = { check: checkPromises };
  const budget = { leaves: 200_000, steps: 1_000_000 };
  const found = explore({ initial, modelled, trace, program, torn, depth: 1, budget });
  expect(found.unmeasurable).toBe(undefined);
  expect(found.cut).toBe(false);
  expect(found.tallies[0]?.covered).toBe(found.tallies[0]?.space);
  return found;
}

/** For every alignment one copy in a slot of its own, then the next one right behind it. */
const everyAlignment =
  (length: number): Workload =>
  ({ dax }, promise) => {
    for (let alignment = 0; alignment < 64; alignment++) {
      const at = alignment * SLOT + alignment;
      const [first, second] = [noise(alignment, length), noise(alignment + 64, 9)];
      dax.copyFromIter(0, at, [first.subarray(0, 5), new Uint8Array(0), first.subarray(5)]);
      dax.fence();
      promise(at, first);
      dax.copyFromIter(0, at + length, [second]);
      dax.fence();
      promise(at + length, second);
    }
  };

const strategies = [
  { name: "cached and flushed", nonTemporalFrom: Infinity },
  { name: "non-temporal", nonTemporalFrom: 0 },
  { name: "non-temporal above 100 bytes", nonTemporalFrom: 100 },
];
const lengths = [5, 8, 63, 64, 129, 200];

describe("copyFromIter and a fence", () => {
  describe.each(strategies)("$name", ({ nonTemporalFrom }) => {
    test.each(lengths)(
      "[0.6] [0.21] [0.22] lose nothing of %d bytes at any alignment",
      (length) => {
        const found = cutEverywhere(everyAlignment(length), { nonTemporalFrom });
        expect(found.failure).toBe(undefined);
        expect(found.tallies[0]?.crashPoints).toBeGreaterThanOrEqual(128);
      },
    );
  });

  test.each(strategies)("lose something without the fence: $name", ({ nonTemporalFrom }) => {
    const found = cutEverywhere(
      ({ dax }, promise) => {
        dax.copyFromIter(0, 77, [noise(1, 300)]);
        promise(77, noise(1, 300));
      },
      { nonTemporalFrom },
      {},
      "line",
    );
    expect(found.failure).not.toBe(undefined);
  });

  test("[0.7] lose something of an adr range with the write cache switched off", () => {
    const found = cutEverywhere((pmem, promise) => {
      pmem.dax.writeCache = false;
      everyAlignment(20)(pmem, promise);
    });
    expect(found.failure).not.toBe(undefined);
  });

  test("[0.19] lose nothing of a battery-backed range, without a single flush", () => {
    let flushes = -1;
    const workload: Workload = (pmem, promise) => {
      expect(pmem.dax.writeCache).toBe(false);
      everyAlignment(20)(pmem, promise);
      ({ flushes } = pmem.dax.counters);
    };
    const found = cutEverywhere(workload, {}, { domain: "eadr" });
    expect(found.failure).toBe(undefined);
    expect(flushes).toBe(0);
  });
});

/** Half of the device keeps its caches at power loss, half does not, in stripes of a page. */
const striped: DomainRange[] = Array.from({ length: 8 }, (_, page) => ({
  start: page * PAGE_SIZE,
  length: PAGE_SIZE,
  domain: page % 2 === 0 ? "adr" : "eadr",
}));

/** Six ways, in turn, each in a sector of its own or close behind the one before. */
function everyWay(pmem: Pmem, promise: (at: number, bytes: Uint8Array) => void): void {
  const { dax, disk } = pmem;
  const prng = new Prng(3);
  for (let round = 0; round < 18; round++) {
    const sector = 3 * round;
    const at = sector * 512 + 300 + prng.below(64);
    const data = noise(round, 1 + prng.below(200));
    const zeros = new Uint8Array(data.length);
    const kind = round % 6;
    if (kind === 0) dax.copyFromIter(0, at, [data]);
    else if (kind === 1) dax.recoveryWrite(0, at, data);
    else if (kind === 2) dax.zero(0, at, data.length);
    else if (kind === 3) disk.write(sector, noise(round, 512), { fua: true });
    else if (kind === 4) disk.writeBytes(at, data);
    else disk.writeZeroes(sector, 1);
    if (kind < 3) dax.fence();
    else if (kind > 3) disk.flush();
    if (kind === 3) promise(sector * 512, noise(round, 512));
    else if (kind === 5) promise(sector * 512, new Uint8Array(512));
    else promise(at, kind === 2 ? zeros : data);
    // Stores that nobody waits for, in the line behind what was promised.
    const { memory, start } = dax.directAccess(Math.floor(sector / 8), 1);
    memory.setUint8(start + (sector % 8) * 512 + 1023, round);
  }
}

describe("every way to write", () => {
  test.each([
    { name: "adr", modelled: {} },
    { name: "battery-backed", modelled: { domain: "eadr" as const } },
    { name: "striped", modelled: { domains: striped } },
  ])("[0.43] [4.5] is durable after its fence: $name", ({ modelled }) => {
    // The media starts full of ones, so that zeros which did not arrive are seen.
    const found = cutEverywhere(everyWay, { nonTemporalFrom: 128 }, modelled);
    expect(found.failure).toBe(undefined);
    expect(found.tallies[0]?.crashPoints).toBeGreaterThanOrEqual(18);
  });
});
