/**
 * Faults, write-backs and layout changes side by side, in every order in which their steps can
 * come: nobody waits for ever, nothing that was stored is forgotten, and no page leads to a block
 * that is the file's no more.
 */
import { expect, test } from "vitest";
import { handleFault } from "../../src/dax/fault.ts";
import { changingLayout } from "../../src/dax/layout-change.ts";
import { MappingEntries } from "../../src/dax/mapping-entries.ts";
import type { MappedArea } from "../../src/dax/mapped-area.ts";
import type { Translation } from "../../src/dax/page-table.ts";
import { populating } from "../../src/dax/populate.ts";
import { type Steps, runToEnd } from "../../src/dax/steps.ts";
import { fakeDax } from "../support/dax-fakes.ts";
import { type Faulting, FaultingFile, faulting } from "../support/faulting-file.ts";
import { everyOrder } from "../support/interleavings.ts";

const PAGE = 4096;
const PMD = 512;

function where(area: MappedArea, index: number): Translation | undefined {
  const into: Translation = { index: -1, frame: undefined, start: 0, writable: false };
  return area.table.resolve(index, into) ? into : undefined;
}

/** What is wrong though nobody is busy. */
function wrong({ space, file }: Faulting, areas: readonly MappedArea[], pages: number): string[] {
  const said: string[] = [];
  for (let page = 0; page < pages; page++) {
    const entry = space.entries.find(page);
    if (entry?.locked === true) said.push(`page ${page} stayed locked`);
    const dirty = entry !== undefined && space.entries.isDirty(entry);
    for (const area of areas) {
      const found = where(area, page);
      if (found === undefined) continue;
      const block = file.pages.get(page);
      const own = found.frame?.device === undefined ? undefined : found.start / PAGE;
      if (own !== block) said.push(`page ${page} leads to ${own}, and is ${block}`);
      if (found.writable && !dirty) said.push(`page ${page} may be stored to, and is clean`);
    }
  }
  return said;
}

function sound(all: Faulting, areas: readonly MappedArea[], pages: number): void {
  expect(wrong(all, areas, pages)).toEqual([]);
}

const fresh = (pages = 2): Faulting => faulting(pages, new FaultingFile(pages, fakeDax(8)));

/** As an access: faults until the page is there. */
function* touch(area: MappedArea, index: number, write: boolean): Steps<void> {
  yield* handleFault(area, index, write);
}

function* punch({ space, file }: Faulting, page: number, pages = 1): Steps<void> {
  const range = { offset: page * PAGE, length: pages * PAGE, cuts: false };
  yield* changingLayout(space, file, range, "fail", () => file.punch(page, pages));
}

test("[0.27] two stores to one hole: one page, which both may store to", () => {
  const orders = everyOrder(() => {
    const all = fresh();
    const areas = [all.map(), all.map()] as const;
    return {
      tasks: areas.map((area) => touch(area, 0, true)),
      check: () => {
        sound(all, areas, 2);
        expect(all.file.pages.size).toBe(1);
        expect(areas.map((area) => where(area, 0)?.writable)).toEqual([true, true]);
      },
    };
  });
  expect(orders).toBeGreaterThan(5);
});

test("a load and a store of one hole: nobody is left with zeros", () => {
  everyOrder(() => {
    const all = fresh();
    const areas = [all.map(), all.map()] as const;
    return {
      tasks: [touch(areas[0], 0, false), touch(areas[1], 0, true)],
      check: () => {
        sound(all, areas, 2);
        expect(where(areas[1], 0)?.writable).toBe(true);
      },
    };
  });
});

test("[0.27] fsync against a store: what it has not written back is dirty", () => {
  everyOrder(() => {
    const all = fresh();
    const area = all.map();
    area.store(0, Uint8Array.of(1));
    return {
      tasks: [all.space.writingBack(), touch(area, 0, true)],
      check: () => {
        sound(all, [area], 2);
        expect(all.file.fake.flushed.length).toBeGreaterThan(0);
      },
    };
  });
});

test("two fsyncs: the second waits, and writes again at most what was on its way", () => {
  const flushes = new Set<number>();
  everyOrder(() => {
    const all = fresh(3);
    const area = all.map();
    area.store(0, Uint8Array.of(1));
    area.store(2 * PAGE, Uint8Array.of(1));
    return {
      tasks: [all.space.writingBack(), all.space.writingBack()],
      check: () => {
        sound(all, [area], 3);
        expect(all.space.dirty).toBe(0);
        flushes.add(all.file.fake.flushed.length);
      },
    };
  });
  expect(flushes).toEqual(new Set([2, 3]));
});

