import { describe, expect, test } from "vitest";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { readBytesBySector, writeBytesBySector } from "../../src/block/request.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

function disk(sectors: number, tail = 0): RamDisk {
  return new RamDisk({ name: "ram0", bytes: noise(7, sectors * 512 + tail) });
}

describe("a disk over plain bytes", () => {
  test("has whole sectors only", () => {
    expect(disk(9, 511).sectors).toBe(9);
  });

  test("reads the last sector and refuses one past it, with nothing transferred", () => {
    const device = disk(8);
    const target = new Uint8Array(1024).fill(0xaa);
    device.read(7, target.subarray(0, 512));
    expect(target[0]).not.toBe(0xaa);
    target.fill(0xaa);
    expect(codeOf(() => device.read(7, target))).toBe("EIO");
    expect(target.every((byte) => byte === 0xaa)).toBe(true);
  });

  test.each([
    [8, 512, "EIO"],
    [-1, 512, "EIO"],
    [2 ** 53, 512, "EIO"],
    [0.5, 512, "EIO"],
    [Number.NaN, 512, "EIO"],
    [0, 100, "EINVAL"],
    [8, 0, undefined],
    [9, 0, "EIO"],
  ])("sector %d, %d bytes: %s", (sector, length, code) => {
    const device = disk(8);
    expect(codeOf(() => device.read(sector, new Uint8Array(length)))).toBe(code);
    expect(codeOf(() => device.write(sector, new Uint8Array(length)))).toBe(code);
  });

  test("refuses writes when read-only and discard always", () => {
    const device = new RamDisk({ name: "ram0", bytes: new Uint8Array(4096), readOnly: true });
    expect(codeOf(() => device.write(0, new Uint8Array(512)))).toBe("EROFS");
    expect(codeOf(() => device.writeZeroes(0, 1))).toBe("EROFS");
    expect(codeOf(() => device.writeBytes(0, new Uint8Array(1)))).toBe("EROFS");
    expect(codeOf(() => device.discard())).toBe("ENOTSUP");
  });

  test("byte access through sectors moves the same bytes as direct byte access", () => {
    const prng = new Prng(11);
    const one = disk(16);
    const other = disk(16);
    for (let i = 0; i < 500; i++) {
      const offset = prng.below(16 * 512);
      const data = noise(i, prng.below(16 * 512 - offset + 1));
      one.writeBytes(offset, data);
      writeBytesBySector(other, offset, data);
      const [a, b] = [new Uint8Array(data.length), new Uint8Array(data.length)];
      one.readBytes(offset, a);
      readBytesBySector(other, offset, b);
      expect(same(a, b)).toBe(true);
    }
    const [a, b] = [new Uint8Array(16 * 512), new Uint8Array(16 * 512)];
    one.read(0, a);
    other.read(0, b);
    expect(same(a, b)).toBe(true);
  });
});

describe("a partition", () => {
  test("is a window of its disk, and ends where it ends", () => {
    const whole = disk(32);
    const part = new Partition(whole, { name: "ram0p1", start: 8, sectors: 16 });
    const [a, b] = [new Uint8Array(512), new Uint8Array(512)];
    part.read(15, a);
    whole.read(23, b);
    expect(same(a, b)).toBe(true);
    expect(codeOf(() => part.read(16, a))).toBe("EIO");
    expect(codeOf(() => part.readBytes(16 * 512 - 1, new Uint8Array(2)))).toBe("EIO");
    part.writeZeroes(0, 16);
    whole.read(7, a);
    expect(a.some((byte) => byte !== 0)).toBe(true);
    whole.read(8, a);
    expect(a.every((byte) => byte === 0)).toBe(true);
  });

  test("cannot leave its disk", () => {
    const options = { name: "ram0p1", start: 8, sectors: 25 };
    expect(codeOf(() => new Partition(disk(32), options))).toBe("EIO");
  });
});
