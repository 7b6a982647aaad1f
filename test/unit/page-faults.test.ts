/** Page faults, write-back and layout changes of a mapped file, one after the other. */
import { describe, expect, test } from "vitest";
import type { FallbackReason } from "../../src/dax/fault-counters.ts";
import { changingLayout } from "../../src/dax/layout-change.ts";
import type { MappedArea, MappedAreaOptions } from "../../src/dax/mapped-area.ts";
import { runToEnd } from "../../src/dax/steps.ts";
import { type DaxTraceEvent, daxTrace, traceDaxTo } from "../../src/dax/trace-events.ts";
import { codeOf } from "../support/bytes.ts";
import { fakeDax } from "../support/dax-fakes.ts";
import { type Faulting, FaultingFile, byteAt, faulting } from "../support/faulting-file.ts";

const PAGE = 4096;
const PMD = 512;
const ONE = Uint8Array.of(1);

function store(area: MappedArea, page: number, value = 1): void {
  area.store(page * PAGE, Uint8Array.of(value));
}

test("a hole is read as zeros, and the first store replaces them in every mapping", () => {
  const { file, space, map } = faulting(8);
  const [one, other] = [map(), map()];
  expect([byteAt(one, 3 * PAGE), byteAt(other, 3 * PAGE), file.pages.size]).toEqual([0, 0, 0]);
  expect(space.entries.find(3)?.kind).toBe("zero");
  store(one, 3, 7);
  expect([byteAt(one, 3 * PAGE), byteAt(other, 3 * PAGE)]).toEqual([7, 7]);
  expect(space.entries.find(3)).toMatchObject({ kind: "mapped", locked: false });
  expect(space.counters).toMatchObject({ pteFaults: 4, majorFaults: 1, unmapped: 2 });
  expect(space.dirty).toBe(1);
});

test("[2.30] what was faulted in takes no fault again, and write-back asks for one", () => {
  const { file, space, map } = faulting(8);
  const area = map();
  store(area, 2);
  const { pteFaults } = space.counters;
  for (let i = 0; i < 9; i++) store(area, 2);
  expect(space.counters.pteFaults).toBe(pteFaults);
  space.writeBack();
  expect([space.dirty, file.fake.flushed]).toEqual([0, [[0, PAGE]]]);
  expect(space.counters).toMatchObject({ writeProtected: 1, flushedBytes: PAGE });
  expect(byteAt(area, 2 * PAGE)).toBe(1);
  expect(space.counters.pteFaults).toBe(pteFaults);
  store(area, 2);
  expect(space.counters).toMatchObject({ pteFaults: pteFaults + 1, writeProtectFaults: 1 });
  expect(space.dirty).toBe(1);
});

test("write-back takes the right to store from every mapping of a page", () => {
  const { space, map } = faulting(4);
  const [one, other] = [map(), map()];
  store(one, 0);
  store(other, 0);
  space.writeBack();
  expect(space.counters).toMatchObject({ writeProtected: 2, writtenBack: 1 });
});

test("past the page that the file ends in there is nothing; behind its end are zeros", () => {
  const { file, map } = faulting(4);
  const area = map();
  store(area, 1);
  file.fake.bytes[PAGE - 1] = 9;
  file.size = PAGE + 10;
  expect([byteAt(area, PAGE + 9), byteAt(area, 2 * PAGE - 1)]).toEqual([0, 0]);
  expect(codeOf(() => byteAt(area, 2 * PAGE))).toBe("EFAULT");
  expect(codeOf(() => area.store(2 * PAGE, ONE))).toBe("EFAULT");
});

test("a private mapping copies what it stores to; the file keeps its bytes", () => {
  const { file, space, map } = faulting(4);
  const [shared, own] = [map(), map({ isPrivate: true })];
  store(shared, 1, 5);
  expect(byteAt(own, PAGE)).toBe(5);
  own.store(PAGE + 1, Uint8Array.of(6));
  own.store(2 * PAGE, Uint8Array.of(7));
  store(shared, 1, 8);
  expect([byteAt(own, PAGE), byteAt(own, PAGE + 1), byteAt(own, 2 * PAGE)]).toEqual([5, 6, 7]);
  expect([byteAt(shared, PAGE), byteAt(shared, PAGE + 1), byteAt(shared, 2 * PAGE)]).toEqual([
    8, 0, 0,
  ]);
  expect([space.counters.copies, space.dirty, file.pages.size]).toEqual([2, 1, 1]);
  // A punch leaves copies as they are; the end of the file does not.
  runToEnd(changingLayout(space, file, range(1, 1), "fail", () => file.punch(1)));
  expect(byteAt(own, PAGE + 1)).toBe(6);
  const cuts = { offset: PAGE, length: Number.POSITIVE_INFINITY, cuts: true };
  runToEnd(changingLayout(space, file, cuts, "fail", () => void (file.size = PAGE)));
  file.size = 4 * PAGE;
  expect([byteAt(own, PAGE + 1), byteAt(own, 2 * PAGE)]).toEqual([0, 0]);
});

