/** One suite over every block device. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Prng } from "../../src/lib/prng.ts";
import { blockDevices, SECTORS } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const BYTES = SECTORS * 512;

/** All bytes that dax shows, page by page. */
function throughDax({ dax }: BlockDevice): Uint8Array {
  if (dax === undefined) return new Uint8Array(0);
  const seen = new Uint8Array(dax.length);
  for (const [i] of seen.entries()) {
    const { memory, start } = dax.device.directAccess(Math.floor((dax.start + i) / 4096), 1);
    seen[i] = memory.getUint8(start + (i % 4096));
  }
  return seen;
}

describe.each(Object.entries(blockDevices))("[2.71] %s", (_, make) => {
  test("has the size and the limits of the contract", () => {
    const device = make();
    expect(device.sectors).toBe(SECTORS);
    expect(device.limits.logicalBlockSize % 512).toBe(0);
    expect(device.readOnly).toBe(false);
    expect(device.name).not.toBe("");
  });

  test("keeps what was written, by sectors and by bytes, in any order", () => {
    const device = make();
    const want = new Uint8Array(BYTES);
    const prng = new Prng(1);
    for (let round = 0; round < 300; round++) {
      const sector = prng.below(SECTORS);
      const sectors = prng.below(Math.min(20, SECTORS - sector) + 1);
      const offset = prng.below(BYTES);
      const length = prng.below(Math.min(5000, BYTES - offset) + 1);
      const kind = prng.below(5);
      if (kind === 0) {
        device.write(sector, noise(round, sectors * 512), { fua: prng.below(2) === 0 });
        want.set(noise(round, sectors * 512), sector * 512);
      } else if (kind === 1) {
        device.writeBytes(offset, noise(round, length));
        want.set(noise(round, length), offset);
      } else if (kind === 2) {
        device.writeZeroes(sector, sectors);
        want.fill(0, sector * 512, (sector + sectors) * 512);
      } else if (kind === 3) device.flush();
      const back = new Uint8Array(length);
      device.readBytes(offset, back);
      expect(same(back, want.subarray(offset, offset + length))).toBe(true);
      const whole = new Uint8Array(sectors * 512);
      device.read(sector, whole);
      expect(same(whole, want.subarray(sector * 512, (sector + sectors) * 512))).toBe(true);
    }
    const all = new Uint8Array(BYTES);
    device.read(0, all);
    expect(same(all, want)).toBe(true);
  });

  test("[2.105] [2.108] ends at its last sector, and transfers nothing past it", () => {
    const device = make();
    device.write(SECTORS - 1, noise(1, 512));
    expect(codeOf(() => device.read(SECTORS - 1, new Uint8Array(512)))).toBe(undefined);
    const page = new Uint8Array(4096).fill(0x55);
    expect(codeOf(() => device.read(SECTORS - 7, page))).toBe("EIO");
    expect(page.every((byte) => byte === 0x55)).toBe(true);
    expect(codeOf(() => device.write(SECTORS - 7, page))).toBe("EIO");
    expect(codeOf(() => device.writeZeroes(SECTORS - 1, 2))).toBe("EIO");
    expect(codeOf(() => device.writeBytes(BYTES - 1, new Uint8Array(2)))).toBe("EIO");
    expect(codeOf(() => device.readBytes(BYTES, new Uint8Array(1)))).toBe("EIO");
    const last = new Uint8Array(512);
    device.read(SECTORS - 1, last);
    expect(same(last, noise(1, 512))).toBe(true);
    device.read(SECTORS - 7, page.subarray(0, 512));
    expect(page.subarray(0, 512).every((byte) => byte === 0)).toBe(true);
  });

  test.each([-1, 0.5, Number.NaN, Infinity, 2 ** 32, 2 ** 53, 2 ** 64])(
    "[2.119] sector %d is EIO, never a wrapped or truncated address",
    (sector) => {
      const device = make();
      expect(codeOf(() => device.read(sector, new Uint8Array(512)))).toBe("EIO");
      expect(codeOf(() => device.write(sector, noise(1, 512)))).toBe("EIO");
      expect(codeOf(() => device.writeZeroes(sector, 1))).toBe("EIO");
      expect(codeOf(() => device.writeZeroes(0, sector))).toBe("EIO");
      expect(codeOf(() => device.readBytes(sector, new Uint8Array(512)))).toBe("EIO");
      const all = new Uint8Array(BYTES);
      device.read(0, all);
      expect(all.every((byte) => byte === 0)).toBe(true);
    },
  );

  test("[2.107] a length that is no multiple of 512 is EINVAL, and moves nothing", () => {
    const device = make();
    const target = new Uint8Array(513).fill(0x55);
    for (const length of [1, 511, 513]) {
      expect(codeOf(() => device.read(0, target.subarray(0, length)))).toBe("EINVAL");
      expect(codeOf(() => device.write(0, noise(1, length)))).toBe("EINVAL");
    }
    expect(target.every((byte) => byte === 0x55)).toBe(true);
    device.read(0, target.subarray(0, 512));
    expect(target.subarray(0, 512).every((byte) => byte === 0)).toBe(true);
  });

  test("moves nothing for a length of 0, even at the end", () => {
    const device = make();
    expect(codeOf(() => device.read(SECTORS, new Uint8Array(0)))).toBe(undefined);
    expect(codeOf(() => device.write(SECTORS, new Uint8Array(0)))).toBe(undefined);
    expect(codeOf(() => device.writeZeroes(SECTORS, 0))).toBe(undefined);
    expect(codeOf(() => device.readBytes(BYTES, new Uint8Array(0)))).toBe(undefined);
  });

  test("[2.106] refuses discard in words, and keeps the bytes", () => {
    const device = make();
    device.write(0, noise(1, 512));
    expect(codeOf(() => device.discard(0, 1))).toBe("ENOTSUP");
    const back = new Uint8Array(512);
    device.read(0, back);
    expect(same(back, noise(1, 512))).toBe(true);
  });

  test("shows the same bytes through dax, where it has dax", () => {
    const device = make();
    const all = noise(3, BYTES);
    device.write(0, all);
    const seen = throughDax(device);
    expect(same(seen, all.subarray(0, seen.length))).toBe(true);
  });
});
