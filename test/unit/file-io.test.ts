import { describe, expect, test } from "vitest";
import { daxRead, daxWrite, daxZero } from "../../src/dax/file-io.ts";
import type { Iomap } from "../../src/dax/iomap.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import {
  ExtentFile,
  type FakeDax,
  fakeDax,
  type FakeExtent,
  storeOver,
} from "../support/dax-fakes.ts";

function fileOn(fake: FakeDax, size: number, extents: readonly FakeExtent[]): ExtentFile {
  const range = { device: fake.device, start: 0, length: fake.bytes.length };
  return new ExtentFile(size, extents, range, storeOver(fake.bytes));
}

function mapped(offset: number, length: number, addr: number): FakeExtent {
  return { type: "mapped", offset, length, addr };
}

/** A device full of noise, and a file that shows 16 pages of it from page 4. */
function plainFile(): { fake: FakeDax; file: ExtentFile } {
  const fake = fakeDax(64);
  fake.bytes.set(noise(1, fake.bytes.length));
  const length = 16 * PAGE_SIZE;
  return { fake, file: fileOn(fake, length, [mapped(0, length, 4 * PAGE_SIZE)]) };
}

describe("reading", () => {
  test("gives exactly the bytes, for any offset and length", () => {
    const { fake, file } = plainFile();
    const want = fake.bytes.subarray(4 * PAGE_SIZE, 20 * PAGE_SIZE);
    const prng = new Prng(2);
    for (let i = 0; i < 300; i++) {
      const offset = prng.below(want.length);
      const target = new Uint8Array(prng.below(20_000));
      const got = daxRead(file, target, offset);
      expect(got).toBe(Math.min(target.length, want.length - offset));
      expect(same(target.subarray(0, got), want.subarray(offset, offset + got))).toBe(true);
      expect(target.subarray(got).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("ends at the end of the file", () => {
    const { file } = plainFile();
    const target = new Uint8Array(10);
    expect(daxRead(file, target, file.size - 3)).toBe(3);
    expect(daxRead(file, target, file.size)).toBe(0);
    expect(daxRead(file, target, 2 ** 50)).toBe(0);
    file.size = 5;
    expect(daxRead(file, target, 0)).toBe(5);
  });

  test("refuses offsets that are none", () => {
    const { file } = plainFile();
    for (const offset of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(codeOf(() => daxRead(file, new Uint8Array(1), offset))).toBe("EINVAL");
    }
  });

  test("gives zeros for holes and unwritten ranges over whatever the buffer held", () => {
    const fake = fakeDax(16);
    fake.bytes.fill(0xee);
    const file = fileOn(fake, 5 * PAGE_SIZE, [
      mapped(0, PAGE_SIZE, 0),
      { type: "unwritten", offset: 2 * PAGE_SIZE, length: PAGE_SIZE, addr: PAGE_SIZE },
      mapped(3 * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE),
    ]);
    const target = new Uint8Array(5 * PAGE_SIZE).fill(0x55);
    expect(daxRead(file, target, 0)).toBe(target.length);
    const pages = [0, 1, 2, 3, 4].map((page) => target[page * PAGE_SIZE + 100]);
    expect(pages).toEqual([0xee, 0, 0, 0xee, 0]);
  });

  test("takes inline bytes, and zeros where the inode has no more of them", () => {
    const fake = fakeDax(1);
    const file = fileOn(fake, 20, [
      { type: "inline", offset: 0, length: 20, inline: noise(3, 12) },
    ]);
    const target = new Uint8Array(20).fill(0x55);
    expect(daxRead(file, target, 0)).toBe(20);
    expect(same(target.subarray(0, 12), noise(3, 12))).toBe(true);
    expect(target.subarray(12).every((byte) => byte === 0)).toBe(true);
    expect(daxRead(file, target, 10)).toBe(10);
    expect(target[0]).toBe(noise(3, 12)[10]);
  });

  test("reaches blocks of 1 KiB, whose addresses are inside pages", () => {
    const fake = fakeDax(8);
    fake.bytes.set(noise(4, fake.bytes.length));
    const extents = [5, 3, 31, 8].map((block, i) => mapped(i * 1024, 1024, block * 1024));
    const file = fileOn(fake, 4096, extents);
    const target = new Uint8Array(4096);
    expect(daxRead(file, target, 0)).toBe(4096);
    for (const [i, block] of [5, 3, 31, 8].entries()) {
      const want = fake.bytes.subarray(block * 1024, block * 1024 + 1024);
      expect(same(target.subarray(i * 1024, i * 1024 + 1024), want)).toBe(true);
    }
  });

  test("goes through the store where there is no dax, and where dax ends", () => {
    const fake = fakeDax(4);
    const bytes = noise(5, 4 * PAGE_SIZE + 512);
    fake.bytes.set(bytes.subarray(0, fake.bytes.length));
    const range = { device: fake.device, start: 0, length: fake.bytes.length };
    const extents = [mapped(0, bytes.length, 0)];
    for (const dax of [undefined, range]) {
      const file = new ExtentFile(bytes.length, extents, dax, storeOver(bytes));
      const target = new Uint8Array(bytes.length);
      expect(daxRead(file, target, 0)).toBe(bytes.length);
      expect(same(target, bytes)).toBe(true);
    }
  });

  test("[0.40] stops in front of poison, and is EIO when poison comes first", () => {
    const { fake, file } = plainFile();
    fake.poison.add(4 + 5);
    const target = new Uint8Array(16 * PAGE_SIZE);
    expect(daxRead(file, target, 0)).toBe(5 * PAGE_SIZE);
    expect(codeOf(() => daxRead(file, target, 5 * PAGE_SIZE))).toBe("EIO");
    expect(codeOf(() => daxRead(file, target.subarray(0, 1), 5 * PAGE_SIZE + 9))).toBe("EIO");
    expect(daxRead(file, target, 6 * PAGE_SIZE)).toBe(10 * PAGE_SIZE);
  });

  test.each([
    { offset: 1, length: 10 },
    { offset: 0, length: 0 },
    { offset: 0, length: Number.NaN },
    { offset: 0, length: -5 },
  ])("a filesystem that maps $offset+$length for byte 0 is EUCLEAN", ({ offset, length }) => {
    const { file } = plainFile();
    const map = { ...file.iomapBegin(0), offset, length } as Iomap;
    const inode = { size: 100, iomapBegin: () => map };
    expect(codeOf(() => daxRead(inode, new Uint8Array(8), 0))).toBe("EUCLEAN");
    expect(codeOf(() => daxWrite(inode, new Uint8Array(8), 0))).toBe("EUCLEAN");
    expect(codeOf(() => daxZero(inode, 0, 8))).toBe("EUCLEAN");
  });

  test("memory that is gone is EIO, though its loads gave zeros", () => {
    const { fake, file } = plainFile();
    fake.fault = true;
    expect(codeOf(() => daxRead(file, new Uint8Array(8), 0))).toBe("EIO");
    fake.fault = false;
    expect(daxRead(file, new Uint8Array(8), 0)).toBe(8);
  });

  test("a removed device is ENXIO", () => {
    const { fake, file } = plainFile();
    fake.device.kill();
    expect(codeOf(() => daxRead(file, new Uint8Array(8), 0))).toBe("ENXIO");
  });
});

describe("writing", () => {
  test("puts exactly the bytes, and flushes their lines", () => {
    const { fake, file } = plainFile();
    const want = Uint8Array.from(fake.bytes);
    const prng = new Prng(6);
    for (let i = 0; i < 200; i++) {
      const offset = prng.below(file.size);
      const source = noise(i, prng.below(Math.min(20_000, file.size - offset + 1)));
      expect(daxWrite(file, source, offset)).toBe(source.length);
      want.set(source, 4 * PAGE_SIZE + offset);
      const flushed = fake.flushed.splice(0).reduce((sum, [, length]) => sum + length, 0);
      expect(flushed).toBe(source.length);
    }
    expect(same(fake.bytes, want)).toBe(true);
    expect(file.ended.every(({ intent }) => intent === "write")).toBe(true);
  });

  test("heals poison by whole pages and refuses a part of a poisoned page", () => {
    const { fake, file } = plainFile();
    fake.poison.add(4 + 5).add(4 + 6);
    const source = noise(7, 3 * PAGE_SIZE);
    // 100 bytes of page 4, pages 5 and 6 whole, and the rest of page 7.
    expect(daxWrite(file, source, 5 * PAGE_SIZE - 100)).toBe(source.length);
    expect(fake.poison.size).toBe(0);
    const target = new Uint8Array(source.length);
    expect(daxRead(file, target, 5 * PAGE_SIZE - 100)).toBe(source.length);
    expect(same(target, source)).toBe(true);
    fake.poison.add(4 + 5);
    expect(codeOf(() => daxWrite(file, source.subarray(0, 10), 5 * PAGE_SIZE))).toBe("EIO");
    expect(daxWrite(file, source.subarray(0, 200), 5 * PAGE_SIZE - 100)).toBe(100);
    expect(fake.poison.size).toBe(1);
  });

  test("is refused where the filesystem offers no blocks of its own", () => {
    const fake = fakeDax(4);
    const shared: FakeExtent = { ...mapped(0, 4096, 0), shared: true };
    const unwritten: FakeExtent = { ...mapped(0, 4096, 0), type: "unwritten" };
    const data = new Uint8Array(8);
    expect(codeOf(() => daxWrite(fileOn(fake, 4096, [shared]), data, 0))).toBe("EOPNOTSUPP");
    expect(codeOf(() => daxWrite(fileOn(fake, 4096, [unwritten]), data, 0))).toBe("EIO");
    expect(codeOf(() => daxWrite(fileOn(fake, 4096, []), data, 0))).toBe("EIO");
  });

  test("reaches inline bytes and stores, and tells the filesystem what was done", () => {
    const inline = new Uint8Array(12);
    const file = fileOn(fakeDax(1), 12, [{ type: "inline", offset: 0, length: 12, inline }]);
    expect(daxWrite(file, noise(8, 5), 3)).toBe(5);
    expect(same(inline.subarray(3, 8), noise(8, 5))).toBe(true);
    expect(file.ended).toEqual([{ done: 5, intent: "write" }]);
    const bytes = new Uint8Array(100);
    const stored = new ExtentFile(100, [mapped(0, 100, 0)], undefined, storeOver(bytes));
    expect(daxWrite(stored, noise(9, 100), 0)).toBe(100);
    expect(same(bytes, noise(9, 100))).toBe(true);
  });

  test("ends an iomap with 0 bytes when the copy fails", () => {
    const { fake, file } = plainFile();
    fake.poison.add(4);
    expect(codeOf(() => daxWrite(file, new Uint8Array(8), 0))).toBe("EIO");
    expect(file.ended).toEqual([{ done: 0, intent: "write" }]);
  });
});

describe("zeroing", () => {
  test("touches exactly its bytes", () => {
    const { fake, file } = plainFile();
    const want = Uint8Array.from(fake.bytes);
    const prng = new Prng(10);
    for (let i = 0; i < 100; i++) {
      const offset = prng.below(file.size);
      const length = prng.below(Math.min(20_000, file.size - offset + 1));
      daxZero(file, offset, length);
      want.fill(0, 4 * PAGE_SIZE + offset, 4 * PAGE_SIZE + offset + length);
    }
    expect(same(fake.bytes, want)).toBe(true);
  });

  test("skips holes and unwritten ranges, and clears inline bytes and stores", () => {
    const fake = fakeDax(4);
    fake.bytes.fill(0xee);
    const inline = new Uint8Array(8).fill(1);
    const sparse = fileOn(fake, 8192, [
      { type: "unwritten", offset: 0, length: 4096, addr: 0 },
      { type: "inline", offset: 8192, length: 8, inline },
    ]);
    daxZero(sparse, 0, 8196);
    expect(fake.bytes.every((byte) => byte === 0xee)).toBe(true);
    expect([...inline]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    const bytes = new Uint8Array(200_000).fill(7);
    const extents = [mapped(0, bytes.length, 0)];
    daxZero(new ExtentFile(bytes.length, extents, undefined, storeOver(bytes)), 1, 199_998);
    expect(bytes.findIndex((byte) => byte === 0)).toBe(1);
    expect(bytes.lastIndexOf(0)).toBe(199_998);
  });

  test("heals whole poisoned pages and is EIO on a part of one", () => {
    const { fake, file } = plainFile();
    fake.poison.add(4);
    expect(codeOf(() => daxZero(file, 1, PAGE_SIZE - 1))).toBe("EIO");
    daxZero(file, 0, PAGE_SIZE);
    expect(fake.poison.size).toBe(0);
  });

  test("refuses ranges that are none", () => {
    const { file } = plainFile();
    expect(codeOf(() => daxZero(file, -1, 1))).toBe("EINVAL");
    expect(codeOf(() => daxZero(file, 0, -1))).toBe("EINVAL");
    expect(codeOf(() => daxZero(file, 1, 2 ** 53))).toBe("EINVAL");
  });
});
