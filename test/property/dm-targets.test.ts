/**
 * Random stacks of every target that keeps what is written, beside a flat array of bytes; between
 * calls devices are flushed, suspended and get other tables.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { type Mapped, mapperOver, ramDisk } from "../support/mapped.ts";

const SECTORS = 1024;
/** Of a log, a cache, or a copy-on-write device. */
const AUX_SECTORS = 1 << 14;

/** A disk of which discarded sectors are zeros. */
class Discarding extends RamDisk {
  override discard(sector = 0, sectors = 0): void {
    this.writeZeroes(sector, sectors);
  }
}

/** One level: the tables that may serve it, all for the same contents. */
interface Level {
  readonly device: MappedDevice;
  readonly tables: readonly string[];
}

/** Random levels on one disk. */
class Stack {
  readonly levels: Level[] = [];
  readonly #prng: Prng;
  readonly #mapped: Mapped;
  #word = "base";
  #below: BlockDevice;
  #aux = 0;

  constructor(prng: Prng) {
    this.#prng = prng;
    const bytes = new Uint8Array(SECTORS * 512);
    this.#below = new Discarding({ name: "base", bytes });
    this.#mapped = mapperOver({ base: this.#below });
  }

  get top(): MappedDevice {
    return this.levels.at(-1)!.device;
  }

