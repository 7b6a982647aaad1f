/**
 * Dax as kernels of other ages had it, and devices whose drivers lack something.
 */
import { describe, expect, test } from "vitest";
import { DaxDevice } from "../../src/dax/dax-device.ts";
import {
  type DaxProfile,
  daxAsIn,
  directAccessBySector,
  operationsIn,
  withoutOperations,
} from "../../src/dax/profiles.ts";
import type { DaxOperations } from "../../src/dax/operations.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { pmemOf } from "../support/block-devices.ts";
import { noise } from "../support/bytes.ts";
import { scatteredDax } from "../support/dax-fakes.ts";
import { Prng } from "../../src/lib/prng.ts";
import { refusal } from "../support/refusal.ts";

const PAGE = 4096;
const ages: readonly DaxProfile[] = ["v4.13", "v4.14", "modern"];

/** All bytes of a device. */
function bytesOf(device: DaxDevice): Uint8Array {
  const bytes = new Uint8Array(device.pages * PAGE);
  for (let page = 0; page < device.pages; page++) {
    const { memory, start } = device.directAccess(page, 1);
    bytes.set(copyOf(memory, start, PAGE), page * PAGE);
  }
  return bytes;
}

/** Cache lines that a flush over the border of two runs reaches. */
function lines(age: DaxProfile): number {
  const { dax } = pmemOf(8 * PAGE, { segmentBytes: PAGE }).pmem;
  const before = dax.counters.flushedLines;
  daxAsIn(age, dax).flush(1, PAGE - 128, 256);
  return dax.counters.flushedLines - before;
}

describe("[0.2] [0.31] the operations of a kernel", () => {
  test("[0.42] [4.17] flush came with 4.13, and went with 4.14", () => {
    const all = ["v4.1", ...ages] as const;
    expect(all.filter((age) => operationsIn(age).includes("flush"))).toEqual(["v4.13"]);
    expect(operationsIn("modern")).toEqual(["directAccess", "zeroPageRange", "recoveryWrite"]);
  });

  test("[0.39] Linux 4.1 asks disks by sector, and nobody after it does", () => {
    const { dax } = pmemOf(8 * PAGE).pmem;
    const { span, bytes } = directAccessBySector("v4.1", dax, 16);
    expect(bytes).toBe(6 * PAGE);
    expect(span.pfn).toBe(dax.directAccess(2, 1).pfn);
    expect(refusal(() => directAccessBySector("v4.1", dax, 1)).code).toBe("EINVAL");
    expect(refusal(() => directAccessBySector("v4.1", dax, 64)).code).toBe("ERANGE");
    for (const age of ages) {
      expect(refusal(() => directAccessBySector(age, dax, 0)).code).toBe("EOPNOTSUPP");
    }
    expect(refusal(() => daxAsIn("v4.1", dax)).code).toBe("EOPNOTSUPP");
  });

  test.each(ages)("[0.9] %s copies, zeroes and translates the same bytes", (age) => {
    const below = scatteredDax(16, new Prng(3));
    const device = daxAsIn(age, below);
    const want = new Uint8Array(16 * PAGE);
    for (let round = 0; round < 20; round++) {
      const page = (round * 7) % 14;
      device.copyFromIter(page, 100, [noise(round, 5000)]);
      want.set(noise(round, 5000), page * PAGE + 100);
    }
    device.zeroPageRange(3, 4);
    want.fill(0, 3 * PAGE, 7 * PAGE);
    expect(bytesOf(device)).toEqual(want);
    expect(bytesOf(below)).toEqual(want);
  });

  test("[4.1] [0.42] 4.13 flushes what the first run has of a range, others all of it", () => {
    expect(ages.map(lines)).toEqual([2, 4, 4]);
  });

  test("poison is healed by a recovery write where there is one", () => {
    const { pmem, media } = pmemOf(8 * PAGE);
    media.injectPoison(2 * PAGE, 512);
    const source = noise(1, PAGE);
    expect(daxAsIn("v4.14", pmem.dax).recoveryWrite(2, 0, source)).toBe(0);
    expect(daxAsIn("modern", pmem.dax).recoveryWrite(2, 0, source)).toBe(PAGE);
  });
});

describe("[0.4] an operation that is switched off", () => {
  const names = ["copyFromIter", "flush", "recoveryWrite", "stitch", "fence"] as const;

  test.each(names)("%s: the others work as before", (off) => {
    const { dax } = pmemOf(8 * PAGE).pmem;
    const inner: DaxOperations = {
      directAccess: (pgoff, pages, mode) => dax.directAccess(pgoff, pages, mode),
      zeroPageRange: (pgoff, pages) => dax.zeroPageRange(pgoff, pages),
      recoveryWrite: (pgoff, start, source) => dax.recoveryWrite(pgoff, start, source),
      copyFromIter: (pgoff, start, sources) => dax.copyFromIter(pgoff, start, sources),
      flush: (pgoff, start, length) => dax.flush(pgoff, start, length),
      fence: () => dax.fence(),
      stitch: (pieces, writable) => dax.stitch(pieces, writable),
    };
    const operations = withoutOperations(inner, [off]);
    expect(names.filter((name) => operations[name] === undefined)).toEqual([off]);
    const { name, pages } = dax;
    const device = new DaxDevice({ name, pages, operations, writeCache: true, synchronous: true });
    device.copyFromIter(1, 10, [noise(1, 3000)]);
    device.flush(1, 10, 3000);
    device.fence();
    device.zeroPageRange(4, 1);
    const healed = device.recoveryWrite(5, 0, noise(2, PAGE));
    expect(healed).toBe(off === "recoveryWrite" ? 0 : PAGE);
    const { memory, start } = device.directAccess(1, 1);
    expect(copyOf(memory, start + 10, 3000)).toEqual(noise(1, 3000));
    expect(dax.counters.fences).toBe(off === "fence" ? 0 : 1);
    expect(device.counters.flushes > 0).toBe(off !== "flush");
  });
});
