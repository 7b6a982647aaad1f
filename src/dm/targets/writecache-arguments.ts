/**
 * The arguments of writecache.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";
import { Arguments, MOST_UINT } from "../arguments.ts";
import type { Leg } from "../leg.ts";
import type { TargetContext } from "../target.ts";
import { unsigned } from "../words.ts";

/** Words of all options together. */
const MOST_WORDS = 18;

/** What a cache is made of. */
export interface WritecacheOptions {
  readonly mode: "p" | "s";
  readonly origin: Leg;
  readonly cache: Leg;
  /** Bytes. */
  readonly blockSize: number;
  /** Of the cache device. */
  readonly startSector: number;
  /** Percent of the blocks in use at which writing back begins, and at which it ends. */
  readonly high: number;
  readonly low: number;
  /** Uncommitted blocks at which they are committed. */
  readonly autocommitBlocks: number;
  /** Milliseconds after which they are. */
  readonly autocommitTime: number;
  /** Milliseconds after which a block is written back; Infinity: never for that. */
  readonly maxAge: number;
  readonly cleaner: boolean;
  readonly metadataOnly: boolean;
  /** The options as `dmsetup table` prints them. */
  readonly words: readonly string[];
}

/**
 * Options with a number: what it may be, and whether only pmem or only SSD mode has it. All but the
 * first are of 32 bits.
 */
const NUMBERS: Readonly<Record<string, readonly [most: number, mode?: "p" | "s"]>> = {
  start_sector: [Infinity],
  high_watermark: [100],
  low_watermark: [100],
  writeback_jobs: [MOST_UINT],
  autocommit_blocks: [MOST_UINT],
  autocommit_time: [3_600_000],
  max_age: [86_400_000],
  pause_writeback: [60_000, "s"],
};
const FLAGS: Readonly<Record<string, "p" | "s" | undefined>> = {
  cleaner: undefined,
  fua: "p",
  nofua: "p",
  metadata_only: undefined,
};
/** The order in which the kernel prints them. */
const ORDER = [
  "start_sector",
  "high_watermark",
  "low_watermark",
  "writeback_jobs",
  "autocommit_blocks",
  "autocommit_time",
  "max_age",
  "cleaner",
  "fua",
  "nofua",
  "metadata_only",
  "pause_writeback",
];

/** @throws EINVAL and ENODEV in the kernel's words */
export function readWritecache(
  words: readonly string[],
  context: TargetContext,
): WritecacheOptions {
  const bad = (cause: string): never => context.refuse("EINVAL", "Bad arguments", cause);
  const given = new Arguments(words, context);
  const mode = given.word()?.toLowerCase();
  if (mode !== "p" && mode !== "s") return bad(`"${mode ?? ""}" is neither p nor s`);
  const [originWord, cacheWord, sizeWord] = given.take(3);
  if (sizeWord === undefined) return bad("p|s ORIGIN CACHE BLOCK_SIZE COUNT [OPTION]...");
  const origin = context.open(originWord, "Origin data device lookup failed");
  const cache = context.open(cacheWord, "Cache data device lookup failed");
  const blockSize = sizeOf(sizeWord, origin, cache, context);
  const group = given.group(0, MOST_WORDS, "Invalid number of feature args");
  const chosen = optionsOf(group, mode, cache, context);
  const number = (name: string, usual: number): number => Number(chosen.get(name) ?? usual);
  const [high, low] = [number("high_watermark", 50), number("low_watermark", 45)];
  if (high < low) {
    const error = "High watermark must be greater than or equal to low watermark";
    context.refuse("EINVAL", error, `${high} and ${low} percent`);
  }
  return {
    mode,
    origin,
    cache,
    blockSize,
    startSector: number("start_sector", 0),
    high,
    low,
    autocommitBlocks: number("autocommit_blocks", mode === "p" ? 64 : 65_536),
    autocommitTime: number("autocommit_time", 1000),
    maxAge: number("max_age", Infinity),
    cleaner: chosen.has("cleaner"),
    metadataOnly: chosen.has("metadata_only"),
    words: ORDER.filter((name) => chosen.has(name)).flatMap((name) => {
      const value = chosen.get(name);
      return value === undefined ? [name] : [name, value];
    }),
  };
}

function sizeOf(word: string, origin: Leg, cache: Leg, context: TargetContext): number {
  const size = unsigned(word, PAGE_SIZE, 32) ?? 0;
  const fits = size >= SECTOR_SIZE && Number.isInteger(Math.log2(size));
  const least = Math.max(
    origin.device.limits.logicalBlockSize,
    cache.device.limits.logicalBlockSize,
  );
  const cause = `"${word}"; a power of two from ${SECTOR_SIZE} to ${PAGE_SIZE}`;
  if (!fits) return context.refuse("EINVAL", "Invalid block size", cause);
  if (size < least) {
    const error = "Block size is smaller than device logical block size";
    return context.refuse("EINVAL", error, `${size} and ${least} bytes`);
  }
  return size;
}

function optionsOf(
  group: Arguments,
  mode: "p" | "s",
  cache: Leg,
  context: TargetContext,
): Map<string, string | undefined> {
  const chosen = new Map<string, string | undefined>();
  const wrong = (cause: string): never =>
    context.refuse("EINVAL", "Invalid optional argument", cause);
  while (group.left > 0) {
    const name = (group.word() ?? "").toLowerCase();
    if (Object.hasOwn(FLAGS, name)) {
      if (FLAGS[name] !== undefined && FLAGS[name] !== mode) wrong(`${name} is of the other mode`);
      chosen.set(name, undefined);
      continue;
    }
    const rule = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
    if (rule === undefined) return wrong(`"${name}" is none`);
    const value = group.word();
    const isSector = name === "start_sector";
    const number = unsigned(value, rule[0], isSector ? 64 : 32);
    if (number === undefined) return wrong(`${name} takes a number up to ${rule[0]}`);
    if (isSector && number >= cache.device.sectors) {
      wrong(`${cache.device.name} has ${cache.device.sectors} sectors, and not one at ${number}`);
    }
    if (rule[1] !== undefined && rule[1] !== mode) wrong(`${name} is of the other mode`);
    chosen.set(name, String(number));
  }
  return chosen;
}