test("a fault against a punch: no page leads to a block that is gone", () => {
  const orders = [false, true].map((write) =>
    everyOrder(() => {
      const all = fresh();
      const area = all.map();
      all.file.allocate(0, 2);
      return {
        tasks: [touch(area, 0, write), punch(all, 0)],
        check: () => sound(all, [area], 2),
      };
    }),
  );
  expect(Math.min(...orders)).toBeGreaterThan(5);
});

test("MAP_SYNC against a punch, a store and a commit: durable before it may be stored to", () => {
  const again = new Set<boolean>();
  everyOrder(() => {
    const all = fresh();
    const promised: boolean[] = [];
    const syncData = (): void => {
      all.file.durable = true;
      promised.push(all.space.dirty === 0);
    };
    const areas = [all.map({ isSync: true }, { syncData }), all.map()] as const;
    return {
      tasks: [touch(areas[0], 0, true), punch(all, 0), touch(areas[1], 1, false)],
      check: () => {
        sound(all, areas, 2);
        expect(where(areas[0], 0) === undefined || all.file.durable).toBe(true);
        again.add(where(areas[0], 0) === undefined);
      },
    };
  });
  expect(again).toEqual(new Set([true, false]));
});

test("MAP_SYNC whose page is unmapped and taken apart between its phases begins anew", () => {
  const retries = new Set<number>();
  everyOrder(() => {
    const all = fresh();
    const area = all.map({ isSync: true }, { syncData: () => void (all.file.durable = true) });
    // Without the lock that layout changes take: what only the second phase's look can notice.
    function* vanish(): Steps<void> {
      yield;
      yield* all.space.removing(0, 1);
    }
    return {
      tasks: [touch(area, 0, true), vanish()],
      check: () => {
        sound(all, [area], 2);
        retries.add(all.space.counters.retries);
      },
    };
  });
  expect(retries).toEqual(new Set([0, 1]));
});

test("a layout change waits for faults and write-backs, and they for it", () => {
  everyOrder(() => {
    const all = fresh();
    const area = all.map();
    area.store(0, Uint8Array.of(1));
    return {
      tasks: [all.space.writingBack(), punch(all, 0, 2)],
      check: () => {
        sound(all, [area], 2);
        expect([all.space.dirty, all.space.entries.pages]).toEqual([0, 0]);
      },
    };
  });
});

test("taking a huge page of zeros apart wakes everybody who waits for it", () => {
  const unmaps = new Set<number>();
  everyOrder(() => {
    const entries = new MappingEntries();
    const huge = runToEnd(entries.grab(0, 9, () => {}));
    if (huge === "fallback") throw new Error("no huge page");
    entries.put(huge, undefined);
    entries.unlock(huge);
    let unmapped = 0;
    function* single(index: number): Steps<void> {
      const entry = yield* entries.grab(index, 0, () => void unmapped++);
      if (entry === "fallback") throw new Error("a single page falls back");
      yield;
      entries.put(entry, undefined);
      entries.unlock(entry);
    }
    return {
      tasks: [single(1), single(2), single(3)],
      check: () => {
        expect([1, 2, 3].map((index) => entries.find(index)?.kind)).toEqual(Array(3).fill("zero"));
        unmaps.add(unmapped);
      },
    };
  });
  expect(unmaps).toEqual(new Set([1]));
});

test("huge and single faults of one range meet: one of them gives way", () => {
  everyOrder(() => {
    const all = faulting(PMD, new FaultingFile(PMD, fakeDax(1024)));
    all.file.free = 256;
    const areas = [all.map({ huge: true }), all.map()] as const;
    return {
      tasks: [touch(areas[0], 3, true), touch(areas[1], 5, true)],
      check: () => {
        sound(all, areas, 8);
        expect(where(areas[0], 3)?.writable).toBe(true);
        expect(where(areas[1], 5)?.writable).toBe(true);
      },
    };
  });
});

/** Steps at which nobody may come between, but where they sleep: populate has a thousand. */
function* inOneGo(steps: Steps<void>): Steps<void> {
  yield;
  for (let step = steps.next(); step.done !== true; step = steps.next()) {
    if (step.value?.woken === false) yield step.value;
  }
}

test("populate against a store and a punch: zeros are where a hole is, and only there", () => {
  const huge = new Set<number>();
  const orders = everyOrder(() => {
    const all = faulting(PMD, new FaultingFile(PMD, fakeDax(8)));
    const areas = [all.map(), all.map()] as const;
    return {
      tasks: [
        inOneGo(populating(areas[0], 0, PMD, false)),
        touch(areas[1], 2, true),
        punch(all, 2),
      ],
      check: () => {
        sound(all, areas, 8);
        huge.add(all.space.counters.pmdFaults);
      },
    };
  });
  expect(orders).toBeGreaterThan(20);
  expect(huge).toEqual(new Set([0, 1]));
});
