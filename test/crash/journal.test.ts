/**
 * The journal under power cuts: on modelled memory, with every state that may be left, what was
 * committed is there, what was not is wholly absent, and no flush can be left out.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import {
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_REVOKE,
} from "../../src/format/jbd2.ts";
import { Journal, type JournalOptions } from "../../src/fs/ext/journal.ts";
import { recoverJournal } from "../../src/fs/ext/journal-recovery.ts";
import type { Buffers } from "../../src/block/buffers.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import {
  BLOCK,
  type FlushPlan,
  type JournalGeometry,
  buffersOn,
  cleanImage,
  mapOf,
} from "../support/journal-device.ts";

const V3 =
  JBD2_FEATURE_INCOMPAT_CSUM_V3 | JBD2_FEATURE_INCOMPAT_64BIT | JBD2_FEATURE_INCOMPAT_REVOKE;

/** What a program has at hand. */
interface Context {
  readonly buffers: Buffers;
  readonly open: () => Journal;
  readonly promise: (n: number) => void;
}

/** A program on a journal, and what its device may hold afterwards. */
interface Scenario {
  readonly geometry: JournalGeometry;
  readonly options?: Partial<JournalOptions>;
  /** Runs; `promise(n)` says that the first `n` steps are durable. */
  readonly run: (context: Context) => void;
  /** Whether the recovered blocks are what some prefix of at least `promised` steps left. */
  check(block: (n: number) => Uint8Array, promised: number): string | undefined;
}

function cutEverywhere(scenario: Scenario, plan: FlushPlan = {}, depth = 2): Findings {
  const { geometry } = scenario;
  const initial = cleanImage(geometry);
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  const buffers = buffersOn(media, plan);
  const map = mapOf(geometry);
  scenario.run({
    buffers,
    open: () =>
      new Journal(buffers, map, { environment: seededEnvironment(1), ...scenario.options }),
    promise: (n) => media.ack(n),
  });
  return explore({
    initial,
    modelled: {},
    trace: media.trace,
    torn: "prefix",
    depth,
    budget: { leaves: 50_000, steps: 10_000_000 },
    stopAtFirst: plan.without !== undefined,
    program: {
      recover: (found) => void recoverJournal({ buffers: buffersOn(found, plan), map }),
      check: (found, acked) =>
        scenario.check(
          (n) => copyOf(found.window(0).memory, n * BLOCK, BLOCK),
          (acked.at(-1) as number | undefined) ?? 0,
        ),
    },
  });
}

/** Every transaction writes its number into two blocks of four, in turn. */
const pairs = (transactions: number): Scenario => ({
  geometry: { homes: 5, journalBlocks: 17, incompat: V3 },
  run({ open, promise }) {
    const journal = open();
    for (let n = 1; n <= transactions; n++) {
      const handle = journal.start(2, 0);
      for (const block of pairOf(n)) handle.get(block).bytes.fill(n);
      handle.stop();
      journal.commit();
      promise(n);
    }
    journal.close();
    promise(transactions);
  },
  check(block, promised) {
    const found = HOMES.map((n) => block(n));
    for (let n = promised; n <= transactions; n++) {
      const expected = HOMES.map((home) => lastWriter(home, n));
      if (found.every((bytes, i) => bytes.every((byte) => byte === expected[i]))) return undefined;
    }
    return `after ${promised} promised: ${found.map((bytes) => bytes[0]).join()}`;
  },
});

/** Block 0 is where the driver looks for partitions. */
const HOMES = [1, 2, 3, 4];
const pairOf = (n: number) => [1 + (n % 4), 1 + ((n + 1) % 4)];

/** The last of `n` transactions that wrote to a block; 0: none. */
function lastWriter(home: number, n: number): number {
  for (let k = n; k >= 1; k--) if (pairOf(k).includes(home)) return k;
  return 0;
}

describe("the journal under power cuts", () => {
  test("committed is durable, the rest is absent", () => {
    const found = cutEverywhere(pairs(1), {}, 1);
    expect(found.failure).toBe(undefined);
    expect([found.cut, found.unmeasurable]).toEqual([false, undefined]);
    expect(found.tallies[0]?.covered).toBe(found.tallies[0]?.space);
  });
});
