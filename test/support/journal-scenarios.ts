/** What is done to journals while power is cut. Blocks 2 and up are homes; 1 is the superblock. */
import {
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_REVOKE,
  JBD2_MAGIC_NUMBER,
  JournalSuperblock,
} from "../../src/format/jbd2.ts";
import type { Journal } from "../../src/fs/ext/journal.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Scenario } from "./journal-crash.ts";
import { BLOCK, type JournalGeometry } from "./journal-device.ts";

const WIDE = JBD2_FEATURE_INCOMPAT_64BIT | JBD2_FEATURE_INCOMPAT_REVOKE;
/** Checksums of everything, and of nothing: what the one finds by them, the other must order. */
export const V3 = JBD2_FEATURE_INCOMPAT_CSUM_V3 | WIDE;
export const PLAIN = WIDE;

/** First and last word of a block; all else stays zero, so that few states look different. */
const AT = [8, BLOCK - 8] as const;

function mark(bytes: Uint8Array, value: number): void {
  for (const at of AT) bytes[at] = value;
  // Block 3 looks like one of the journal's own: a replay that forgets so is found out.
  if (value % 2 === 1) new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, JBD2_MAGIC_NUMBER);
  else bytes.fill(0, 0, 4);
}

const marked = (value: number) => {
  const bytes = new Uint8Array(BLOCK);
  mark(bytes, value);
  return bytes;
};

function isMarked(bytes: Uint8Array, value: number): boolean {
  const expected = value === 0 ? new Uint8Array(BLOCK) : marked(value);
  return Buffer.compare(bytes, expected) === 0;
}

function change(journal: Journal, blocks: readonly number[], value: number): void {
  const handle = journal.start(blocks.length, 0);
  for (const block of blocks) mark(handle.get(block).bytes, value);
  handle.stop();
}

/** The superblock of the journal, which lies backwards in the image. */
const LAST = 6 + 17 - 1;

function errnoOf(bytes: Uint8Array): number {
  return JournalSuperblock.errno.get(new DataView(bytes.buffer, bytes.byteOffset), 0);
}

/** Home blocks after each step; step 0 is the beginning. */
function prefixOf(states: readonly ReadonlyMap<number, number>[]): Scenario["check"] {
  return (block, promised) => {
    for (const state of states.slice(promised)) {
      if ([...state].every(([n, value]) => isMarked(block(n), value))) return undefined;
    }
    const found = [...(states[0]?.keys() ?? [])].map((n) => `${n}: ${block(n)[AT[0]]}`);
    return `after ${promised} steps: ${found.join(", ")}`;
  };
}

const geometryOf = (incompat: number): JournalGeometry => ({
  homes: 6,
  journalBlocks: 17,
  incompat,
});

const pair = (n: number) => [2 + (n % 4), 2 + ((n + 1) % 4)];

/** Every step changes two blocks of four in turn: through checkpoints and around the ring. */
export function turns(name: string, incompat: number, steps: number, close = true): Scenario {
  const states = [new Map([2, 3, 4, 5].map((block) => [block, 0]))];
  for (let n = 1; n <= steps; n++) {
    const state = new Map(states[n - 1]);
    for (const block of pair(n)) state.set(block, n);
    states.push(state);
  }
  return {
    name: `${name}: ${steps} transactions`,
    geometry: geometryOf(incompat),
    run({ open, promise }) {
      const journal = open();
      for (let n = 1; n <= steps; n++) {
        change(journal, pair(n), n);
        journal.commit();
        promise(n);
      }
      if (close) journal.close();
    },
    check: prefixOf(states),
  };
}

/** Small steps fill the log to its last block: what a checkpoint gives back is used at once. */
export function laps(name: string, incompat: number): Scenario {
  const steps = [1, 2, 3, 4, 5, 6, 7];
  return {
    name: `${name}: ${steps.length} small transactions`,
    geometry: geometryOf(incompat),
    run({ open, promise }) {
      const journal = open();
      for (const n of steps) {
        change(journal, [2], n);
        journal.commit();
        promise(n);
      }
    },
    check: prefixOf([0, ...steps].map((n) => new Map([[2, n]]))),
  };
}

/** Mounted again without an unmount: what was recovered is built upon. */
export function mountedAgain(name: string, incompat: number): Scenario {
  const states = [0, 1, 2, 3, 4].map(
    (n) =>
      new Map([
        [2, n],
        [3, Math.min(n, 2)],
      ]),
  );
  return {
    name: `${name}: mounted again`,
    geometry: geometryOf(incompat),
    run({ open, promise }) {
      let journal = open();
      for (let n = 1; n <= 4; n++) {
        if (n === 3) journal = open();
        change(journal, n < 3 ? [2, 3] : [2], n);
        journal.commit();
        promise(n);
      }
    },
    check: prefixOf(states),
  };
}

/** Features change while the journal is clean: without checksums, with them, and back. */
export function upgraded(): Scenario {
  const words = [V3 & ~JBD2_FEATURE_INCOMPAT_REVOKE, V3, PLAIN];
  return {
    name: "checksums are turned on, features change, and off again",
    geometry: geometryOf(PLAIN),
    run({ open, promise }) {
      for (const [i, featureIncompat] of words.entries()) {
        const journal = open({ features: { featureCompat: 0, featureIncompat } });
        change(journal, [2], i + 1);
        journal.commit();
        promise(i + 1);
        journal.close();
      }
    },
    check: prefixOf([0, 1, 2, 3].map((n) => new Map([[2, n]]))),
  };
}

