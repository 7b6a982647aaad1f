/** What the journal writes, replayed by what reads journals, is what a model says. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  JBD2_FEATURE_COMPAT_CHECKSUM,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V2,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_REVOKE,
} from "../../src/format/jbd2.ts";
import { Journal } from "../../src/fs/ext/journal.ts";
import { recoverJournal } from "../../src/fs/ext/journal-recovery.ts";
import { InPlaceJournal } from "../../src/fs/ext/in-place-journal.ts";
import type { MetadataJournal } from "../../src/fs/ext/handle.ts";
import type { Buffers } from "../../src/block/buffers.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { noise } from "../support/bytes.ts";
import {
  BLOCK,
  type JournalGeometry,
  buffersOf,
  cleanImage,
  mapOf,
} from "../support/journal-device.ts";

const HOMES = 400;
const WIDE = JBD2_FEATURE_INCOMPAT_64BIT | JBD2_FEATURE_INCOMPAT_REVOKE;
const LAYOUTS: readonly (readonly [string, Partial<JournalGeometry>])[] = [
  ["no checksums, 32 bit", {}],
  ["no checksums, 64 bit", { incompat: WIDE }],
  ["checksum v1", { compat: JBD2_FEATURE_COMPAT_CHECKSUM }],
  ["checksum v2, 32 bit", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V2 }],
  ["checksum v2, 64 bit", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V2 | WIDE }],
  ["checksum v3, 32 bit", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V3 }],
  ["checksum v3, 64 bit", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V3 | WIDE }],
  ["sequence numbers that wrap", { incompat: WIDE, sequence: 0xfffffffd }],
];

type Step =
  | { do: "change" | "create"; block: number; seed: number }
  | { do: "free"; block: number }
  | { do: "stop" | "commit" | "checkpoint" | "reopen" };

const blockNumber = fc.oneof(fc.integer({ min: 0, max: 11 }), fc.integer({ min: 0, max: 399 }));
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("change" as const, "create" as const),
      block: blockNumber,
      seed: fc.integer({ min: 0, max: 1000 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("free" as const), block: blockNumber }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("stop" as const, "commit" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("checkpoint" as const, "reopen" as const) }),
  },
);

/** Every third block looks like one of the journal's own. */
function contents(seed: number): Uint8Array {
  const bytes = noise(seed, BLOCK);
  if (seed % 3 === 0) bytes.set([0xc0, 0x3b, 0x39, 0x98]);
  return bytes;
}

/** `toEqual` takes long for this many blocks. */
function mustEqual(found: Uint8Array, bytes: Uint8Array, block: number): void {
  if (Buffer.compare(found, bytes) === 0) return;
  throw new Error(
    `block ${block} is ${found.subarray(0, 8).join()}, not ${bytes.subarray(0, 8).join()}`,
  );
}

/** Runs steps on a journal and on a model, which says what a crash right now leaves. */
class Run {
  readonly image: Uint8Array<ArrayBuffer>;
  /** What was committed; undefined: free, so anything may be there. */
  readonly committed = new Map<number, Uint8Array | undefined>();
  #changed = new Map<number, Uint8Array | undefined>();
  readonly #free = new Set<number>();
  readonly #open: (buffers: Buffers) => MetadataJournal;
  #buffers: Buffers;
  journal: MetadataJournal;

  constructor(image: Uint8Array<ArrayBuffer>, open: (buffers: Buffers) => MetadataJournal) {
    this.image = image;
    this.#open = open;
    this.#buffers = buffersOf(image);
    this.journal = open(this.#buffers);
  }

  step(step: Step): void {
    if ("block" in step) this.#touch(step);
    else if (step.do !== "stop") this.#commit(step.do);
  }

  #touch(step: Extract<Step, { block: number }>): void {
    // What a transaction freed is not used again before its commit.
    if (this.#free.has(step.block)) return;
    const handle = this.journal.start(1);
    if (step.do === "free") {
      handle.forget(step.block);
      this.#free.add(step.block);
      this.#changed.set(step.block, undefined);
      const data = contents(step.block + 7);
      handle.onCommitted(() => {
        this.#free.delete(step.block);
        // From here on it is somebody's data: no replay may bring the old block back.
        this.#buffers.write(step.block, data);
        this.committed.set(step.block, data);
      });
    } else {
      const bytes = contents(step.seed);
      const copy = step.do === "create" ? handle.create(step.block) : handle.get(step.block);
      copy.bytes.set(bytes);
      this.#changed.set(step.block, bytes);
    }
    handle.stop();
    this.#look(step.block);
  }

  /** Readers see what was changed, committed or not. */
  #look(block: number): void {
    const bytes = this.#changed.get(block);
    if (bytes === undefined) return;
    const { memory, at } = this.#buffers.get(block);
    mustEqual(copyOf(memory, at, BLOCK), bytes, block);
  }

