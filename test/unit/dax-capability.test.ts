import { describe, expect, test } from "vitest";
import { daxCapability, daxRangeOf } from "../../src/block/dax-capability.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf } from "../support/bytes.ts";

const SIZE = 256 * 512;

/** The reason, or `capable`. */
function verdict(device: Parameters<typeof daxCapability>[0], blockSize = 4096): string {
  const answer = daxCapability(device, blockSize);
  return answer.capable ? "capable" : answer.reason;
}

describe("[0.33] whether a filesystem can use dax", () => {
  test("a whole disk of whole pages can", () => {
    const { pmem } = pmemOf(SIZE);
    expect(verdict(pmem.disk)).toBe("capable");
    expect(daxCapability(pmem.disk, 4096)).toEqual({ capable: true, range: pmem.disk.dax });
  });

  test.each([512, 1024, 2048, 8192, 65_536])("blocks of %d bytes cannot", (blockSize) => {
    expect(verdict(pmemOf(SIZE).pmem.disk, blockSize)).toBe(
      `pmem0: blocks of ${blockSize} bytes are not pages of 4096`,
    );
  });

  // Start and length in sectors; a page has eight.
  const matrix = [0, 1, 4, 7, 8, 63, 64].flatMap((start) =>
    [8, 9, 12, 15, 16, 64].map((sectors) => ({ start, sectors })),
  );
  test.each(matrix)("a partition of $sectors sectors at $start", ({ start, sectors }) => {
    const { pmem } = pmemOf(SIZE);
    const part = new Partition(pmem.disk, { name: "pmem0p1", start, sectors });
    const bytes = sectors * 512;
    const want =
      start % 8 !== 0
        ? `pmem0p1: unaligned partition: it starts at byte ${start * 512}, inside a page`
        : sectors % 8 !== 0
          ? `pmem0p1: its length of ${bytes} bytes is not a whole number of pages`
          : "capable";
    expect(verdict(part)).toBe(want);
    const range = { device: pmem.dax, start: start * 512, length: bytes };
    expect(part.dax).toEqual(want === "capable" ? range : undefined);
  });

  test("a disk with a ragged tail cannot, though its pages can be reached", () => {
    const { pmem } = pmemOf(SIZE + 512);
    expect(verdict(pmem.disk)).toContain("not a whole number of pages");
    expect(pmem.disk.dax?.length).toBe(SIZE);
  });

  test("a device without dax cannot", () => {
    const disk = new RamDisk({ name: "ram0", bytes: new Uint8Array(SIZE) });
    expect(verdict(disk)).toBe("ram0: the device offers no dax");
  });

  test.each([
    [0, "first"],
    [SIZE - 1, "last"],
  ])("poison at byte %d: its %s page cannot be translated", (at, which) => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(at, 1);
    expect(verdict(pmem.disk)).toContain(`its ${which} page cannot be translated: EHWPOISON`);
  });

  test("poison in between does not matter here", () => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(8192, 1);
    expect(verdict(pmem.disk)).toBe("capable");
  });

  test("a removed device cannot", () => {
    const { pmem } = pmemOf(SIZE);
    pmem.remove();
    expect(verdict(pmem.disk)).toBe("pmem0: pmem0 was removed");
  });
});

test("what is no device, or no size of blocks, is EINVAL", () => {
  const { disk } = pmemOf(SIZE).pmem;
  for (const wrong of [undefined, "pmem0", {}]) {
    expect(codeOf(() => daxCapability(wrong as unknown as typeof disk, 4096))).toBe("EINVAL");
  }
  expect(codeOf(() => daxCapability(disk, "4K" as unknown as number))).toBe("EINVAL");
});

test("[0.34] no dax at all is EOPNOTSUPP to who needs it", () => {
  const { pmem } = pmemOf(SIZE);
  expect(daxRangeOf(pmem.disk)).toBe(pmem.disk.dax);
  const part = new Partition(pmem.disk, { name: "pmem0p1", start: 1, sectors: 8 });
  expect(codeOf(() => daxRangeOf(part))).toBe("EOPNOTSUPP");
});