/** Nobody said that the filesystem needs recovery: then the log does not count, and is emptied. */
export function discarded(): Scenario {
  return {
    name: "checksums: a log that nobody asks to replay",
    geometry: geometryOf(V3),
    run({ open }) {
      const journal = open({ hooks: {} });
      change(journal, [2], 1);
      journal.commit();
      open();
    },
    check: (block) => (isMarked(block(2), 0) ? undefined : "it was replayed"),
  };
}

/** The device comes back after an abort: what was committed stays, the error is on record. */
export function aborted(name: string, incompat: number): Scenario {
  return {
    name: `${name}: an abort`,
    geometry: geometryOf(incompat),
    run({ open, promise }) {
      const journal = open();
      change(journal, [2], 1);
      journal.commit();
      promise(1);
      change(journal, [2], 2);
      journal.abort(new DaxError("EIO", { syscall: "write" }));
      promise(2);
    },
    check(block, promised) {
      const step = [0, 1].find((n) => isMarked(block(2), n));
      if (step === undefined || step < Math.min(promised, 1)) return `block 2: ${block(2)[8]}`;
      return promised === 2 && errnoOf(block(LAST)) === 0 ? "the abort was forgotten" : undefined;
    },
  };
}

const DATA = 200;

/** A block of metadata is freed, and becomes somebody's data; nothing may bring it back. */
export function freed(name: string, incompat: number): Scenario {
  return {
    name: `${name}: a freed block is used for data`,
    geometry: geometryOf(incompat),
    run({ open, promise, buffers }) {
      const journal = open();
      change(journal, [2, 3], 1);
      journal.commit();
      promise(1);
      const handle = journal.start(1, 1);
      mark(handle.get(2).bytes, 2);
      handle.forget(3);
      handle.onCommitted(() => buffers.write(3, marked(DATA), { fua: true }));
      handle.stop();
      journal.commit();
      promise(2);
      change(journal, [2], 3);
      journal.commit();
      promise(3);
      journal.close();
    },
    check(block, promised) {
      const step = [0, 1, 2, 3].find((n) => isMarked(block(2), n));
      if (step === undefined || step < promised) return `block 2 is that of step ${step}`;
      if (promised >= 2 && !isMarked(block(3), DATA)) return `data lost, ${block(3)[AT[0]]}`;
      return step < 2 && !isMarked(block(3), step) ? `block 3 is ${block(3)[AT[0]]}` : undefined;
    },
  };
}

/** Without a journal: a new block is there before anything on the media points to it. */
export function inPlace(): Scenario {
  return {
    name: "no journal: a new block before what points to it",
    geometry: geometryOf(PLAIN),
    run({ openInPlace, promise, buffers }) {
      const journal = openInPlace();
      const handle = journal.start(2);
      mark(handle.get(2).bytes, 1);
      mark(handle.create(4).bytes, 1);
      handle.onBeforeCommit(() => buffers.write(5, marked(DATA)));
      handle.stop();
      journal.commit();
      promise(1);
    },
    check(block, promised) {
      const refers = block(2).some((byte) => byte !== 0);
      if (promised > 0 && !isMarked(block(2), 1)) return `block 2 is ${block(2)[8]}`;
      const whole = isMarked(block(4), 1) && isMarked(block(5), DATA);
      return refers && !whole ? "refers to a block that is not there" : undefined;
    },
  };
}

/** Data alone: there is no metadata to commit, and still it is durable. */
export function dataAlone(): Scenario {
  return {
    name: "data without metadata",
    geometry: geometryOf(PLAIN),
    run({ open, promise, buffers }) {
      const journal = open();
      const handle = journal.start(0, 0);
      handle.onBeforeCommit(() => buffers.write(5, marked(DATA)));
      handle.stop();
      journal.commitThrough(handle.transaction);
      promise(1);
    },
    check: (block, promised) =>
      promised > 0 && !isMarked(block(5), DATA) ? "the data are not there" : undefined,
  };
}

/** Ordered data: metadata never refers to data that is not there. */
export function ordered(name: string, incompat: number): Scenario {
  return {
    name: `${name}: data before the metadata that refers to it`,
    geometry: geometryOf(incompat),
    run({ open, promise, buffers }) {
      const journal = open();
      const handle = journal.start(1, 0);
      mark(handle.get(2).bytes, 1);
      handle.onBeforeCommit(() => buffers.write(4, marked(DATA)));
      handle.stop();
      journal.commit();
      promise(1);
    },
    check(block, promised) {
      const refers = isMarked(block(2), 1);
      if (!refers && (promised > 0 || !isMarked(block(2), 0))) return `block 2 is ${block(2)[8]}`;
      return refers && !isMarked(block(4), DATA) ? "refers to data that is not there" : undefined;
    },
  };
}

/** One of each, with checksums and without. */
export const SCENARIOS: readonly Scenario[] = [
  inPlace(),
  dataAlone(),
  ordered("no checksums", PLAIN),
  ordered("checksums", V3),
  freed("no checksums", PLAIN),
  aborted("no checksums", PLAIN),
  turns("no checksums", PLAIN, 5),
  laps("no checksums", PLAIN),
  aborted("checksums", V3),
  mountedAgain("no checksums", PLAIN),
  upgraded(),
  discarded(),
  turns("checksums", V3, 5),
  freed("checksums", V3),
  mountedAgain("checksums", V3),
];
