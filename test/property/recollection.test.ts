/**
 * Looks that are remembered: whoever observes a run sees the same loads, and the run finds the
 * same, whatever was remembered before.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { CrashImage } from "../../src/crash/crash-image.ts";
import { Recollection, Recollections } from "../../src/crash/recollection.ts";
import type { Remembering } from "../../src/crash/remembering.ts";
import { SectorContents, SectorDisk } from "../../src/crash/sector-disk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { AssertionError } from "../../src/lib/errno.ts";
import { type Memo, perform, recall } from "../../src/lib/memo.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { Recorder } from "../../src/media/recorder.ts";
import { FaultInjector, PoisonedDevice } from "../../src/node/prove/fault-injector.ts";
import { Trace } from "../../src/media/trace.ts";

const SIZE = 256;
const NAMES = {};

/** A look that goes on where what it finds says, through looks of its own. */
function wander(recorder: Recorder, memo: Memo | undefined, start: number, depth: number): string {
  return recall(memo, NAMES, `${start}, ${depth}`, () => {
    const value = recorder.getUint8(start);
    if (value === 7 && start % 3 === 0) throw new Error("seven");
    if (depth === 0) return String(value);
    const near = wander(recorder, memo, (start + 1 + (value % 3)) % SIZE, depth - 1);
    const word = recorder.getUint16((start + value) % (SIZE - 1));
    if (word % 2 === 0) return `${value} ${near} ${word}`;
    return `${value} ${near} ${wander(recorder, memo, (word * 5) % SIZE, depth - 1)}`;
  });
}

interface Seen {
  readonly loads: readonly string[];
  readonly found: string;
}

function seenBy(recorder: Recorder, memo: Memo | undefined, start: number): Seen {
  const loads: string[] = [];
  recorder.observer = {
    load: (at, length) => void loads.push(`${at}+${length}`),
    store: () => expect.unreachable(),
    order: () => expect.unreachable(),
  };
  try {
    return { loads, found: wander(recorder, memo, start, 3) };
  } catch (error) {
    return { loads, found: String(error) };
  } finally {
    recorder.observer = undefined;
  }
}

test("a run is the same run, whatever was remembered", () => {
  const prng = new Prng(1);
  const recorder = new Recorder(SIZE, new Trace());
  const image = new CrashImage(recorder.image);
  const memo = new Recollection(new Recollections(), recorder, image);
  const kinds = new Set<string>();
  for (let round = 0; round < 4000; round++) {
    if (round % 3 === 0) {
      const at = prng.below(SIZE);
      image.save(Math.floor(at / 64));
      recorder.image[at] = prng.below(9);
    }
    const start = prng.below(6);
    const plain = seenBy(recorder, undefined, start);
    expect(seenBy(recorder, memo, start)).toEqual(plain);
    kinds.add(plain.found);
  }
  expect(kinds.size).toBeGreaterThan(100);
});

test("what is known is not looked at again, but loaded", () => {
  const recorder = new Recorder(SIZE, new Trace());
  const memo = new Recollection(new Recollections(), recorder, new CrashImage(recorder.image));
  let runs = 0;
  let loads = 0;
  recorder.observer = { load: () => void loads++, store: () => {}, order: () => {} };
  const look = (): number[] => {
    runs++;
    return [recorder.getUint8(3), recorder.getUint8(4)];
  };
  const first = memo.recall(NAMES, "pair", look);
  expect(memo.recall(NAMES, "pair", look)).toBe(first);
  expect({ runs, loads }).toEqual({ runs: 1, loads: 4 });
  expect(memo.recall({}, "pair", look)).not.toBe(first);
  expect(memo.recall(NAMES, "another", look)).not.toBe(first);
});

