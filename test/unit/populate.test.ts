/** Faults that are taken ahead, of ranges that the file has nothing for: huge pages of zeros. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { changingLayout } from "../../src/dax/layout-change.ts";
import type { MappedArea } from "../../src/dax/mapped-area.ts";
import { runToEnd } from "../../src/dax/steps.ts";
import { type DaxTraceEvent, traceDaxTo } from "../../src/dax/trace-events.ts";
import { codeOf } from "../support/bytes.ts";
import { fakeDax } from "../support/dax-fakes.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { type Faulting, FaultingFile, byteAt, faulting } from "../support/faulting-file.ts";

const PAGE = 4096;
const PMD = 512;
const HUGE = PMD * PAGE;
const TIB = 2 ** 40;

function sparse(type: "ext2" | "ext4", size: number) {
  const all = daxTree(emptyImage({ type, blockSize: 4096 }));
  const file = all.tree.open("/f", { create: true, access: "readwrite" });
  file.truncate(size);
  return { ...all, file };
}

test.each(["ext2", "ext4"] as const)("[2.34] mlock of 1 TiB without blocks, on %s", (type) => {
  const { file, tree } = sparse(type, TIB);
  const { inode } = file;
  let asked = 0;
  const begin = inode.iomapBegin.bind(inode);
  inode.iomapBegin = (...words) => {
    asked++;
    return begin(...words);
  };
  const mapping = file.map({ access: "write", lazy: true });
  mapping.mlock();
  // ext2 tells of a hole by what one block of pointers would hold.
  expect(asked).toBeLessThan(1100);
  expect(mapping.counters).toMatchObject({ pmdFaults: TIB / HUGE, pteFaults: 0 });
  const loads = [0, TIB / 2 + 5, TIB - 1].map((at) => mapping.getUint8(at));
  expect([...loads, mapping.counters.pteFaults]).toEqual([0, 0, 0, 0]);
  // A store takes 2 MiB apart, and no more.
  mapping.setUint8(TIB / 2 + 5, 7);
  expect(mapping.counters).toMatchObject({ pteFaults: 1, unmapped: 1, majorFaults: 1 });
  expect([mapping.getUint8(TIB / 2 + HUGE), mapping.getUint8(TIB / 2 - 1)]).toEqual([0, 0]);
  expect(mapping.counters.pteFaults).toBe(1);
  mapping.getUint8(TIB / 2 + PAGE);
  expect(mapping.counters.pteFaults).toBe(2);
  tree.sync();
  expect(mapping.counters.flushedBytes).toBe(PAGE);
  mapping.mlock();
  expect(mapping.counters).toMatchObject({ pteFaults: PMD, pmdFaults: TIB / HUGE });
  file.truncate(TIB / 4);
  expect(codeOf(() => mapping.getUint8(TIB / 4))).toBe("EFAULT");
  expect(mapping.getUint8(TIB / 4 - 1)).toBe(0);
  expect(mapping.counters.pteFaults).toBe(PMD);
  mapping.unmap();
});

test("populate for stores of more than there is room for is ENOSPC, and soon", () => {
  const { file } = sparse("ext4", TIB);
  const { inode } = file;
  let asked = 0;
  const begin = inode.iomapBegin.bind(inode);
  inode.iomapBegin = (...words) => {
    asked++;
    return begin(...words);
  };
  const map = (): unknown => file.map({ access: "write", lazy: true, populate: "write" });
  expect(codeOf(map)).toBe("ENOSPC");
  const mapping = file.map({ access: "write", lazy: true });
  expect(codeOf(() => mapping.mlock({ write: true }))).toBe("ENOSPC");
  expect(asked).toBeLessThan(200);
  mapping.unmap();
});

test("only whole 2 MiB of the file and of the mapping are huge pages of zeros", () => {
  const { file, space, map } = faulting(4 * PMD);
  file.size = 4 * HUGE - 3 * PAGE;
  file.allocate(2 * PMD + 7);
  const area = map({ offset: 5 * PAGE, length: 4 * HUGE - 8 * PAGE });
  area.populate(5 * PAGE, 4 * HUGE - 8 * PAGE, false);
  // Single pages: before the first border, around the page that is there, and up to the end.
  expect(space.counters).toMatchObject({ pmdFaults: 1, pteFaults: PMD - 5 + PMD + PMD - 3 });
  expect(space.entries.pages).toBe(4 * PMD - 5 - 3);
  const odd = map({ address: 7 });
  odd.populate(PMD * PAGE, HUGE, false);
  expect(space.counters.pteFaults).toBe(4 * PMD - 8 - PMD + PMD);
});

test("two mappings share the zeros; each has them by its own fault, and loses them alone", () => {
  const { space, map } = faulting(3 * PMD);
  const [one, other] = [map(), map()];
  one.populate(0, 3 * HUGE, false);
  // A load of one that did not populate takes a huge page too, and leaves the others theirs.
  expect([byteAt(other, PAGE), byteAt(other, HUGE - 1)]).toEqual([0, 0]);
  expect(space.counters).toMatchObject({ pmdFaults: 4, pteFaults: 0, unmapped: 0 });
  other.store(2 * HUGE, Uint8Array.of(9));
  expect([byteAt(one, 2 * HUGE), byteAt(one, 2 * HUGE + PAGE), byteAt(one, 0)]).toEqual([9, 0, 0]);
  expect(space.counters).toMatchObject({ unmapped: 1, pteFaults: 3 });
  expect(one.unmap(0, 3 * PMD, true)).toBe(4);
  expect(byteAt(other, PAGE)).toBe(0);
  expect(space.counters).toMatchObject({ pmdFaults: 4, pteFaults: 3 });
});

test("loads of a hole take 2 MiB at once, asked for or not; stores take single pages", () => {
  const { file, space, map } = faulting(5 * PMD);
  file.size = 5 * HUGE - 9 * PAGE;
  file.allocate(2 * PMD + 3);
  const area = map();
  for (let at = 0; at < file.size; at += HUGE / 4) byteAt(area, at);
  // Three are holes; of the others one has a page, and one lies behind the end in part.
  expect(space.counters).toMatchObject({ pmdFaults: 3, pteFaults: 8 });
  expect(Object.values(space.counters.fallbacks).every((count) => count === 0)).toBe(true);
  expect(space.entries.pages).toBe(3 * PMD + 8);
  area.store(PAGE, Uint8Array.of(4));
  expect([byteAt(area, PAGE), byteAt(area, 0), byteAt(area, HUGE)]).toEqual([4, 0, 0]);
  expect(space.counters).toMatchObject({ pmdFaults: 3, pteFaults: 10, unmapped: 1 });
  expect([space.dirty, space.entries.pages]).toEqual([1, 2 * PMD + 10]);
});

test("each huge page of zeros is told of by Linux's names", () => {
  const { map } = faulting(2 * PMD);
  const events: DaxTraceEvent[] = [];
  const stop = traceDaxTo((event) => void events.push(event));
  map().populate(0, 2 * HUGE, false);
  stop();
  const points = ["dax_pmd_fault", "dax_pmd_load_hole", "dax_pmd_fault_done"];
  expect(events.map(({ point }) => point)).toEqual([...points, ...points]);
  expect(events[3]?.fields).toMatchObject({ ino: 12, pgoff: PMD, order: 9, write: 0 });
});

test("a filesystem whose answers do not go on is refused, and not asked for ever", () => {
  const { file, map } = faulting(2 * PMD);
  const begin = file.iomapBegin.bind(file);
  file.iomapBegin = (at, length, intent) => ({
    ...begin(at, length, intent),
    offset: 0,
    length: 0,
  });
  expect(codeOf(() => map().populate(0, 2 * HUGE, false))).toBe("EUCLEAN");
});

/** Four times 2 MiB; pages at borders and inside. */
const WINDOWS = 4;
const page = fc
  .tuple(fc.nat({ max: WINDOWS - 1 }), fc.constantFrom(0, 1, 200, 511))
  .map(([window, within]) => window * PMD + within);
