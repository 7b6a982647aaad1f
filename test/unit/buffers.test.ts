import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { Prng } from "../../src/lib/prng.ts";
import { noise, same } from "../support/bytes.ts";

const BLOCK = 1024;

function image(blocks: number): { bytes: Uint8Array; disk: RamDisk } {
  const bytes = noise(3, blocks * BLOCK);
  return { bytes, disk: new RamDisk({ name: "ram0", bytes }) };
}

function blockOf(buffers: Buffers, block: number): Uint8Array {
  const { memory, at } = buffers.get(block);
  return copyOf(memory, at, buffers.blockSize);
}

describe("blocks of a device without dax", () => {
  test("are copies in a bounded cache, and stay valid when they leave it", () => {
    const { bytes, disk } = image(64);
    const buffers = new Buffers(disk, BLOCK, { cacheBytes: 16 * BLOCK });
    const first = buffers.get(0);
    expect(buffers.get(0)).toBe(first);
    for (let block = 0; block < 64; block++) {
      const want = bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
      expect(same(blockOf(buffers, block), want)).toBe(true);
    }
    expect(buffers.get(0)).not.toBe(first);
    expect(same(copyOf(first.memory, first.at, BLOCK), bytes.subarray(0, BLOCK))).toBe(true);
  });

  test.each([64, -1, 0.5, Number.NaN, 2 ** 53])("block %d is EUCLEAN and named", (block) => {
    const buffers = new Buffers(image(64).disk, BLOCK);
    expect(() => buffers.get(block, "inode table")).toThrow(`EUCLEAN`);
    expect(() => buffers.get(block, "inode table")).toThrow(`inode table ${block}`);
    expect(() => buffers.overlay(block, new Uint8Array(BLOCK))).toThrow("EUCLEAN");
  });
});

describe("replayed blocks", () => {
  test("win over the device, for blocks and for bytes", () => {
    const { bytes, disk } = image(64);
    const buffers = new Buffers(disk, BLOCK);
    const want = Uint8Array.from(bytes);
    const prng = new Prng(5);
    for (const block of [0, 7, 8, 63]) {
      const replayed = noise(block, BLOCK);
      buffers.get(block);
      buffers.overlay(block, replayed);
      want.set(replayed, block * BLOCK);
      expect(same(blockOf(buffers, block), replayed)).toBe(true);
    }
    expect(buffers.overlaid).toBe(4);
    for (let i = 0; i < 300; i++) {
      const offset = prng.below(want.length);
      const target = new Uint8Array(prng.below(want.length - offset + 1));
      buffers.readBytes(offset, target);
      expect(same(target, want.subarray(offset, offset + target.length))).toBe(true);
    }
    const before = new Uint8Array(bytes.length);
    disk.read(0, before);
    expect(same(before, bytes)).toBe(true);
  });

  test("can be dropped again", () => {
    const { bytes, disk } = image(4);
    const buffers = new Buffers(disk, BLOCK);
    buffers.overlay(2, new Uint8Array(BLOCK));
    buffers.dropOverlay(2);
    expect(same(blockOf(buffers, 2), bytes.subarray(2 * BLOCK, 3 * BLOCK))).toBe(true);
  });

  test("say how far dax may go before the first of them", () => {
    const buffers = new Buffers(image(64).disk, BLOCK);
    expect(buffers.beforeOverlay(0, 64)).toBe(64);
    buffers.overlay(10, new Uint8Array(BLOCK));
    buffers.overlay(12, new Uint8Array(BLOCK));
    expect(buffers.beforeOverlay(0, 64)).toBe(10);
    expect(buffers.beforeOverlay(0, 10)).toBe(10);
    expect(buffers.beforeOverlay(10, 1)).toBe(0);
    expect(buffers.beforeOverlay(11, 1)).toBe(1);
    expect(buffers.beforeOverlay(11, 2)).toBe(1);
    expect(buffers.beforeOverlay(13, 50)).toBe(50);
  });
});

test("replayed blocks cannot be written through", () => {
  expect(() => new Buffers(image(4).disk, BLOCK).writeBytes()).toThrow("EROFS");
});
