/** Random stacks of mapped devices beside a flat array of bytes. */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Partition } from "../../src/block/partition.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { Prng } from "../../src/lib/prng.ts";
import { noise, same } from "../support/bytes.ts";
import { fakeDax } from "../support/dax-fakes.ts";
import { mapperOver, type Mapped } from "../support/mapped.ts";

/** Sectors of every disk at the bottom. */
const SECTORS = 512;
const DISKS = ["a", "b", "c", "d"];

/** What stacks are made of: with dax, with mirrors and zeros, or of disks that know discards. */
type Kind = "dax" | "mirrors" | "discards";

/** A disk of which discarded sectors are zeros. */
class Discarding extends RamDisk {
  override discard(sector = 0, sectors = 0): void {
    this.writeZeroes(sector, sectors);
  }
}

/** Disks without dax. */
function plainBottom(): Mapped {
  const disks = DISKS.map((name) => {
    return [name, new Discarding({ name, bytes: new Uint8Array(SECTORS * 512) })] as const;
  });
  return mapperOver(Object.fromEntries(disks));
}

/** Disks whose dax answers as short as it likes. */
function bottom(seed: number): Mapped {
  const pages = (SECTORS * 512) / PAGE_SIZE;
  const disks = DISKS.map((name, i) => {
    const { device } = fakeDax(pages, { short: new Prng(seed + i) });
    return [name, new DaxDisk(device)] as const;
  });
  return mapperOver(Object.fromEntries(disks));
}

/** Ground for the next level: devices with the sectors of each that nobody has taken yet. */
interface Ground {
  readonly word: string;
  readonly device: BlockDevice;
  taken: number;
}

/** Takes `sectors` sectors of a random device. */
function take(
  grounds: readonly Ground[],
  sectors: number,
  prng: Prng,
  unit: number,
): string | undefined {
  const fitting = grounds.filter(({ device, taken }) => taken + sectors + unit <= device.sectors);
  if (fitting.length === 0) return undefined;
  const ground = fitting[prng.below(fitting.length)] as Ground;
  const gap = prng.below(2) * unit;
  const start = ground.taken + gap;
  ground.taken = start + sectors;
  return `${ground.word} ${start}`;
}

/** A table of up to four targets on what is left of the grounds. */
function table(grounds: readonly Ground[], prng: Prng, unit: number, kind: Kind): string {
  const lines: string[] = [];
  let at = 0;
  for (let i = 1 + prng.below(4); i > 0; i--) {
    if (kind !== "dax" && prng.below(6) === 0) {
      lines.push(`${at} ${unit} zero`);
      at += unit;
      continue;
    }
    if (kind === "mirrors" && prng.below(2) === 0) {
      const length = unit * (1 + prng.below(6));
      const legs = [0, 1].map(() => take(grounds, length, prng, unit));
      if (legs.includes(undefined)) break;
      lines.push(`${at} ${length} mirror core 1 2 2 ${legs.join(" ")}`);
      at += length;
      continue;
    }
    const chunk = unit * (1 + prng.below(3));
    const stripes = 1 + prng.below(3);
    const rows = 1 + prng.below(3);
    const striped = prng.below(2) === 0;
    const each = striped ? chunk * rows : unit * (1 + prng.below(9));
    const words = Array.from({ length: striped ? stripes : 1 }, () =>
      take(grounds, each, prng, unit),
    );
    if (words.includes(undefined)) break;
    const length = each * words.length;
    const target = striped ? `striped ${stripes} ${chunk}` : "linear";
    lines.push(`${at} ${length} ${target} ${words.join(" ")}`);
    at += length;
  }
  return lines.join("\n");
}

/** A stack of so many levels; the last device of it. */
function stack(
  { mapper, devices }: Mapped,
  levels: number,
  prng: Prng,
  unit: number,
  kind: Kind,
): MappedDevice {
  let grounds: Ground[] = DISKS.map((word) => ({
    word,
    device: devices.find(word)!.device,
    taken: 0,
  }));
  let top: MappedDevice | undefined;
  for (let level = 0; level < levels; level++) {
    const made: Ground[] = [];
    for (let i = 0; i < 3; i++) {
      const name = `l${level}n${i}`;
      const text = table(grounds, prng, unit, kind);
      if (text === "") continue;
      const device = mapper.create(name, text);
      made.push({ word: `/dev/mapper/${name}`, device, taken: 0 });
      if (prng.below(4) === 0 && device.sectors > 2 * unit) {
        const part = new Partition(device, {
          name: `${name}p1`,
          start: unit,
          sectors: device.sectors - unit,
        });
        devices.add(part);
        made.pop();
        made.push({ word: `/dev/${name}p1`, device: part, taken: 0 });
      }
    }
    if (made.length === 0) break;
    grounds = made;
    top = mapper.devices.findLast(({ name }) => name.startsWith(`l${level}`));
  }
  return top!;
}

