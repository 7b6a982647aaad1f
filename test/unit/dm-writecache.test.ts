/** writecache: beside a flat model, without room, cleaning, failing, by the clock, damaged. */
import { describe, expect, test } from "vitest";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { LineMedia } from "../support/line-media.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const SECTORS = 512;

function contents(device: { read(sector: number, to: Uint8Array): void }): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  device.read(0, bytes);
  return bytes;
}

/** The fields of the status by name. */
function status({ active }: MappedDevice): Record<string, number> {
  const names = `error blocks free writeback reads readHits writes uncommitted committed around
    allocated blocked flushes discards`.split(/\s+/u);
  const words = active?.placed[0]?.target.status().split(" ") ?? [];
  return Object.fromEntries(names.map((name, i) => [name, Number(words[i])]));
}

function cached(mode: string, size: number, words: string) {
  const origin = ramDisk("a", SECTORS);
  const environment = seededEnvironment(1);
  const faulty = new FaultyDevice(origin);
  const cache = mode === "p" ? pmemOf(size).pmem.disk : ramDisk("b", size / 512);
  const broken = new FaultyDevice(cache, { reach: "metadata" });
  const { mapper } = mapperOver({ a: faulty, b: broken }, { environment });
  const table = `0 ${SECTORS} writecache ${mode} a b ${words}`;
  return { mapper, origin, faulty, broken, environment, table, device: mapper.create("x", table) };
}

describe.each(["p", "s"])("mode %s", (mode) => {
  test.each([
    ["512 0", 1 << 16],
    ["4096 0", 1 << 17],
    ["1024 2 autocommit_blocks 3", 1 << 15],
    ["2048 4 high_watermark 10 low_watermark 5", 1 << 17],
    ["512 1 cleaner", 1 << 16],
    ["512 1 metadata_only", 1 << 16],
  ])("%j holds what a flat device would, through restarts", (words, size) => {
    const { mapper, origin, device, table } = cached(mode, size, words);
    const want = new Uint8Array(SECTORS * 512);
    let live = device;
    const prng = new Prng(size);
    for (let round = 0; round < 400; round++) {
      const sector = prng.below(SECTORS);
      const sectors = prng.below(Math.min(24, SECTORS - sector)) + 1;
      const kind = prng.below(12);
      if (kind < 7) {
        live.write(sector, noise(round, sectors * 512), { fua: kind === 0 });
        want.set(noise(round, sectors * 512), sector * 512);
      } else if (kind === 7) {
        live.writeZeroes(sector, sectors);
        want.fill(0, sector * 512, (sector + sectors) * 512);
      } else if (kind === 8) live.flush();
      else if (kind === 9 && prng.below(4) === 0) live.message(0, "flush");
      else if (kind === 10 && prng.below(6) === 0) {
        mapper.remove("x");
        live = mapper.create("x", table);
      }
      const back = new Uint8Array(sectors * 512);
      live.read(sector, back);
      expect(same(back, want.subarray(sector * 512, (sector + sectors) * 512))).toBe(true);
    }
    expect(same(contents(live), want)).toBe(true);
    live.message(0, "cleaner");
    expect(same(contents(origin), want)).toBe(true);
    expect(status(live)).toMatchObject({ error: 0, free: status(live)["blocks"] });
  });

  test("its block is the logical block of the device, and of what stands on that", () => {
    const { mapper, device } = cached(mode, 1 << 17, "2048 0");
    expect(device.limits).toEqual({ logicalBlockSize: 2048, physicalBlockSize: 4096 });
    const above = mapper.create("above", "0 8 linear /dev/mapper/x 4");
    expect(above.limits.logicalBlockSize).toBe(2048);
    expect(codeOf(() => mapper.create("odd", "0 8 linear /dev/mapper/x 1"))).toBe("EINVAL");
  });

  test("without room writes go home: those in memory wait, those on a disk go around", () => {
    const words = "4096 4 high_watermark 100 low_watermark 50";
    const { device, origin } = cached(mode, 1 << 15, words);
    for (let at = 0; at < SECTORS; at += 8) device.write(at, noise(at, 4096));
    const { blocks, around, blocked, allocated } = status(device);
    expect(blocks).toBe(7);
    expect([around! > 0, blocked! > 0]).toEqual([mode === "s", mode === "p"]);
    expect(allocated).toBe(mode === "s" ? 7 : SECTORS / 8);
    device.message(0, "flush");
    const home = contents(origin);
    for (let at = 0; at < SECTORS; at += 8) {
      expect(same(home.subarray(at * 512, (at + 8) * 512), noise(at, 4096))).toBe(true);
    }
  });

  test("is committed when the time has come, and written back when it is old", () => {
    const words = "512 4 autocommit_time 2000 max_age 9000";
    const { device, environment, mapper, table, origin } = cached(mode, 1 << 16, words);
    device.write(3, noise(1, 512));
    const back = new Uint8Array(512);
    environment.pass(3);
    device.read(9, back);
    environment.pass(7);
    device.read(9, back);
    origin.read(3, back);
    expect(same(back, noise(1, 512))).toBe(true);
    device.message(0, "flush_on_suspend");
    device.write(4, noise(2, 512));
    device.suspend();
    origin.read(4, back);
    expect(same(back, noise(2, 512))).toBe(true);
    mapper.remove("x");
    expect(status(mapper.create("x", table))["free"]).toBe(status(mapper.get("x"))["blocks"]);
  });

  test("an origin that fails fails the write back, and then everything", () => {
    const { device, faulty } = cached(mode, 1 << 16, "512 0");
    device.write(0, noise(1, 512));
    faulty.arm([{ operations: ["write"] }]);
    expect(codeOf(() => device.message(0, "flush"))).toBe("EIO");
    expect(status(device)["error"]).toBe(-5);
    const back = new Uint8Array(512);
    expect(codeOf(() => device.read(0, back))).toBe("EIO");
    expect(codeOf(() => device.write(0, back))).toBe("EIO");
    expect(device.events).toBe(1);
  });
});

