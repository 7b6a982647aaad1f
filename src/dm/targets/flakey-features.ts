/**
 * What flakey does while it is down.
 *
 * @module
 */
import { type Arguments, MOST_UINT } from "../arguments.ts";
import type { TargetContext } from "../target.ts";

/** One byte of each request reads or is written otherwise. */
interface Corruption {
  /** From 1, within each request. */
  readonly byte: number;
  readonly direction: "r" | "w";
  readonly value: number;
  /** Bits that a request must have, all of them. */
  readonly flags: number;
}

/** What goes wrong; without any feature, every request fails. */
export interface FlakeyFeatures {
  readonly errorReads: boolean;
  readonly errorWrites: boolean;
  readonly dropWrites: boolean;
  readonly corrupt: Corruption | undefined;
  /** Of 10^9 requests, so many; 0: none. */
  readonly randomRead: number;
  readonly randomWrite: number;
  /** How many words said so. */
  readonly count: number;
}

/** Words of all features together. */
const MOST_WORDS = 13;

type Mutable = { -readonly [K in keyof FlakeyFeatures]: FlakeyFeatures[K] };

/** Reads `COUNT FEATURE...`. @throws EINVAL in the kernel's words */
export function readFeatures(given: Arguments, context: TargetContext): FlakeyFeatures {
  const features: Mutable = {
    errorReads: false,
    errorWrites: false,
    dropWrites: false,
    corrupt: undefined,
    randomRead: 0,
    randomWrite: 0,
    count: 0,
  };
  if (given.left > 0) {
    const words = given.group(0, MOST_WORDS, "Invalid number of feature args");
    features.count = words.left;
    while (words.left > 0) readFeature(words, features, context);
  }
  checkTogether(features, context);
  if (features.count === 0) [features.errorReads, features.errorWrites] = [true, true];
  return features;
}

function readFeature(words: Arguments, features: Mutable, { refuse }: TargetContext): void {
  const name = (words.word() ?? "").toLowerCase();
  const duplicated = (): never => refuse("EINVAL", `Feature ${name} duplicated`, "once is enough");
  const conflict = (other: string): never =>
    refuse("EINVAL", `Feature ${name} conflicts with feature ${other}`, "choose one of them");
  if (name === "error_reads") {
    if (features.errorReads) duplicated();
    features.errorReads = true;
  } else if (name === "drop_writes") {
    if (features.dropWrites) duplicated();
    if (features.errorWrites) conflict("error_writes");
    features.dropWrites = true;
  } else if (name === "error_writes") {
    if (features.errorWrites) duplicated();
    if (features.dropWrites) conflict("drop_writes");
    features.errorWrites = true;
  } else if (name === "corrupt_bio_byte") features.corrupt = readCorruption(words, refuse);
  else if (name === "random_read_corrupt") features.randomRead = readShare(words);
  else if (name === "random_write_corrupt") features.randomWrite = readShare(words);
  else refuse("EINVAL", "Unrecognised flakey feature requested", `"${name}" is none`);
}

function readCorruption(words: Arguments, refuse: TargetContext["refuse"]): Corruption {
  if (words.left === 0) {
    refuse("EINVAL", "Feature corrupt_bio_byte requires parameters", "BYTE r|w VALUE FLAGS");
  }
  const byte = words.number(1, MOST_UINT, "Invalid corrupt bio byte");
  const direction = words.word()?.toLowerCase();
  if (direction !== "r" && direction !== "w") {
    return refuse("EINVAL", "Invalid corrupt bio direction (r or w)", `"${direction ?? ""}"`);
  }
  const value = words.number(0, 255, "Invalid corrupt value to write into bio byte (0-255)");
  return {
    byte,
    direction,
    value,
    flags: words.number(0, MOST_UINT, "Invalid corrupt bio flags mask"),
  };
}

function readShare(words: Arguments): number {
  return words.number(0, 1_000_000_000, "Invalid random corrupt argument");
}

function checkTogether(features: FlakeyFeatures, { refuse }: TargetContext): void {
  if (features.corrupt?.direction !== "w") return;
  const cause = "no write arrives that could be changed";
  const error = "is incompatible with corrupt_bio_byte with the WRITE flag set";
  if (features.dropWrites) refuse("EINVAL", `drop_writes ${error}`, cause);
  if (features.errorWrites) refuse("EINVAL", `error_writes ${error}`, cause);
}

/** As `dmsetup table` prints them: every word has a blank behind it. */
export function featureWords(features: FlakeyFeatures): string {
  if (features.count === 0) return "0 ";
  const { errorReads, errorWrites, dropWrites, corrupt, randomRead, randomWrite } = features;
  const words: (string | number)[] = [];
  if (errorReads) words.push("error_reads");
  if (dropWrites) words.push("drop_writes");
  if (errorWrites) words.push("error_writes");
  if (corrupt !== undefined) {
    words.push("corrupt_bio_byte", corrupt.byte, corrupt.direction, corrupt.value, corrupt.flags);
  }
  if (randomRead > 0) words.push("random_read_corrupt", randomRead);
  if (randomWrite > 0) words.push("random_write_corrupt", randomWrite);
  return `${[words.length, ...words].join(" ")} `;
}
