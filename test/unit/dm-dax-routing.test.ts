/** Each dax operation, through each target that has dax: it reaches every leg that it touches. */
import { describe, expect, test } from "vitest";
import type { DaxDevice } from "../../src/dax/dax-device.ts";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { type DaxHolder, PAGE_SIZE } from "../../src/dax/operations.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { claimRange } from "../../src/platform/claim.ts";
import { ResourceTree } from "../../src/platform/resources.ts";
import { Prng } from "../../src/lib/prng.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { type FakeDax, fakeDax } from "../support/dax-fakes.ts";
import { mapperOver } from "../support/mapped.ts";

/** Pages of each leg. */
const PAGES = 32;
/** Pages of each device that is made of them. */
const WHOLE = 16;

const TABLES: Readonly<Record<string, readonly string[]>> = {
  linear: ["0 64 linear p 64\n64 64 linear q 8"],
  striped: ["0 128 striped 2 8 q 16 p 0"],
  "log-writes": ["0 128 striped 2 16 p 0 q 0", "0 128 log-writes /dev/mapper/l0 log"],
  "three levels": [
    "0 64 linear q 0\n64 64 striped 2 16 p 0 q 128",
    "0 128 linear /dev/mapper/l0 0",
    "0 64 linear /dev/mapper/l1 64\n64 64 linear /dev/mapper/l1 0",
  ],
};

interface Stack {
  readonly top: DaxDevice;
  readonly legs: readonly FakeDax[];
  /** The leg and the page of it that a page of the device is. */
  readonly place: (page: number) => readonly [leg: number, page: number];
}

function stackOf(tables: readonly string[]): Stack {
  const legs = [0, 1].map((seed) => fakeDax(PAGES, { short: new Prng(seed + 1) }));
  const [p, q] = legs.map(({ device }) => new DaxDisk(device));
  const log = new RamDisk({ name: "log", bytes: new Uint8Array(4 << 20) });
  const { mapper } = mapperOver({ p: p!, q: q!, log });
  for (const [level, table] of tables.entries()) mapper.create(`l${level}`, table);
  const top = mapper.get(`l${tables.length - 1}`).dax!.device;
  const place = (page: number): readonly [number, number] => {
    const { memory, pfn } = top.directAccess(page, 1);
    const leg = legs.findIndex(({ bytes }) => bytes.buffer === (memory as DataView).buffer);
    return [leg, (pfn ?? Number.NaN) - 0x100];
  };
  return { top, legs, place };
}

/** Bytes of pages of the device, as they lie on the legs. */
function below({ legs, place }: Stack, first: number, count: number): Uint8Array {
  const seen = new Uint8Array(count * PAGE_SIZE);
  for (let i = 0; i < count; i++) {
    const [leg, page] = place(first + i);
    const part = legs[leg]!.bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    seen.set(part, i * PAGE_SIZE);
  }
  return seen;
}

/** Pages of each leg that were flushed, sorted. */
function flushedPages({ legs }: Stack): readonly number[][] {
  return legs.map(({ flushed }) => {
    const pages = flushed.flatMap(([at, length]) => {
      const from = Math.floor(at / PAGE_SIZE);
      return Array.from(
        { length: Math.ceil((at + length) / PAGE_SIZE) - from },
        (_, i) => from + i,
      );
    });
    return [...new Set(pages)].toSorted((a, b) => a - b);
  });
}

function expectedPages({ legs, place }: Stack, first: number, count: number): number[][] {
  const places = Array.from({ length: count }, (_, i) => place(first + i));
  return legs.map((_, leg) => {
    return places.flatMap(([on, page]) => (on === leg ? [page] : [])).toSorted((a, b) => a - b);
  });
}

