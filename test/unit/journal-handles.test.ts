/** Handles on one running transaction: credits, private copies, hooks, and what an error leaves. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { MetadataJournal } from "../../src/fs/ext/handle.ts";
import { InPlaceJournal } from "../../src/fs/ext/in-place-journal.ts";
import { Journal, type JournalHooks } from "../../src/fs/ext/journal.ts";
import { recoverJournal } from "../../src/fs/ext/journal-recovery.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { BLOCK, buffersOf, cleanImage, mapOf } from "../support/journal-device.ts";

const GEOMETRY = { homes: 100, journalBlocks: 65 };
const environment = seededEnvironment(1);

/** A device that can be told to fail, and says what was asked of it. */
function deviceOn(image: Uint8Array<ArrayBuffer>) {
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const state = { failing: false, log: [] as string[] };
  const fail = () => {
    if (state.failing) throw new DaxError("EIO", { syscall: "write", detail: "told to" });
  };
  const device = new Proxy<BlockDevice>(disk, {
    get(target, key) {
      if (key === "flush") {
        return () => {
          fail();
          state.log.push("flush");
        };
      }
      if (key === "write") {
        return (sector: number, bytes: Uint8Array, flags?: { readonly fua?: boolean }) => {
          fail();
          state.log.push(flags?.fua === true ? "fua" : "write");
          target.write(sector, bytes);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { state, buffers: new Buffers(device, BLOCK) };
}

function setUp(hooks: JournalHooks = {}) {
  const image = cleanImage(GEOMETRY);
  const { state, buffers } = deviceOn(image);
  const journal = new Journal(buffers, mapOf(GEOMETRY), { environment, hooks });
  const byte = (block: number) => {
    const { memory, at } = buffers.get(block);
    return copyOf(memory, at, 1)[0];
  };
  return { image, state, buffers, journal, byte };
}

function change(journal: MetadataJournal, block: number, value: number, sync = false): number {
  const handle = journal.start(1);
  handle.get(block).bytes.fill(value);
  handle.sync = sync;
  handle.stop();
  return handle.transaction;
}

describe("handles", () => {
  test("join one transaction; readers see its copies, the media do not", () => {
    const { image, journal, byte } = setUp();
    const [first, second] = [journal.start(2), journal.start(2)];
    first.get(3).bytes.fill(1);
    expect(second.get(3).bytes[0]).toBe(1);
    expect([first.credits, second.credits]).toEqual([1, 2]);
    expect(first.transaction).toBe(second.transaction);
    expect([byte(3), image[3 * BLOCK]]).toEqual([1, 0]);
    first.stop();
    expect(() => journal.commit()).toThrow("a commit while a handle is open");
    second.stop();
    journal.commit();
    expect([byte(3), image[3 * BLOCK]]).toEqual([1, 0]);
    journal.checkpoint();
    expect([byte(3), image[3 * BLOCK]]).toEqual([1, 1]);
  });

  test("what was committed is frozen: later changes go to a copy of their own", () => {
    const { image, journal, byte } = setUp();
    change(journal, 3, 1);
    journal.commit();
    const handle = journal.start(1);
    handle.get(3).bytes.fill(2);
    handle.stop();
    journal.checkpoint();
    expect([byte(3), image[3 * BLOCK]]).toEqual([2, 1]);
    journal.commit();
    const cut = image.slice();
    recoverJournal({ buffers: buffersOf(cut), map: mapOf(GEOMETRY) });
    expect(cut[3 * BLOCK]).toBe(2);
  });

  test("take no more than their credits, which can be extended while there is room", () => {
    const { journal } = setUp();
    const handle = journal.start(1, 0);
    handle.get(1);
    handle.get(1);
    expect(() => handle.get(2)).toThrow("beyond the handle's credits");
    expect(handle.extend(1)).toBe(true);
    handle.get(2);
    expect(handle.extend(journal.mostCredits)).toBe(false);
    handle.stop();
    handle.stop();
    expect(() => handle.get(1)).toThrow("stopped");
    expect(() => journal.start(1000)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    journal.start(journal.mostCredits).stop();
  });

  test("commit what is full by themselves, and the log makes room for any number", () => {
    const { journal, image } = setUp();
    for (let n = 0; n < 500; n++) change(journal, 1 + (n % 90), n % 251);
    expect(journal.committed).toBeGreaterThan(10);
    journal.close();
    for (let n = 410; n < 500; n++) expect(image[(1 + (n % 90)) * BLOCK]).toBe(n % 251);
  });
});

describe("a transaction's number", () => {
  test("says what fsync has to commit, and nothing is committed twice", () => {
    const { state, journal } = setUp();
    const first = change(journal, 1, 1);
    const second = change(journal, 2, 1);
    expect([first, second, journal.committed]).toEqual([1, 1, 0]);
    journal.commitThrough(first);
    expect(journal.committed).toBe(1);
    const third = change(journal, 1, 2);
    expect(third).toBe(2);
    state.log = [];
    journal.commitThrough(second);
    expect(state.log).toEqual([]);
    journal.commitThrough(third);
    // Descriptor, copy, and the commit block without its mark; a flush; the mark.
    expect(state.log).toEqual(["write", "write", "write", "flush", "fua"]);
    journal.commit();
    expect(state.log.length).toBe(5);
  });

  test("sync commits when the last handle stops", () => {
    const { journal } = setUp();
    const outer = journal.start(2);
    const inner = change(journal, 5, 1, true);
    expect(journal.committed).toBe(0);
    outer.stop();
    expect(journal.committed).toBe(inner);
  });

  test("commitOlderThan is what commit= asks for", () => {
    let sec = 100;
    const clock = { now: () => ({ sec, nsec: 5 }) };
    const options = { environment: { clock, trace: environment.trace } };
    const journal = new Journal(buffersOf(cleanImage(GEOMETRY)), mapOf(GEOMETRY), options);
    change(journal, 1, 1);
    sec = 104;
    journal.commitOlderThan(5);
    expect(journal.committed).toBe(0);
    sec = 105;
    const open = journal.start(1);
    journal.commitOlderThan(5);
    expect(journal.committed).toBe(0);
    open.stop();
    journal.commitOlderThan(5);
    expect(journal.committed).toBe(1);
  });
});

describe.each(["a journal", "in place"])("hooks, %s", (kind) => {
  const open = (buffers: Buffers): MetadataJournal =>
    kind === "in place"
      ? new InPlaceJournal(buffers, { environment })
      : new Journal(buffers, mapOf(GEOMETRY), { environment });

  test("data first, then the metadata, then what was freed may be used", () => {
    const { state, buffers } = deviceOn(cleanImage(GEOMETRY));
    const journal = open(buffers);
    const handle = journal.start(1);
    handle.get(1).bytes.fill(1);
    handle.onBeforeCommit(() => state.log.push("data"));
    handle.onCommitted(() => {
      state.log.push("done");
      // The journal can be used from here: this joins the next transaction.
      change(journal, 2, 1);
    });
    handle.stop();
    expect(state.log).toEqual([]);
    journal.commit();
    expect(state.log[0]).toBe("data");
    expect(state.log.at(-1)).toBe("done");
    expect(state.log.slice(-2, -1)).toEqual([kind === "in place" ? "flush" : "fua"]);
    expect(journal.committed).toBe(1);
    state.log = [];
    journal.commit();
    expect(state.log).not.toContain("data");
    expect(journal.committed).toBe(2);
  });

  test("data alone is flushed, too", () => {
    const { state, buffers } = deviceOn(cleanImage(GEOMETRY));
    const journal = open(buffers);
    const handle = journal.start(0, 0);
    handle.onBeforeCommit(() => state.log.push("data"));
    handle.stop();
    journal.commitThrough(handle.transaction);
    expect(state.log).toEqual(["data", "flush"]);
  });

  test("an error ends it: nothing is written any more, readers keep what they saw", () => {
    const { state, buffers } = deviceOn(cleanImage(GEOMETRY));
    const journal = open(buffers);
    change(journal, 1, 7);
    state.failing = true;
    expect(() => journal.commit()).toThrow(expect.objectContaining({ code: "EIO" }));
    expect(journal.error?.code).toBe("EIO");
    state.failing = false;
    state.log = [];
    for (const use of [
      () => journal.commit(),
      () => journal.start(1),
      () => journal.commitThrough(0),
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: "EROFS" }));
    }
    journal.close();
    expect(state.log).toEqual([]);
    const { memory, at } = buffers.get(1);
    expect(copyOf(memory, at, 1)[0]).toBe(7);
  });
});

describe("an abort", () => {
  test("is told once, and the journal's superblock remembers it", () => {
    const told: DaxError[] = [];
    const { image, journal, state } = setUp({ onAbort: (error) => told.push(error) });
    change(journal, 1, 1);
    journal.commit();
    change(journal, 1, 2);
    const reason = new DaxError("EUCLEAN", { syscall: "write", detail: "a bitmap is damaged" });
    journal.abort(reason);
    journal.abort(reason);
    expect(told).toEqual([reason]);
    expect(journal.error).toBe(reason);
    expect(state.log.at(-1)).toBe("fua");
    journal.close();
    const buffers = buffersOf(image);
    recoverJournal({ buffers, map: mapOf(GEOMETRY) });
    expect(image[BLOCK]).toBe(1);
    const next = new Journal(buffers, mapOf(GEOMETRY), { environment });
    expect(next.recordedErrno).toBe(-5);
    next.clearErrno();
    expect(new Journal(buffers, mapOf(GEOMETRY), { environment }).recordedErrno).toBe(0);
  });

  test("an open handle learns of it", () => {
    const { journal } = setUp();
    const handle = journal.start(2);
    handle.get(1);
    journal.abort(new DaxError("EIO", { syscall: "write" }));
    expect(() => handle.get(2)).toThrow(expect.objectContaining({ code: "EROFS" }));
    handle.sync = true;
    handle.stop();
    expect(journal.committed).toBe(0);
  });
});

test("the filesystem learns when it needs recovery, and when no longer", () => {
  const log: string[] = [];
  const { state, journal } = setUp({
    beforeFirstCommit: () => log.push(`first, after ${state.log.length} writes`),
    afterClean: () => log.push("clean"),
  });
  change(journal, 1, 1);
  journal.commit();
  change(journal, 1, 2);
  journal.checkpoint();
  journal.commit();
  expect(log).toEqual(["first, after 0 writes"]);
  journal.close();
  expect(log).toEqual(["first, after 0 writes", "clean"]);
});

test("a log that was not replayed, or is too short, is not written", () => {
  const { image, journal } = setUp();
  change(journal, 1, 1);
  journal.commit();
  const again = () => new Journal(buffersOf(image), mapOf(GEOMETRY), { environment });
  expect(again).toThrow(expect.objectContaining({ code: "EBUSY" }));
  const short = { homes: 4, journalBlocks: 12 };
  const small = () => new Journal(buffersOf(cleanImage(short)), mapOf(short), { environment });
  expect(small).toThrow(expect.objectContaining({ code: "EINVAL" }));
});