test("memory needs dax, and time to be durable by itself", () => {
  const { mapper } = mapperOver({ a: ramDisk("a", SECTORS), b: ramDisk("b", 512) });
  const table = `0 ${SECTORS} writecache p a b 512 0`;
  expect(() => mapper.create("x", table)).toThrow(
    "writecache: Unable to map persistent memory for cache (-EOPNOTSUPP); b offers no dax",
  );
});

test("[4.11] on memory a block of 512 bytes costs its own lines, and those of its record", () => {
  const media = new LineMedia(1 << 16, { nonTemporal: false });
  const place = { start: 0, length: media.size, physicalStart: 0 };
  const { disk, dax } = createPmem({ name: "b", media, ...place });
  const { mapper } = mapperOver({ a: ramDisk("a", SECTORS), b: disk });
  const device = mapper.create("x", `0 ${SECTORS} writecache p a b 512 0`);
  media.flushed.length = 0;
  const before = dax.counters.flushedLines;
  device.write(9, noise(1, 512));
  device.flush();
  const lines = media.flushed.map(({ length }) => Math.ceil(length / 64));
  // Eight lines of data, and what says where they belong: never a page, never the whole device.
  expect(Math.max(...lines)).toBe(8);
  expect(lines.filter((count) => count === 8)).toHaveLength(1);
  expect(dax.counters.flushedLines - before).toBeLessThanOrEqual(8 + 4);
  expect(media.fences).toBeGreaterThan(0);
  expect(same(media.durable, media.contents(0, media.size))).toBe(true);
});

/** What becomes of a cache in which a word was changed. */
const damage = (at: number, value: number): string => {
  const bytes = new Uint8Array(1 << 16);
  const cow = new RamDisk({ name: "b", bytes });
  const { mapper } = mapperOver({ a: ramDisk("a", SECTORS), b: cow });
  const table = `0 ${SECTORS} writecache s a b 512 0`;
  const device = mapper.create("x", table);
  device.write(0, noise(1, 1024), { fua: true });
  mapper.remove("x");
  new DataView(bytes.buffer).setUint32(at, value, true);
  try {
    return `free ${status(mapper.create("x", table))["free"]}`;
  } catch (error) {
    return (error as Error).message;
  }
};

test("refuses damaged metadata in the kernel's words, whatever they say", () => {
  expect(damage(0, 1)).toMatch(/Invalid magic in the superblock/u);
  expect(damage(4, 2)).toMatch(/Invalid version in the superblock/u);
  expect(damage(8, 1024)).toMatch(/Block size does not match superblock/u);
  expect(damage(16, 0)).toMatch(/Overflow in size calculation/u);
  expect(damage(20, 1)).toMatch(/Overflow in size calculation/u);
  expect(damage(16, 1000)).toMatch(/Memory area is too small/u);
  // The second entry: of the same sector as the first, beyond all, or never committed.
  expect(damage(64 + 16, 0)).toMatch(/two identical entries/u);
  expect(damage(64 + 20, 2 ** 31)).toBe(damage(64 + 24, 77));
  expect(damage(64, 99)).toMatch(/^free 1\d\d$/u);
});