test("what a look may not do is a bug", () => {
  const recorder = new Recorder(SIZE, new Trace());
  const memo = new Recollection(new Recollections(), recorder, new CrashImage(recorder.image));
  const refused = (look: () => unknown) => () => memo.recall(NAMES, String(look), look);
  expect(refused(() => recorder.setUint8(1, 1))).toThrow(AssertionError);
  expect(refused(() => recorder.fenced())).toThrow(AssertionError);
  let times = 0;
  const moody = refused(() => {
    recorder.getUint8(times++);
    throw new Error("half way");
  });
  expect(moody).toThrow("half way");
  expect(moody).toThrow(AssertionError);
});

/** Stores, flushes and loads, what comes next depending on what was found; parts are deeds, too. */
function act(recorder: Recorder, memo: Memo | undefined, start: number, depth: number): string {
  return perform(memo, NAMES, `act ${start}, ${depth}`, () => {
    const value = recorder.getUint8(start);
    if (value % 2 === 0) recorder.setUint8((start * 3 + 1) % SIZE, (value + 1) % 9);
    if (value === 5) recorder.flushed(start, 1);
    const near = depth === 0 ? "" : act(recorder, memo, (start + value) % SIZE, depth - 1);
    if (value === 7 && start % 5 === 0) throw new Error("seven");
    const found = wander(recorder, memo, (start + 2) % SIZE, 1);
    recorder.storeAtom(((start + value) % 30) * 8, BigInt(found.length % 5));
    recorder.fenced();
    if (depth === 0) return found;
    return `${near} ${found} ${act(recorder, memo, (value * 11) % SIZE, depth - 1)}`;
  });
}

/** One run of acts from a state: the trace, what was observed, what it answers and leaves. */
function actedOn(initial: Uint8Array, start: number, all: Recollections | undefined): unknown {
  const recorder = new Recorder(SIZE, new Trace());
  recorder.image.set(initial);
  const image = new CrashImage(recorder.image);
  const memo = all === undefined ? undefined : new Recollection(all, recorder, image);
  const asked: string[] = [];
  const stored: string[] = [];
  recorder.observer = {
    load: (at, length) => void asked.push(`load ${at}+${length}`),
    store: (at, length) => {
      asked.push(`store ${at}+${length}`);
      for (let line = at >> 6; line <= (at + length - 1) >> 6; line++) image.save(line);
    },
    order: (at, length) => void asked.push(`order ${at}+${length}`),
  };
  recorder.witness = { stored: (kind, at, length) => void stored.push(`${kind} ${at}+${length}`) };
  let said: string;
  try {
    said = `${act(recorder, memo, start, 3)} ${act(recorder, memo, start + 1, 2)}`;
  } catch (error) {
    said = String(error);
  }
  const { trace } = recorder;
  const events = Array.from({ length: trace.count }, (_, i) => [
    trace.kindOf(i),
    trace.offsetOf(i),
    trace.lengthOf(i),
    trace.kindOf(i) < 4
      ? String(trace.bytes.subarray(trace.dataOf(i), trace.dataOf(i) + trace.lengthOf(i)))
      : "",
  ]);
  return { asked, stored, said, events, left: [...recorder.image] };
}

test("deeds leave the same trace, whatever was remembered", () => {
  const prng = new Prng(2);
  const all = new Recollections();
  const initial = new Uint8Array(SIZE);
  const runs = new Set<string>();
  for (let round = 0; round < 900; round++) {
    if (round % 3 === 0) initial[prng.below(SIZE)] = prng.below(9);
    const start = prng.below(4);
    const plain = actedOn(initial, start, undefined);
    expect(actedOn(initial, start, all)).toEqual(plain);
    runs.add(JSON.stringify(plain));
  }
  expect(runs.size).toBeGreaterThan(300);
});