  #commit(how: "commit" | "checkpoint" | "reopen"): void {
    const changed = this.#changed;
    this.#changed = new Map();
    for (const [block, bytes] of changed) {
      if (bytes !== undefined) this.committed.set(block, bytes);
    }
    this.journal.commit();
    if (how === "checkpoint" && this.journal instanceof Journal) this.journal.checkpoint();
    if (how !== "reopen") return;
    this.journal.close();
    this.#buffers = buffersOf(this.image);
    this.journal = this.#open(this.#buffers);
  }

  /** The homes of an image are what was committed. */
  expectCommitted(image: Uint8Array): void {
    for (const [block, bytes] of this.committed) {
      if (bytes === undefined) continue;
      const found = image.subarray(block * BLOCK, (block + 1) * BLOCK);
      mustEqual(found, bytes, block);
    }
  }
}

const environment = seededEnvironment(1);

describe("a random stream of transactions, cut off", () => {
  test.each(LAYOUTS)("%s: replay gives what was committed", (_, layout) => {
    const geometry = { homes: HOMES, journalBlocks: 65, ...layout };
    const map = mapOf(geometry);
    const open = (buffers: Buffers) => new Journal(buffers, map, { environment });
    fc.assert(
      fc.property(fc.array(stepArbitrary, { minLength: 20, maxLength: 160 }), (steps) => {
        const run = new Run(cleanImage(geometry), open);
        for (const step of steps) {
          // A transaction that is full commits by itself; then the model has to know when.
          run.step(step);
          if (step.do !== "stop") run.step({ do: "commit" });
        }
        const image = run.image.slice();
        recoverJournal({ buffers: buffersOf(image), map });
        run.expectCommitted(image);
        run.journal.close();
        run.expectCommitted(run.image);
        // A clean log replays nothing.
        expect(recoverJournal({ buffers: buffersOf(run.image), map }).transactions).toBe(0);
      }),
      { numRuns: 12, seed: 20150 },
    );
  });

  test.each(LAYOUTS)("%s: many descriptors and revoke records", (_, layout) => {
    const geometry = { homes: HOMES, journalBlocks: 1100, ...layout };
    const map = mapOf(geometry);
    const run = new Run(
      cleanImage(geometry),
      (buffers) => new Journal(buffers, map, { environment }),
    );
    for (let round = 0; round < 9; round++) {
      for (let block = 0; block < 180; block++) {
        run.step({ do: "change", block, seed: round * 1000 + block });
      }
      run.step({ do: "commit" });
      if (round % 3 === 2) {
        for (let block = 0; block < 170; block++) run.step({ do: "free", block });
        run.step({ do: "commit" });
      }
    }
    const image = run.image.slice();
    const found = recoverJournal({ buffers: buffersOf(image), map });
    expect(found.transactions).toBeGreaterThan(2);
    expect(found.revoked).toBeGreaterThan(0);
    run.expectCommitted(image);
  });
});

test("without a journal: after a commit everything is in its place", () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 80 }), (steps) => {
      const image = cleanImage({ homes: HOMES, journalBlocks: 16 });
      const run = new Run(
        image,
        (buffers) => new InPlaceJournal(buffers, { environment, waitingBytes: 9000 }),
      );
      for (const step of steps) {
        run.step(step);
        run.step({ do: "commit" });
        run.expectCommitted(image);
      }
    }),
    { numRuns: 20, seed: 20150 },
  );
});