const step = fc.record({
  what: fc.constantFrom("populate", "load", "store", "punch", "cut", "grow", "sync", "write"),
  who: fc.nat({ max: 1 }),
  page,
  pages: fc.constantFrom(1, 2, PMD, 2 * PMD, 4 * PMD),
});
type Step = (typeof step extends fc.Arbitrary<infer T> ? T : never) & object;

function apply(
  all: Faulting,
  areas: readonly MappedArea[],
  stored: Map<number, number>,
  one: Step,
) {
  const { file, space } = all;
  const area = areas[one.who] as MappedArea;
  const last = file.size / PAGE;
  const pages = Math.min(one.pages, last - one.page);
  const change = (from: number, count: number, cuts: boolean, body: () => void): void => {
    const range = { offset: from * PAGE, length: cuts ? Number.POSITIVE_INFINITY : count * PAGE };
    runToEnd(changingLayout(space, file, { ...range, cuts }, "fail", body));
    for (const at of stored.keys())
      if (at >= from && (cuts || at < from + count)) stored.delete(at);
  };
  if (one.what === "grow") file.size = WINDOWS * HUGE;
  else if (pages <= 0) return;
  else if (one.what === "populate") area.populate(one.page * PAGE, pages * PAGE, false);
  else if (one.what === "load") byteAt(area, one.page * PAGE);
  else if (one.what === "store") {
    area.store(one.page * PAGE, Uint8Array.of(stored.size + 1));
    stored.set(one.page, stored.size + 1);
  } else if (one.what === "punch")
    change(one.page, pages, false, () => file.punch(one.page, pages));
  else if (one.what === "cut") {
    change(one.page, 0, true, () => {
      file.size = one.page * PAGE;
      file.punch(one.page, WINDOWS * PMD - one.page);
    });
  } else if (one.what === "sync") space.writeBack();
  else if (!file.pages.has(one.page)) {
    // By a call, past the mappings: they find out by the generation.
    file.allocate(one.page);
    file.fake.bytes[(file.pages.get(one.page) as number) * PAGE] = 77;
    stored.set(one.page, 77);
  }
}

test("[X2] populated or not, loads meet what was stored; entries and tables stay in step", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, huge) => {
      const all = faulting(WINDOWS * PMD, new FaultingFile(WINDOWS * PMD, fakeDax(16 * 1024)));
      const areas = [all.map({ huge }), all.map()];
      const stored = new Map<number, number>();
      for (const one of steps) apply(all, areas, stored, one);
      const last = all.file.size / PAGE;
      const ends = [0, 1, 200, 511].flatMap((at) => [0, 1, 2, 3].map((w) => w * PMD + at));
      for (const at of ends.filter((index) => index < last)) {
        for (const area of areas) expect(byteAt(area, at * PAGE)).toBe(stored.get(at) ?? 0);
      }
      const { entries } = all.space;
      let pages = 0;
      for (let entry = entries.next(0); entry !== undefined;) {
        const count = entry.order === 0 ? 1 : PMD;
        pages += count;
        entry = entries.next(entry.index + count);
      }
      expect(entries.pages).toBe(pages);
      all.space.remove();
      expect([entries.pages, entries.next(0), all.space.dirty]).toEqual([0, undefined, 0]);
    }),
    { numRuns: 60 },
  );
});