test("a disk knows what waits for a flush, whoever wrote it", () => {
  const contents = new SectorContents(512);
  const all = new Recollections();
  const flushes = (memoed: boolean, dirty: number): number => {
    const media = new ModelledMedia(8 * 64);
    if (memoed)
      media.memo = new Recollection(all, media.recorder, new CrashImage(media.recorder.image));
    const disk = new SectorDisk(media, contents);
    for (let i = 0; i < dirty; i++) disk.write(i, new Uint8Array(512).fill(1));
    const writes = () => disk.write(5, new Uint8Array(512).fill(2));
    perform(disk.memo, NAMES, "write", writes);
    perform(disk.memo, NAMES, "flush", () => disk.flush());
    perform(disk.memo, NAMES, "flush", () => disk.flush());
    const { trace } = media;
    return Array.from({ length: trace.count }, (_, i) => trace.kindOf(i)).filter(
      (kind) => kind === 4,
    ).length;
  };
  for (const dirty of [0, 2, 0, 1, 2]) {
    expect(flushes(true, dirty)).toBe(dirty + 1);
    expect(flushes(false, dirty)).toBe(dirty + 1);
  }
});

function ground(how?: Remembering) {
  const recorder = new Recorder(SIZE, new Trace());
  const image = new CrashImage(recorder.image);
  return { recorder, memo: new Recollection(new Recollections(), recorder, image, how) };
}

function runsOf(memo: Memo, recorder: Recorder, times: number): number {
  let runs = 0;
  for (let i = 0; i < times; i++) {
    memo.recall(NAMES, "byte", () => {
      runs++;
      return recorder.getUint8(3);
    });
  }
  return runs;
}

describe("the rule", () => {
  test("nothing is answered from memory once somebody has stored by himself", () => {
    const { recorder, memo } = ground();
    expect(runsOf(memo, recorder, 3)).toBe(1);
    memo.perform(NAMES, "store", () => recorder.setUint8(9, 1));
    expect(runsOf(memo, recorder, 3)).toBe(0);
    recorder.setUint8(9, 2);
    expect(runsOf(memo, recorder, 3)).toBe(3);
    memo.perform(NAMES, "store", () => recorder.setUint8(9, 1));
    expect(runsOf(memo, recorder, 3)).toBe(3);
    memo.begin();
    expect(runsOf(memo, recorder, 3)).toBe(0);
  });

  test.each(["runs", "nothing"] as const)("%s: each look is made", (how) => {
    const { recorder, memo } = ground(how);
    expect(runsOf(memo, recorder, 3)).toBe(3);
  });

  test("what is remembered cannot be changed", () => {
    const { recorder, memo } = ground();
    const found = memo.recall(NAMES, "found", () => ({
      at: recorder.getUint8(1),
      in: { all: [1] },
    }));
    expect(() => (found.at = 2)).toThrow(TypeError);
    expect(() => found.in.all.push(2)).toThrow(TypeError);
  });

  test("proved: a look that goes by something else than the device is found out", () => {
    const { recorder, memo } = ground("proved");
    let mood = 0;
    const look = () => memo.recall(NAMES, "mood", () => ({ byte: recorder.getUint8(1), mood }));
    expect(look()).toEqual({ byte: 0, mood: 0 });
    expect(look()).toEqual({ byte: 0, mood: 0 });
    mood = 1;
    expect(look).toThrow(/something else now: it\.mood/u);
    expect(memo.fault).toMatch(/it\.mood/u);
  });

  test("a disk that may answer with an error has no memory", () => {
    const media = new ModelledMedia(8 * 4096);
    const range = { name: "pmem0", media, start: 0, length: media.size, physicalStart: 0 };
    const pmem = createPmem(range);
    media.memo = ground().memo;
    expect(pmem.disk.memo).toBeDefined();
    pmem.poison.table.add(4, 1);
    expect(pmem.disk.memo).toBeUndefined();
    pmem.poison.table.clear(4, 1);
    expect(pmem.disk.memo).toBeDefined();
    const fails = new FaultInjector({ kind: "write", at: 1, during: "workload" });
    expect(fails.device(pmem.disk).memo).toBeUndefined();
    const poisoned: BlockDevice = new PoisonedDevice(pmem.disk, [1], () => {});
    expect(poisoned.memo).toBeUndefined();
    pmem.dax.kill();
    expect(pmem.disk.memo).toBeUndefined();
  });
});