/** Which bytes keep what is written: those of zero do not. */
function whereBytesLast(device: MappedDevice): readonly boolean[] {
  const bytes = new Uint8Array(device.sectors * 512).fill(1);
  device.write(0, bytes);
  device.read(0, bytes);
  device.writeZeroes(0, device.sectors);
  return Array.from(bytes, (byte) => byte === 1);
}

/** Every way to write, and to read, at random; the device beside an array of bytes. */
function exercise(device: MappedDevice, prng: Prng, rounds: number, kind: Kind): void {
  const size = device.sectors * 512;
  const want = new Uint8Array(size);
  const lasting = whereBytesLast(device);
  for (let round = 0; round < rounds; round++) {
    const sector = prng.below(device.sectors);
    const sectors = prng.below(Math.min(60, device.sectors - sector) + 1);
    const at = prng.below(size);
    const length = prng.below(Math.min(20_000, size - at) + 1);
    const way = prng.below(5);
    if (way === 0) {
      device.write(sector, noise(round, sectors * 512), { fua: prng.below(2) === 0 });
      want.set(noise(round, sectors * 512), sector * 512);
    } else if (way === 1) {
      device.writeBytes(at, noise(round, length));
      want.set(noise(round, length), at);
    } else if (way === 2) {
      device.writeZeroes(sector, sectors);
      want.fill(0, sector * 512, (sector + sectors) * 512);
    } else if (device.dax !== undefined) {
      throughDax(device, want, at, length, round, prng);
    }
    if (kind === "discards" && round % 5 === 0) {
      device.discard(sector, sectors);
      want.fill(0, sector * 512, (sector + sectors) * 512);
    }
    for (const [i, there] of lasting.entries()) if (!there) want[i] = 0;
    const back = new Uint8Array(length);
    device.readBytes(at, back);
    expect(same(back, want.subarray(at, at + length))).toBe(true);
  }
  const all = new Uint8Array(size);
  device.read(0, all);
  expect(same(all, want)).toBe(true);
  const seen = pagesOf(device);
  expect(same(seen, want.subarray(0, seen.length))).toBe(true);
}

function throughDax(
  { dax }: MappedDevice,
  want: Uint8Array,
  at: number,
  length: number,
  round: number,
  prng: Prng,
): void {
  const device = dax!.device;
  const run = Math.min(length, Math.max(dax!.length - at, 0));
  if (run === 0) return;
  const [page, within] = [Math.floor(at / PAGE_SIZE), at % PAGE_SIZE];
  const kind = prng.below(3);
  if (kind === 0) {
    device.zero(page, within, run);
    want.fill(0, at, at + run);
    return;
  }
  const data = noise(round, run);
  const cut = prng.below(run + 1);
  if (kind === 1) device.copyFromIter(page, within, [data.subarray(0, cut), data.subarray(cut)]);
  else {
    // Poison or not, a recovery write that says it wrote has written.
    const written = device.recoveryWrite(page, within, data);
    want.set(data.subarray(0, written), at);
    return;
  }
  want.set(data, at);
}

function pagesOf({ dax }: MappedDevice): Uint8Array {
  if (dax === undefined) return new Uint8Array(0);
  const { device, length } = dax;
  const seen = new Uint8Array(length);
  for (let page = 0; page < length / PAGE_SIZE;) {
    const { memory, start, pages } = device.directAccess(page, length / PAGE_SIZE - page);
    seen.set(copyOf(memory, start, pages * PAGE_SIZE), page * PAGE_SIZE);
    page += pages;
  }
  return seen;
}

describe("[X7] random stacks", () => {
  test.each([1, 2, 3, 4, 5])("[4.2] of %d levels hold what a flat device would", (levels) => {
    let dax = 0;
    for (let seed = 0; seed < 12; seed++) {
      const prng = new Prng(100 * levels + seed);
      const unit = seed % 3 === 0 ? 3 : 8;
      const device = stack(bottom(seed), levels, prng, unit, "dax");
      if (device.dax !== undefined) dax++;
      expect(device.daxReason ?? "page").toMatch(/page|sectors are less|offers no dax/u);
      exercise(device, prng, 60, "dax");
    }
    expect(dax).toBeGreaterThan(2);
  });

  test.each([1, 2, 3, 4, 5])(
    "of %d levels with mirrors, zeros and discards do so too",
    (levels) => {
      for (let seed = 0; seed < 12; seed++) {
        const prng = new Prng(1000 * levels + seed);
        const kind = seed % 2 === 0 ? "mirrors" : "discards";
        const device = stack(plainBottom(), levels, prng, seed % 3 === 0 ? 3 : 8, kind);
        exercise(device, prng, 30, kind);
        expect(device.dax).toBe(undefined);
      }
    },
  );
});
