/**
 * What the package promises from its entry points: a library user reaches every floor without a
 * path into `dist`.
 */
import { expect, test } from "vitest";
import * as daxkit from "../../src/index.ts";

test.each([
  ["lib", ["DaxError", "assert", "struct", "crc32c", "Bitmap", "RadixTree", "RangeSet", "Prng"]],
  ["media", ["RamMedia", "PoisonMedia", "ModelledMedia"]],
  ["dax", ["DaxDevice", "DaxHosts", "daxRead", "daxWrite", "daxZero"]],
  ["platform", ["parseMemmap", "sanitise", "ResourceTree", "iomemText"]],
  ["block", ["RamDisk", "DaxDisk", "FaultyDevice", "readPartitionTable", "Partition"]],
  ["drivers", ["createPmem", "createBrd", "DaxRegion", "fsDaxGet"]],
  ["machine", ["bootMachine", "describeMachine", "machineFromFlags", "ndctlList"]],
])("the entry point offers the floor %s", (_, names) => {
  expect(Object.keys(daxkit)).toEqual(expect.arrayContaining(names));
});

test("a structure of one's own is read from memory through public names alone", () => {
  const header = daxkit.struct("header", 6, (at) => ({ magic: at.le32(), count: at.le16() }));
  const memory = new DataView(new ArrayBuffer(8));
  header.magic.set(memory, 0, 0x6461_786b);
  header.count.set(memory, 0, 3);
  expect(daxkit.decode(header, memory)).toEqual({ magic: 0x6461_786b, count: 3 });
  expect(daxkit.crc32c(0, new Uint8Array(4))).toBe(0);
});

test("modelled memory with three domains backs a pmem device through public names alone", () => {
  const media = new daxkit.ModelledMedia(3 * 4096, {
    domains: [
      { start: 0, length: 4096, domain: "adr" },
      { start: 4096, length: 4096, domain: "eadr" },
      { start: 8192, length: 4096, domain: "volatile" },
    ],
  });
  const { dax } = daxkit.createPmem({
    name: "pmem0",
    media,
    start: 0,
    length: media.size,
    physicalStart: 0,
  });
  const before = media.trace.count;
  dax.flush(1, 0, 8192);
  expect(media.trace.count).toBe(before);
  dax.flush(0, 0, 64);
  expect(media.trace.count).toBe(before + 1);
});