describe.each(Object.entries(TABLES))("[X7] through %s", (_, tables) => {
  test("[X6] direct_access gives every page once, in pieces of any length", () => {
    const stack = stackOf(tables);
    const places = Array.from({ length: WHOLE }, (__, page) => stack.place(page).join());
    expect(new Set(places).size).toBe(WHOLE);
    for (const leg of stack.legs) leg.bytes.set(noise(7, PAGES * PAGE_SIZE));
    for (let page = 0; page < WHOLE;) {
      const { memory, start, pages } = stack.top.directAccess(page, WHOLE - page);
      const seen = copyOf(memory, start, pages * PAGE_SIZE);
      expect(seen).toEqual(below(stack, page, pages));
      page += pages;
    }
  });

  test("[0.42] [4.1] [4.6] a flush reaches who translated each page, and nobody else", () => {
    const stack = stackOf(tables);
    for (const [first, count] of [
      [0, WHOLE],
      [3, 7],
      [5, 1],
    ] as const) {
      for (const { flushed } of stack.legs) flushed.length = 0;
      stack.top.flush(first, 0, count * PAGE_SIZE);
      expect(flushedPages(stack)).toEqual(expectedPages(stack, first, count));
    }
  });

  test("[0.41] copy_from_iter is split where legs are", () => {
    const stack = stackOf(tables);
    const data = noise(3, 11 * PAGE_SIZE + 100);
    const parts = [data.subarray(0, 5000), data.subarray(5000, 5000), data.subarray(5000)];
    expect(stack.top.copyFromIter(2, 50, parts)).toBe(data.length);
    expect(below(stack, 2, 12).subarray(50, 50 + data.length)).toEqual(data);
    // What was copied is flushed: the fakes have no copy of their own.
    expect(flushedPages(stack)).toEqual(expectedPages(stack, 2, 12));
  });

  test("zero_page_range zeroes pages of all legs, and no others", () => {
    const stack = stackOf(tables);
    for (const { bytes } of stack.legs) bytes.fill(1);
    stack.top.zeroPageRange(1, 13);
    expect(below(stack, 1, 13).every((byte) => byte === 0)).toBe(true);
    const zeros = stack.legs.reduce(
      (sum, { bytes }) => sum + bytes.filter((byte) => byte === 0).length,
      0,
    );
    expect(zeros).toBe(13 * PAGE_SIZE);
  });

  test("recovery_write heals poison on every leg", () => {
    const stack = stackOf(tables);
    const poisoned = [1, 6, 9, 14];
    const places = poisoned.map((page) => stack.place(page));
    for (const [leg, page] of places) stack.legs[leg]!.poison.add(page);
    expect(new Set(places.map(([leg]) => leg)).size).toBe(2);
    const data = noise(4, WHOLE * PAGE_SIZE);
    expect(stack.top.recoveryWrite(0, 0, data)).toBe(data.length);
    expect(below(stack, 0, WHOLE)).toEqual(data);
    expect(stack.legs.map(({ poison }) => poison.size)).toEqual([0, 0]);
  });

  test("a failure of a page of a leg is told at its page above, and at no other", () => {
    const stack = stackOf(tables);
    const told: number[] = [];
    const note: DaxHolder["notifyFailure"] = (at, length, _reason, ranges): void => {
      expect(ranges).toBe(undefined);
      for (let page = at / PAGE_SIZE; page < (at + length) / PAGE_SIZE; page++) told.push(page);
    };
    stack.top.claim({ name: "fs", notifyFailure: note });
    for (let page = 0; page < WHOLE; page++) {
      const [leg, on] = stack.place(page);
      stack.legs[leg]!.device.notifyFailure(on * PAGE_SIZE, PAGE_SIZE);
    }
    expect(told).toEqual(Array.from({ length: WHOLE }, (__, page) => page));
    const used = new Set(Array.from({ length: WHOLE }, (__, page) => stack.place(page).join()));
    told.length = 0;
    for (let leg = 0; leg < 2; leg++) {
      for (let page = 0; page < PAGES; page++) {
        if (used.has(`${leg},${page}`)) continue;
        stack.legs[leg]!.device.notifyFailure(page * PAGE_SIZE, PAGE_SIZE);
      }
    }
    expect(told).toEqual([]);
  });
});

describe("claimed memory", () => {
  const tree = new ResourceTree();
  tree.insert(
    { start: 0x10_0000n, length: BigInt(PAGES * PAGE_SIZE) },
    { name: "Persistent Memory", descriptor: "persistent-memory" },
  );
  const holder = { name: "cache", notifyFailure: () => {} };

  test("[4.3] [4.12] is flushed by address, line by line, below two levels", () => {
    const stack = stackOf(["0 200 linear q 16", "0 128 linear /dev/mapper/l0 64"]);
    const claim = claimRange(stack.top, tree, holder);
    expect([claim.start, claim.length]).toEqual([0x10_0000 + 10 * PAGE_SIZE, WHOLE * PAGE_SIZE]);
    claim.flush(7 * PAGE_SIZE + 128, 64);
    expect(stack.legs.map(({ flushed }) => flushed)).toEqual([[], [[17 * PAGE_SIZE + 128, 64]]]);
    claim.release();
  });

  test.each(["linear", "striped", "three levels"])("[4.15] is one run: not %s", (name) => {
    const { top } = stackOf(TABLES[name]!);
    expect(codeOf(() => claimRange(top, tree, holder))).toBe("EOPNOTSUPP");
    expect(top.holder).toBe(undefined);
  });
});

test("[X7] who wants to know of stores is not passed by, above stripes or below others", () => {
  const [p, q] = [pmemOf(1 << 18, { name: "p" }).pmem, pmemOf(1 << 18, { name: "q" }).pmem];
  const log = new RamDisk({ name: "log", bytes: new Uint8Array(1 << 20) });
  const { mapper } = mapperOver({ p: p.disk, q: q.disk, log });
  mapper.create("stripes", "0 512 striped 2 8 p 0 q 0");
  const logged = mapper.create("logged", "0 512 log-writes /dev/mapper/stripes log");
  mapper.create("over", "0 256 linear /dev/mapper/logged 256\n256 256 linear /dev/mapper/logged 0");
  const top = mapper.create("top", "0 512 linear /dev/mapper/over 0").dax?.device;
  if (top === undefined) throw new Error("no dax");
  // Pages of both halves in turn, so that no run is met twice in a row.
  for (let i = 0; i < 64; i++) {
    top.copyFromIter((i * 37) % 64, 0, [new Uint8Array(4096).fill(i + 1)]);
  }
  top.fence();
  expect(logged.active?.placed[0]?.target.status()).toMatch(/^65 /u);
  const page = new Uint8Array(4096);
  for (let i = 0; i < 64; i++) {
    const at = (i * 37) % 64;
    const under = (at + 32) % 64;
    const on = under % 2 === 0 ? p.disk : q.disk;
    on.read((under >> 1) * 8, page);
    expect([at, page[0], page[4095]]).toEqual([at, i + 1, i + 1]);
  }
});
