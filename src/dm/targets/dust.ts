/**
 * dust: blocks that are bad when and where a message says so.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import { DaxError } from "../../lib/errno.ts";
import { MOST_UINT } from "../arguments.ts";
import type { Leg } from "../leg.ts";
import type { DaxAnswer, LegRange, MessageAnswer, Target, TargetType } from "../target.ts";
import { unsigned } from "../words.ts";
import { sectorOf } from "./linear.ts";

/** Bad blocks that a target remembers: a hundred megabytes of them. */
const MOST_BAD = 1 << 20;
const MOST_BLOCK = 2 ** 30;

class DustTarget implements Target {
  readonly uses: readonly LegRange[];
  /** Sectors in a block: a request touches one only. */
  readonly maxIoLength: number;
  readonly #leg: Leg;
  readonly #start: number;
  readonly #blocks: number;
  readonly #name: string;
  /** Writes that fail before one heals, by block. */
  readonly #bad = new Map<number, number>();
  #enabled = false;
  #quiet = false;

  constructor(use: LegRange, blockSize: number, name: string) {
    this.uses = [use];
    this.maxIoLength = blockSize / SECTOR_SIZE;
    this.#leg = use.leg;
    this.#start = use.start;
    this.#blocks = Math.ceil(use.sectors / this.maxIoLength);
    this.#name = name;
  }

  read(sector: number, target: Uint8Array): void {
    const block = this.#block(sector);
    if (this.#enabled && this.#bad.has(block)) this.#fail("read", block);
    this.#leg.device.read(this.#start + sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#heal("write", sector);
    this.#leg.device.write(this.#start + sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#heal("write_zeroes", sector);
    this.#leg.device.writeZeroes(this.#start + sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    for (let block = this.#block(sector); block <= this.#block(sector + sectors - 1); block++) {
      this.#heal("discard", block * this.maxIoLength);
    }
    this.#leg.device.discard(this.#start + sector, sectors);
  }

  dax(): DaxAnswer {
    return { reason: "loads from memory cannot be made to fail" };
  }

  table(): string {
    return `${this.#leg.text} ${this.#start} ${this.maxIoLength * SECTOR_SIZE}`;
  }

  status(): string {
    const mode = this.#enabled ? "fail_read_on_bad_block" : "bypass";
    return `${this.#leg.text} ${mode} ${this.#quiet ? "quiet" : "verbose"}`;
  }

  message(words: readonly string[]): MessageAnswer {
    const [verb = "", block, fails] = words;
    if (words.length === 1) return this.#plainMessage(verb);
    const known = ["addbadblock", "removebadblock", "queryblock"].includes(verb);
    if (!known || words.length > (verb === "addbadblock" ? 3 : 2)) {
      this.#refuse(`message '${verb}' received with invalid argument count`);
    }
    return this.#blockMessage(verb, this.#blockOf(block), fails);
  }

  #plainMessage(verb: string): MessageAnswer {
    if (verb === "enable") this.#enabled = true;
    else if (verb === "disable") this.#enabled = false;
    else if (verb === "quiet") this.#quiet = !this.#quiet;
    else if (verb === "countbadblocks")
      return `countbadblocks: ${this.#bad.size} badblock(s) found`;
    else if (verb === "listbadblocks") {
      return [...this.#bad.keys()].toSorted((a, b) => a - b).join("\n");
    } else if (verb === "clearbadblocks") {
      const had = this.#bad.size > 0;
      this.#bad.clear();
      return `clearbadblocks: ${had ? "badblocks cleared" : "no badblocks found"}`;
    } else this.#refuse(`unrecognized message '${verb}' received`);
    return undefined;
  }

  #blockMessage(verb: string, block: number, fails: string | undefined): MessageAnswer {
    const known = this.#bad.has(block);
    if (verb === "queryblock") {
      return `queryblock: block ${block} ${known ? "" : "not "}found in badblocklist`;
    }
    if (verb === "removebadblock") {
      if (!this.#bad.delete(block)) this.#refuse(`block ${block} not found in badblocklist`);
      return undefined;
    }
    const count = fails === undefined ? 0 : unsigned(fails, 255);
    if (count === undefined) return this.#refuse(`"${fails}" is no count of writes from 0 to 255`);
    if (known) this.#refuse(`block ${block} already in badblocklist`);
    if (this.#bad.size === MOST_BAD)
      this.#refuse(`${MOST_BAD} bad blocks are all that there may be`);
    this.#bad.set(block, count);
    return undefined;
  }

  #blockOf(word: string | undefined): number {
    const block = unsigned(word);
    if (block !== undefined && block < this.#blocks) return block;
    return this.#refuse(`selected block value out of range; "${word}" of ${this.#blocks}`);
  }

  #block(sector: number): number {
    return Math.floor(sector / this.maxIoLength);
  }

  /** A write makes its block good again, after those that were to fail. */
  #heal(syscall: string, sector: number): void {
    if (!this.#enabled) return;
    const block = this.#block(sector);
    const fails = this.#bad.get(block);
    if (fails === undefined) return;
    if (fails > 0) {
      this.#bad.set(block, fails - 1);
      this.#fail(syscall, block);
    }
    this.#bad.delete(block);
  }

  #fail(syscall: string, block: number): never {
    const detail = `dust: block ${block} is bad`;
    throw new DaxError("EIO", { syscall, path: this.#name, detail });
  }

  #refuse(detail: string): never {
    const told = `device-mapper: dust: ${detail}`;
    throw new DaxError("EINVAL", { syscall: "message", path: this.#name, detail: told });
  }
}

/** `dust DEVICE START BLOCK_SIZE` */
export const dust: TargetType = {
  name: "dust",
  version: [1, 0, 0],
  make(words, context) {
    const { refuse, length, name } = context;
    if (words.length !== 3) {
      refuse(
        "EINVAL",
        "Invalid argument count",
        `DEVICE START BLOCK_SIZE; here are ${words.length}`,
      );
    }
    const size = unsigned(words[2], MOST_UINT);
    const cause = `"${words[2]}"; it is 512 to ${MOST_BLOCK} bytes`;
    if (size === undefined) return refuse("EINVAL", "Invalid block size parameter", cause);
    if (size < SECTOR_SIZE) refuse("EINVAL", "Block size must be at least 512", cause);
    if (!Number.isInteger(Math.log2(size))) {
      refuse("EINVAL", "Block size must be a power of 2", cause);
    }
    if (size > MOST_BLOCK) refuse("EINVAL", "Block size must be at most 1 GiB", cause);
    const start = sectorOf(words[1], "Invalid device offset sector", context);
    const leg = context.open(words[0], "Device lookup failed");
    return new DustTarget({ leg, start, sectors: length }, size, name);
  },
};