const range = (page: number, pages: number) => ({
  offset: page * PAGE,
  length: pages * PAGE,
  cuts: false,
});

test("poison is met by the fault, and by an access to a page that is mapped", () => {
  const { file, map } = faulting(4);
  const area = map();
  store(area, 0);
  file.fake.poison.add(0);
  expect(codeOf(() => byteAt(area, 0))).toBe("EHWPOISON");
  expect(codeOf(() => byteAt(map(), 0))).toBe("EHWPOISON");
});

/** Memory begins at a multiple of 2 MiB of physical memory: page 256 of the fake. */
function huge(pages = 3 * PMD): Faulting {
  const all = faulting(pages);
  all.file.free = 256;
  return all;
}

describe("huge pages", () => {
  test("[2.21] 2 MiB are one entry, one fault, one flush", () => {
    const { file, space, map } = huge();
    const area = map({ huge: true });
    store(area, PMD + 5);
    store(area, PMD + 6);
    expect(file.pages.size).toBe(PMD);
    expect(space.entries.find(PMD + 500)).toMatchObject({ order: 9, index: PMD });
    expect(space.counters).toMatchObject({ pmdFaults: 1, pteFaults: 0 });
    space.writeBack(PMD + 7, 1);
    expect(file.fake.flushed).toEqual([[256 * PAGE, PMD * PAGE]]);
    expect([space.dirty, space.entries.pages]).toEqual([0, PMD]);
  });

  test("a hole is a huge page of zeros, which a store to one page takes apart", () => {
    const { file, space, map } = huge();
    const [large, small] = [map({ huge: true }), map()];
    expect(byteAt(large, 9 * PAGE)).toBe(0);
    expect(space.entries.find(100)).toMatchObject({ order: 9, kind: "zero" });
    store(small, 9, 3);
    expect([space.entries.find(9)?.order, space.entries.pages]).toEqual([0, 1]);
    expect([byteAt(large, 9 * PAGE), file.pages.size]).toEqual([3, 1]);
    expect(space.counters.fallbacks.conflict).toBe(1);
  });

  test("a store to one page of 2 MiB that are mapped dirties all of them", () => {
    const { space, map } = huge();
    store(map({ huge: true }), 0);
    space.writeBack();
    store(map(), 7);
    expect([space.dirty, space.entries.find(7)?.order]).toEqual([1, 9]);
  });

  const reasons: Record<FallbackReason, (all: Faulting) => Partial<MappedAreaOptions>> = {
    colour: () => ({ address: 7 }),
    private: () => ({ isPrivate: true }),
    range: () => ({ offset: PAGE, length: 2 * PMD * PAGE }),
    end: ({ file }) => {
      file.size = 100 * PAGE;
      return { length: 3 * PMD * PAGE };
    },
    conflict: ({ map }) => {
      store(map(), 300);
      return {};
    },
    extent: ({ file }) => {
      file.allocate(0, 100);
      return {};
    },
    alignment: ({ file }) => {
      file.free = 257;
      return {};
    },
    device: ({ file }) => {
      file.allocate(0, PMD);
      file.fake.poison.add(256 + 300);
      return {};
    },
    zero: () => ({ hugeZero: false }),
  };

  test.each(Object.entries(reasons))("falls back to single pages: %s", (reason, prepare) => {
    const all = huge();
    const area = all.map({ huge: true, ...prepare(all) });
    if (reason === "zero") byteAt(area, 3 * PAGE);
    else store(area, 3);
    const told = Object.entries(all.space.counters.fallbacks).filter(([, count]) => count > 0);
    expect(told).toEqual([[reason, 1]]);
    expect(byteAt(area, 3 * PAGE)).toBe(reason === "zero" ? 0 : 1);
    expect(all.space.counters.pteFaults).toBeGreaterThan(0);
  });
});

test("MAP_SYNC: the page may be stored to only when metadata is durable", () => {
  const { file, space, map } = faulting(4);
  const seen: [dirty: number, durable: boolean][] = [];
  const area = map(
    { isSync: true },
    {
      syncData: () => {
        seen.push([space.dirty, file.durable]);
        file.durable = true;
      },
    },
  );
  store(area, 1);
  expect(seen).toEqual([[0, false]]);
  expect([space.dirty, space.counters.syncFaults]).toEqual([1, 1]);
  // What is durable already needs no second phase.
  space.writeBack();
  store(area, 1);
  expect(seen).toHaveLength(1);
});

