/**
 * striped: chunks of sectors in turn on several devices (RAID 0).
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { DaxAnswer, LegRange, Target, TargetContext, TargetType } from "../target.ts";
import { wholeUnsigned } from "../words.ts";
import { daxOfRange } from "./linear-route.ts";
import { sectorOf } from "./linear.ts";
import { StripedRoute } from "./striped-route.ts";

/** Errors of a stripe that programs are told of one by one; then they know. */
const TOLD_ERRORS = 15;
/** As the kernel's count fits its status line. */
const MOST_STRIPES = 0x7fff_ffff;

/** Sends each chunk to its stripe. */
export class StripedTarget implements Target {
  readonly uses: readonly LegRange[];
  /** Sectors in a chunk. */
  readonly maxIoLength: number;
  readonly #errors: number[];
  readonly #event: () => void;

  constructor(uses: readonly LegRange[], chunk: number, event: () => void) {
    this.uses = uses;
    this.maxIoLength = chunk;
    this.#errors = uses.map(() => 0);
    this.#event = event;
  }

  read(sector: number, target: Uint8Array): void {
    const stripe = this.#stripe(sector);
    try {
      this.#device(stripe).read(this.#sector(sector, stripe), target);
    } catch (error) {
      this.#fail(stripe, error);
    }
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    const stripe = this.#stripe(sector);
    try {
      this.#device(stripe).write(this.#sector(sector, stripe), source, flags);
    } catch (error) {
      this.#fail(stripe, error);
    }
  }

  writeZeroes(sector: number, sectors: number): void {
    const stripe = this.#stripe(sector);
    try {
      this.#device(stripe).writeZeroes(this.#sector(sector, stripe), sectors);
    } catch (error) {
      this.#fail(stripe, error);
    }
  }

  /** One request for each stripe: what lies in a range of the target is one range of each leg. */
  discard(sector: number, sectors: number): void {
    for (let stripe = 0; stripe < this.uses.length; stripe++) {
      const from = this.#reach(sector, stripe);
      const length = this.#reach(sector + sectors, stripe) - from;
      try {
        if (length > 0) this.#device(stripe).discard(from, length);
      } catch (error) {
        this.#fail(stripe, error);
      }
    }
  }

  readBytes(offset: number, target: Uint8Array): void {
    const sector = Math.floor(offset / SECTOR_SIZE);
    const stripe = this.#stripe(sector);
    const at = this.#sector(sector, stripe) * SECTOR_SIZE + (offset % SECTOR_SIZE);
    try {
      this.#device(stripe).readBytes(at, target);
    } catch (error) {
      this.#fail(stripe, error);
    }
  }

  writeBytes(offset: number, source: Uint8Array): void {
    const sector = Math.floor(offset / SECTOR_SIZE);
    const stripe = this.#stripe(sector);
    const at = this.#sector(sector, stripe) * SECTOR_SIZE + (offset % SECTOR_SIZE);
    try {
      this.#device(stripe).writeBytes(at, source);
    } catch (error) {
      this.#fail(stripe, error);
    }
  }

  dax(): DaxAnswer {
    const chunk = this.maxIoLength * SECTOR_SIZE;
    if (chunk % PAGE_SIZE !== 0) {
      return { reason: `chunks of ${this.maxIoLength} sectors are not whole pages` };
    }
    const ranges = [];
    for (const use of this.uses) {
      const range = daxOfRange(use);
      if ("reason" in range) return range;
      ranges.push(range);
    }
    return { route: new StripedRoute(ranges, chunk) };
  }

  table(): string {
    const legs = this.uses.map(({ leg, start }) => `${leg.text} ${start}`);
    return `${this.uses.length} ${this.maxIoLength} ${legs.join(" ")}`;
  }

  status(): string {
    const legs = this.uses.map(({ leg }) => leg.text).join(" ");
    const letters = this.#errors.map((count) => (count > 0 ? "D" : "A")).join("");
    return `${this.uses.length} ${legs} 1 ${letters}`;
  }

  #stripe(sector: number): number {
    return Math.floor(sector / this.maxIoLength) % this.uses.length;
  }

  /** The sector of its leg that a sector of the target is. */
  #sector(sector: number, stripe: number): number {
    const chunk = this.maxIoLength;
    const row = Math.floor(Math.floor(sector / chunk) / this.uses.length);
    return (this.uses[stripe] as LegRange).start + row * chunk + (sector % chunk);
  }

  /** The first sector of a leg that belongs to sector `sector` of the target or to a later one. */
  #reach(sector: number, stripe: number): number {
    const chunk = this.maxIoLength;
    const number = Math.floor(sector / chunk);
    const row = Math.floor(number / this.uses.length);
    const turn = number % this.uses.length;
    const { start } = this.uses[stripe] as LegRange;
    if (turn === stripe) return start + row * chunk + (sector % chunk);
    return start + (turn > stripe ? row + 1 : row) * chunk;
  }

  #device(stripe: number): BlockDevice {
    return (this.uses[stripe] as LegRange).leg.device;
  }

  /** A stripe that has failed shows so in the status. */
  #fail(stripe: number, error: unknown): never {
    if (isDaxError(error) && !isDaxError(error, "ENOTSUP", "EOPNOTSUPP")) {
      const count = (this.#errors[stripe] ?? 0) + 1;
      this.#errors[stripe] = count;
      if (count < TOLD_ERRORS) this.#event();
    }
    throw error;
  }
}

/** `striped STRIPES CHUNK (DEVICE START)...` */
export const striped: TargetType = {
  name: "striped",
  version: [1, 6, 0],
  make(words, context) {
    if (words.length < 2) {
      const cause = `"striped STRIPES CHUNK (DEVICE START)..." has ${words.length}`;
      context.refuse("EINVAL", "Not enough arguments", cause);
    }
    const count = wholeUnsigned(words[0], MOST_STRIPES) ?? 0;
    if (count === 0) {
      context.refuse("EINVAL", "Invalid stripe count", `"${words[0]}" is no count from 1 on`);
    }
    const chunk = wholeUnsigned(words[1], 2 ** 32 - 1) ?? 0;
    if (chunk === 0) {
      context.refuse("EINVAL", "Invalid chunk_size", `"${words[1]}" is no number of sectors`);
    }
    const width = widthOf(count, chunk, context);
    if (words.length !== 2 + 2 * count) {
      const cause = `${count} stripes take ${2 * count} arguments, here are ${words.length - 2}`;
      context.refuse("EINVAL", "Not enough destinations specified", cause);
    }
    const uses: LegRange[] = [];
    const error = "Couldn't parse stripe destination";
    for (let i = 0; i < count; i++) {
      const start = sectorOf(words[3 + 2 * i], error, context);
      uses.push({ leg: context.open(words[2 + 2 * i], error), start, sectors: width });
    }
    return new StripedTarget(uses, chunk, context.event);
  },
};

/** Sectors of each stripe. */
function widthOf(count: number, chunk: number, { length, refuse }: TargetContext): number {
  if (length % count !== 0) {
    const cause = `${length} sectors on ${count} stripes`;
    refuse("EINVAL", "Target length not divisible by number of stripes", cause);
  }
  const width = length / count;
  if (width % chunk !== 0) {
    const cause = `${width} sectors of each stripe in chunks of ${chunk}`;
    refuse("EINVAL", "Target length not divisible by chunk size", cause);
  }
  return width;
}