  /** Puts a target on top of all, and now and then a partition. */
  grow(kind: Kind): void {
    const { mapper, devices } = this.#mapped;
    const tables = this.#tables(kind);
    const name = `l${this.levels.length}`;
    const device = mapper.create(name, tables[0]);
    this.levels.push({ device, tables });
    [this.#word, this.#below] = [`/dev/mapper/${name}`, device];
    if (this.#prng.below(3) > 0) return;
    const start = 8 * (1 + this.#prng.below(3));
    const part = new Partition(device, {
      name: `${name}part`,
      start,
      sectors: device.sectors - start - 8,
    });
    devices.add(part);
    [this.#word, this.#below] = [`/dev/${name}part`, part];
  }

  /** Another table for a random level, or the same anew. What requests said meanwhile. */
  reload(): readonly unknown[] {
    const { device, tables } = this.levels[this.#prng.below(this.levels.length)]!;
    const { mapper } = this.#mapped;
    const table = tables[this.#prng.below(tables.length)]!;
    device.suspend({ noflush: this.#prng.below(2) === 0 });
    const block = new Uint8Array(4096);
    const codes = [codeOf(() => device.read(0, block)), codeOf(() => device.write(0, block))];
    mapper.get(device.name).load(lines(table));
    device.resume();
    return codes;
  }

  #tables(kind: Kind): string[] {
    const [size, word] = [this.#below.sectors, this.#word];
    const plain = ["linear W 0", "delay W 0 0", "flakey W 0 1 0", "dust W 0 512"];
    const half = (size >>> 4) << 3;
    const tables: Readonly<Record<Kind, () => readonly string[]>> = {
      plain: () => [
        ...plain,
        "striped 1 8 W 0",
        "log-writes W AUX",
        `linear W 0\n${half} ${size - half} linear W ${half}`,
      ],
      mirror: () => ["mirror core 1 8 2 W 0 AUX 0", "mirror core 1 16 2 W 0 AUX 0"],
      logged: () => ["mirror disk 2 AUX 8 2 W 0 AUX2 0 1 handle_errors"],
      persistent: () => ["snapshot W AUX P 8", "snapshot W AUX PO 8 1 discard_zeroes_cow"],
      transient: () => ["snapshot W AUX N 8"],
      merge: () => ["snapshot-merge W AUX P 16"],
      origin: () => ["snapshot-origin W", "linear W 0"],
      writecache: () => ["writecache s W AUX 4096 0", "writecache s W AUX 4096 1 cleaner"],
    };
    const aux = [this.#another(), this.#another()];
    const length = (text_: string): string => {
      const [first, ...rest] = text_.split("\n");
      return [`0 ${rest.length > 0 ? half : size} ${first}`, ...rest].join("\n");
    };
    return tables[kind]().map((text) =>
      length(text)
        .replaceAll(/\bAUX2\b/gu, aux[1]!)
        .replaceAll(/\bAUX\b/gu, aux[0]!)
        .replaceAll(/\bW\b/gu, word),
    );
  }

  #another(): string {
    const name = `aux${this.#aux++}`;
    this.#mapped.devices.add(ramDisk(name, AUX_SECTORS));
    return name;
  }
}

type Kind =
  | "plain"
  | "mirror"
  | "logged"
  | "persistent"
  | "transient"
  | "merge"
  | "origin"
  | "writecache";
const KINDS: readonly Kind[] = [
  "plain",
  "mirror",
  "logged",
  "persistent",
  "transient",
  "merge",
  "origin",
  "writecache",
];

function lines(
  table: string,
): { start: number; length: number; target: string; parameters: string }[] {
  return table.split("\n").map((line) => {
    const [start, length, target = "", ...words] = line.split(" ");
    return { start: Number(start), length: Number(length), target, parameters: words.join(" ") };
  });
}

/** A range of whole blocks of the device. */
function range(device: BlockDevice, prng: Prng): readonly [sector: number, sectors: number] {
  const block = device.limits.logicalBlockSize / 512;
  const blocks = Math.floor(device.sectors / block);
  const from = prng.below(blocks);
  return [from * block, (1 + prng.below(Math.min(12, blocks - from))) * block];
}

/** Says what was otherwise than on a flat device. */
function exercise(stack: Stack, prng: Prng, rounds: number): string[] {
  const { top } = stack;
  const wrong: string[] = [];
  const want = new Uint8Array(top.sectors * 512);
  for (let round = 0; round < rounds; round++) {
    const [sector, sectors] = range(top, prng);
    const [at, length] = [sector * 512, sectors * 512];
    const way = prng.below(10);
    if (way < 4) {
      top.write(sector, noise(round, length), { fua: prng.below(3) === 0 });
      want.set(noise(round, length), at);
    } else if (way === 4) {
      top.writeZeroes(sector, sectors);
      want.fill(0, at, at + length);
    } else if (way === 5) {
      const [byte, run] = [at + prng.below(300), Math.max(length - 300 - prng.below(212), 0)];
      top.writeBytes(byte, noise(round, run));
      want.set(noise(round, run), byte);
    } else if (way === 6) top.flush();
    else if (way === 7) {
      discard(top, sector, sectors);
      // What it leaves there is the target's affair; what is written now has to last.
      top.write(sector, noise(round, length));
      want.set(noise(round, length), at);
    } else if (String(stack.reload()) !== "EAGAIN,EAGAIN") wrong.push(`reload ${round}`);
    const back = new Uint8Array(length);
    top.read(sector, back);
    if (!same(back, want.subarray(at, at + length))) wrong.push(`${way} in round ${round}`);
  }
  const all = new Uint8Array(want.length);
  top.read(0, all);
  return same(all, want) ? wrong : [...wrong, "all of it"];
}

function discard(device: BlockDevice, sector: number, sectors: number): void {
  try {
    device.discard(sector, sectors);
  } catch (error) {
    if (!isDaxError(error, "ENOTSUP", "EOPNOTSUPP")) throw error;
  }
}

describe("[X7] stacks of every target", () => {
  test.each([1, 2, 3, 4, 5])("[4.2] of %d levels hold what a flat device would", (levels) => {
    for (const [index, kind] of KINDS.entries()) {
      for (let seed = 0; seed < 4; seed++) {
        const prng = new Prng(10_000 * levels + 100 * index + seed);
        const stack = new Stack(prng);
        // Each target is somewhere, at the bottom, in the middle or on top.
        const place = prng.below(levels);
        for (let level = 0; level < levels; level++) {
          stack.grow(level === place ? kind : KINDS[prng.below(KINDS.length)]!);
        }
        const tables = stack.levels.map(({ tables: [first] }) => first);
        expect([tables, exercise(stack, prng, 40)]).toEqual([tables, []]);
      }
    }
  });
});
