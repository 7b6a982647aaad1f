/** Mapping entries against a naive model: an object for each page, looked through one by one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { PMD_ORDER, PMD_PAGES, type PageOrder, alignedTo, pagesOf } from "../../src/dax/frames.ts";
import { type MappingEntry, MappingEntries } from "../../src/dax/mapping-entries.ts";
import { runToEnd } from "../../src/dax/steps.ts";
import { fakeDax } from "../support/dax-fakes.ts";

interface Known {
  readonly index: number;
  readonly order: PageOrder;
  kind: "mapped" | "zero";
  dirty: boolean;
}

/** A list of entries, without any order. */
class NaiveEntries {
  known: Known[] = [];

  find(index: number): Known | undefined {
    return this.known.find((one) => index >= one.index && index < one.index + pagesOf(one.order));
  }

  /** What a fault gets; `undefined` when it has to fall back. */
  fault(page: number, order: PageOrder, kind: Known["kind"]): Known | undefined {
    const index = alignedTo(order, page);
    const within = this.known.filter(
      (one) => one.index >= index && one.index < index + pagesOf(order),
    );
    const found = this.find(index);
    if (order > 0 && within.some((one) => one.order === 0)) return undefined;
    if (found !== undefined && found.order > order && found.kind === "zero") this.drop(found);
    else if (found !== undefined) {
      found.kind = kind;
      if (kind === "zero") found.dirty = false;
      return found;
    }
    const made: Known = { index, order, kind, dirty: false };
    this.known.push(made);
    return made;
  }

  /** Huge pages of zeros, from the 2 MiB of a page on, where nothing is. */
  zeros(at: number, windows: number): void {
    for (let i = 0; i < windows; i++) {
      const index = alignedTo(PMD_ORDER, at) + i * PMD_PAGES;
      const next = this.known.some((one) => one.index >= index && one.index < index + PMD_PAGES);
      if (!next) this.known.push({ index, order: PMD_ORDER, kind: "zero", dirty: false });
    }
  }

  drop(one: Known): void {
    this.known = this.known.filter((other) => other !== one);
  }
}

const { device } = fakeDax(1);
const frame = { device, start: 0, copy: undefined };
/** Few 2 MiB, far apart, and pages at their borders. */
const page = fc
  .tuple(fc.constantFrom(0, 1, 5000), fc.constantFrom(0, 1, 255, 511))
  .map(([window, within]) => window * PMD_PAGES + within);
const order = fc.constantFrom<PageOrder>(0, 9);
const step = fc.record({
  page,
  order,
  what: fc.constantFrom("load", "store", "hole", "delete", "write", "zeros", "drop"),
});

function fault(
  entries: MappingEntries,
  at: number,
  size: PageOrder,
  what: string,
): MappingEntry | undefined {
  const entry = runToEnd(entries.grab(at, size, () => {}));
  if (entry === "fallback") return undefined;
  entries.put(entry, what === "hole" ? undefined : frame);
  if (what === "store") entries.markDirty(entry);
  if (what === "hole") entries.markClean(entry);
  entries.unlock(entry);
  return entry;
}

/** Writes back on both; tells which entries differ. */
function writeBack(
  entries: MappingEntries,
  model: NaiveEntries,
  at: number,
  stop: number,
): number[] {
  entries.tagForWriteBack(at, stop);
  const tagged = new Set(
    model.known
      .filter((one) => one.dirty && one.index < stop && one.index + pagesOf(one.order) > at)
      .map(({ index }) => index),
  );
  const other: number[] = [];
  for (let entry = entries.next(0, "towrite"); entry !== undefined;) {
    entries.clearToWrite(entry);
    entries.markClean(entry);
    if (!tagged.delete(entry.index)) other.push(entry.index);
    const known = model.find(entry.index);
    if (known !== undefined) known.dirty = false;
    entry = entries.next(0, "towrite");
  }
  return [...tagged, ...other];
}

/** One step on both; tells what differs. */
function apply(
  entries: MappingEntries,
  model: NaiveEntries,
  { page: at, order: size, what }: { page: number; order: PageOrder; what: string },
): number[] {
  if (what === "write") return writeBack(entries, model, at, at + pagesOf(size));
  if (what === "zeros") {
    const windows = size === 0 ? 1 : 3;
    const first = alignedTo(PMD_ORDER, at);
    // Somebody's entry is in the way of what lies behind it, as a populate meets it.
    const free = entries.freeFrom(first, windows * PMD_PAGES) / PMD_PAGES;
    if (free > 0) entries.addZeros(first, free * PMD_PAGES);
    model.zeros(at, free);
    return entries.isHugeZero(at) ===
      (model.find(at)?.kind === "zero" && model.find(at)?.order === 9)
      ? []
      : [at];
  }
  if (what === "drop") {
    // Entries go one by one; runs that nobody has looked at go together.
    entries.dropZeros(at, pagesOf(size));
    for (let entry = entries.next(at); entry !== undefined && entry.index < at + pagesOf(size);) {
      entries.delete(entry);
      entry = entries.next(at);
    }
    for (let i = at; i < at + pagesOf(size); i++) {
      const known = model.find(i);
      if (known !== undefined) model.drop(known);
    }
    return [];
  }
  if (what === "delete") {
    const entry = entries.find(at);
    const known = model.find(at);
    if (entry !== undefined) entries.delete(entry);
    if (known !== undefined) model.drop(known);
    return entry?.index === known?.index ? [] : [at];
  }
  const known = model.fault(at, size, what === "hole" ? "zero" : "mapped");
  if (known !== undefined && what === "store") known.dirty = true;
  const entry = fault(entries, at, size, what);
  return entry?.index === known?.index && entry?.order === known?.order ? [] : [at];
}

test("[1.21] faults, write-backs and deletions leave what a naive model has", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const entries = new MappingEntries();
      const model = new NaiveEntries();
      for (const one of steps) {
        expect(apply(entries, model, one)).toEqual([]);
        expect(entries.dirty).toBe(model.known.filter(({ dirty }) => dirty).length);
        expect(entries.pages).toBe(model.known.reduce((sum, o) => sum + pagesOf(o.order), 0));
      }
      // Only now, since a look at runs of zeros takes them apart.
      const found: Known[] = [];
      for (let entry = entries.next(0); entry !== undefined;) {
        const { index, order: size, kind } = entry;
        if (kind === "empty") throw new Error("an empty entry stayed");
        found.push({ index, order: size, kind, dirty: entries.isDirty(entry) });
        entry = entries.next(index + pagesOf(size));
      }
      expect(found).toEqual(model.known.toSorted((a, b) => a.index - b.index));
    }),
  );
});
