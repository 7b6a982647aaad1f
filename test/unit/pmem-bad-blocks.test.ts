/** Poison under a pmem disk: what meets it, and what heals it. */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { options, page, PAGES, SIZE } from "../support/pmem-options.ts";

describe("bad blocks", () => {
  test("[0.40] reads over them are EIO, by the table and by the media alike", () => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(PAGE_SIZE, 512);
    pmem.poison.table.parse("16 2");
    const target = new Uint8Array(1024);
    for (const sector of [7, 8, 15, 16, 17]) {
      expect(codeOf(() => pmem.disk.read(sector, target))).toBe("EIO");
    }
    for (const sector of [5, 6, 9, 13, 18]) {
      expect(codeOf(() => pmem.disk.read(sector, target))).toBe(undefined);
    }
    expect(codeOf(() => pmem.disk.readBytes(PAGE_SIZE - 1, target.subarray(0, 1)))).toBe(undefined);
    expect(codeOf(() => pmem.disk.readBytes(PAGE_SIZE - 1, target.subarray(0, 2)))).toBe("EIO");
    expect(String(pmem.poison.snapshot())).toBe("8 1\n16 2\n");
  });

  test("writing whole sectors heals them; part of one does not", () => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(PAGE_SIZE, 1024);
    pmem.poison.table.add(16, 2);
    expect(codeOf(() => pmem.disk.writeBytes(PAGE_SIZE + 1, noise(1, 511)))).toBe("EIO");
    pmem.disk.write(8, noise(2, 512));
    expect(media.badRanges()).toEqual([{ start: PAGE_SIZE + 512, length: 512 }]);
    pmem.disk.writeZeroes(9, 8);
    expect(media.badRanges()).toEqual([]);
    expect(String(pmem.poison.table)).toBe("17 1\n");
    const back = new Uint8Array(512);
    pmem.disk.read(8, back);
    expect(same(back, noise(2, 512))).toBe(true);
  });

  test("a write of a few good bytes leaves the table alone", () => {
    const { pmem } = pmemOf(SIZE);
    pmem.poison.table.add(16, 1);
    pmem.disk.writeBytes(100, noise(1, 10));
    pmem.disk.writeBytes(17 * 512 - 513, noise(1, 1));
    pmem.disk.writeBytes(17 * 512, noise(1, 600));
    expect(String(pmem.poison.table)).toBe("16 1\n");
  });

  test("a write that clears only a part of the poison is EIO, with nothing stored", () => {
    const media = new PoisonMedia(new RamMedia(SIZE), { granularity: PAGE_SIZE });
    const { disk } = createPmem(options({ media }));
    media.injectPoison(PAGE_SIZE, 1);
    expect(codeOf(() => disk.write(8, noise(1, 512)))).toBe("EIO");
    expect(media.window(0).memory.getUint8(PAGE_SIZE)).toBe(0);
    disk.write(8, noise(1, PAGE_SIZE));
    expect(media.badRanges()).toEqual([]);
  });

  // Bad sector, then: pages from 0 asked, what `recovery-write` answers. Rounding up may include
  // the bad page itself: a bad sector at the start of page 2 leaves 2 pages, one inside it 3.
  test.each([
    { sector: 0, answered: 1 },
    { sector: 1, answered: 1 },
    { sector: 7, answered: 1 },
    { sector: 8, answered: 1 },
    { sector: 9, answered: 2 },
    { sector: 16, answered: 2 },
    { sector: 17, answered: 3 },
    { sector: 31, answered: 4 },
    { sector: 32, answered: 4 },
  ])("a bad sector $sector: access fails, recovery gives $answered", ({ sector, answered }) => {
    const { pmem } = pmemOf(SIZE);
    pmem.poison.table.add(sector, 1);
    const bad = Math.floor(sector / 8);
    expect(pmem.dax.directAccess(0, 8, "recovery-write").pages).toBe(answered);
    expect(codeOf(() => pmem.dax.directAccess(0, bad + 1))).toBe("EHWPOISON");
    expect(codeOf(() => pmem.dax.directAccess(bad, 1))).toBe("EHWPOISON");
    expect(pmem.dax.directAccess(bad + 1, 4).pages).toBe(4);
    expect(codeOf(() => pmem.dax.copyFromIter(bad, 1, [noise(1, 2)]))).toBe("EHWPOISON");
  });

  test("recovery_write heals whole pages, and nothing else", () => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(2 * PAGE_SIZE + 512, 512);
    pmem.poison.table.add(17, 1);
    expect(pmem.dax.recoveryWrite(2, 1, noise(1, PAGE_SIZE - 1))).toBe(0);
    expect(pmem.dax.recoveryWrite(2, 0, noise(1, PAGE_SIZE - 1))).toBe(0);
    expect(pmem.dax.recoveryWrite(1, 512, noise(1, 2 * PAGE_SIZE))).toBe(0);
    // Not a byte of these is bad, but their page is: Linux looks at that.
    expect(pmem.dax.recoveryWrite(2, 0, noise(1, 100))).toBe(0);
    expect(pmem.dax.recoveryWrite(2, 2048, noise(1, 100))).toBe(0);
    expect(pmem.dax.recoveryWrite(2, 0, page)).toBe(PAGE_SIZE);
    expect(media.badRanges()).toEqual([]);
    expect(pmem.poison.table.total).toBe(0);
    const back = new Uint8Array(PAGE_SIZE);
    pmem.disk.read(16, back);
    expect(same(back, page)).toBe(true);
    // Over good memory it is a plain copy, of any alignment.
    expect(pmem.dax.recoveryWrite(2, 5, noise(2, 10))).toBe(10);
  });

  test("blocks beside a bad one in its page are read all the same", () => {
    const { pmem, media } = pmemOf(SIZE);
    pmem.disk.write(16, page);
    media.injectPoison(2 * PAGE_SIZE + 1024, 512);
    const buffers = new Buffers(pmem.disk, 1024);
    const back = new Uint8Array(1024);
    for (const block of [8, 10, 11]) {
      buffers.read(block, back, "group descriptors");
      expect(same(back, page.subarray((block - 8) * 1024, (block - 7) * 1024))).toBe(true);
    }
    expect(() => buffers.get(9, "group descriptors")).toThrow(/^EIO.*group descriptors 9 lies on/u);
    buffers.write(9, noise(3, 1024));
    buffers.write(10, noise(4, 1024));
    buffers.read(9, back, "group descriptors");
    expect(same(back, noise(3, 1024))).toBe(true);
    buffers.read(10, back, "group descriptors");
    expect(same(back, noise(4, 1024))).toBe(true);
    // What was read beside poison is not remembered: others may have written since.
    for (const seed of [5, 6]) {
      media.injectPoison(2 * PAGE_SIZE + 1024, 512);
      pmem.disk.write(20, noise(seed, 1024));
      buffers.read(10, back, "group descriptors");
      expect(same(back, noise(seed, 1024))).toBe(true);
    }
  });

  test("recovery_write is 0 bytes when the poison stays", () => {
    const media = new PoisonMedia(new RamMedia(SIZE), { granularity: 2 * PAGE_SIZE });
    const pmem = createPmem(options({ media }));
    media.injectPoison(0, 1);
    expect(pmem.dax.recoveryWrite(0, 0, page)).toBe(0);
    expect(media.window(0).memory.getUint8(0)).toBe(0);
    expect(codeOf(() => pmem.dax.zeroPageRange(0, 1))).toBe("EIO");
    expect(pmem.dax.recoveryWrite(0, 0, noise(1, 2 * PAGE_SIZE))).toBe(2 * PAGE_SIZE);
  });

  test("zeroing whole pages heals them, any number at once", () => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(0, SIZE);
    pmem.poison.table.add(3, 20);
    pmem.dax.zeroPageRange(0, PAGES);
    expect(media.badRanges()).toEqual([]);
    expect(pmem.poison.table.total).toBe(0);
    expect(pmem.dax.counters.zeroedPages).toBe(PAGES);
  });

  test("metadata over them is EIO and names the structure", () => {
    const { pmem, media } = pmemOf(SIZE);
    media.injectPoison(5 * 1024, 1);
    const buffers = new Buffers(pmem.disk, 1024);
    expect(() => buffers.get(5, "inode table")).toThrow("inode table 5");
    expect(codeOf(() => buffers.get(5, "inode table"))).toBe("EIO");
    expect(codeOf(() => buffers.get(8))).toBe(undefined);
  });
});