test("persist writes back the bytes and no more; of whole pages, the page", () => {
  const { file, space, map } = faulting(8);
  const area = map();
  for (const page of [1, 2, 3]) store(area, page);
  space.persist(PAGE + 64, 2 * PAGE);
  expect(file.fake.flushed).toEqual([
    [64, PAGE - 64],
    [PAGE, PAGE],
    [2 * PAGE, 64],
  ]);
  expect(space.dirty).toBe(2);
});

test("blocks that move are looked for anew; dirty pages of them are written back before", () => {
  const { file, space, map } = faulting(8);
  const area = map();
  for (const page of [1, 2, 3]) store(area, page, page);
  runToEnd(changingLayout(space, file, range(2, 1), "fail", () => file.punch(2)));
  expect([space.entries.find(2), space.dirty, file.fake.flushed]).toEqual([
    undefined,
    2,
    [[PAGE, PAGE]],
  ]);
  expect([1, 2, 3].map((page) => byteAt(area, page * PAGE))).toEqual([1, 0, 3]);
});

test("a change by another way is met: all pages are mapped anew, dirty ones stay dirty", () => {
  const { file, space, map } = faulting(8);
  const area = map();
  store(area, 1, 5);
  expect(byteAt(area, 4 * PAGE)).toBe(0);
  file.allocate(4);
  file.fake.bytes[PAGE] = 9;
  expect([byteAt(area, 4 * PAGE), byteAt(area, PAGE), space.dirty]).toEqual([9, 5, 1]);
});

function pinned() {
  const all = faulting(8);
  const pin = all.space.pins.pin({ first: 2, pages: 1, name: "direct I/O" });
  const change = (whenBusy: Parameters<typeof changingLayout>[3], done = () => {}) =>
    runToEnd(changingLayout(all.space, all.file, range(0, 8), whenBusy, done));
  return { ...all, pin, change };
}

function never(): never {
  throw new Error("changed");
}

describe("somebody in the way of a layout change", () => {
  test("EBUSY with nothing changed; revoke cannot help against pins", () => {
    const { change } = pinned();
    expect(codeOf(() => change("fail", never))).toBe("EBUSY");
    expect(codeOf(() => change("revoke", never))).toBe("EBUSY");
    expect(codeOf(() => change(() => false, never))).toBe("EBUSY");
  });

  test("who waits is asked for each try, and goes on when the pin has gone", () => {
    const { pin, change } = pinned();
    const tries: [string, number][] = [];
    let changed = 0;
    const wait = (holder: string, attempt: number): boolean => {
      tries.push([holder, attempt]);
      if (attempt === 3) pin.release();
      return true;
    };
    change(wait, () => void changed++);
    expect(tries.map(([, attempt]) => attempt)).toEqual([1, 2, 3]);
    expect(tries[0]?.[0]).toMatch(/pages 2\+1 are pinned \(direct I\/O\)/);
    expect(changed).toBe(1);
  });

  test("revoke ends the mappings that hold bytes of the range", () => {
    const { space, file, map } = faulting(8);
    const ended: string[] = [];
    let holds = true;
    map(
      { length: 4 * PAGE },
      {
        pinsBlocks: () => holds,
        detach: (reason) => {
          holds = false;
          ended.push(reason);
        },
      },
    );
    runToEnd(changingLayout(space, file, range(6, 1), "revoke", () => {}));
    expect(ended).toEqual([]);
    runToEnd(changingLayout(space, file, range(3, 3), "revoke", () => {}));
    expect(ended).toEqual(["blocks of the file were taken away"]);
  });
});

test("trace events have Linux's names; nobody listens unless asked", () => {
  const { space, map } = faulting(8, new FaultingFile(8, fakeDax(64)));
  const events: DaxTraceEvent[] = [];
  const stop = traceDaxTo((event) => void events.push(event));
  const area = map();
  byteAt(area, PAGE);
  store(area, 1);
  space.writeBack();
  stop();
  store(area, 1);
  expect(daxTrace.sink).toBe(undefined);
  expect(events.map(({ point }) => point)).toEqual([
    "dax_pte_fault",
    "dax_load_hole",
    "dax_pte_fault_done",
    "dax_pte_fault",
    "dax_insert_mapping",
    "dax_pte_fault_done",
    "dax_writeback_range",
    "dax_writeback_one",
    "dax_writeback_range_done",
  ]);
  expect(events[7]?.fields).toEqual({ dev: "fake0", ino: 12, pgoff: 1, pglen: 1 });
});
