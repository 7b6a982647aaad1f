/**
 * Readers for data of unknown shape: a machine file, a JSON document, an options object. Each says
 * where it looked, what it saw and what it takes; nothing unknown is passed over.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import { parseSize, parseUnsigned } from "../lib/size.ts";
import { closest } from "../lib/suggest.ts";

/** Where a value stands: `["pmem", 1, "size"]`. */
export type KeyPath = readonly (string | number)[];

/** EINVAL with the place in the description; a file's reader adds line and column. */
export class DescriptionError extends DaxError {
  readonly keyPath: KeyPath;
  /** Whether the last key itself is at fault, not its value. */
  readonly atKey: boolean;

  constructor(keyPath: KeyPath, detail: string, atKey = false) {
    const where = keyPath.length === 0 ? "the description" : pathText(keyPath);
    super("EINVAL", { syscall: "describe", detail: `${where}${detail}` });
    this.keyPath = keyPath;
    this.atKey = atKey;
  }
}

/** `pmem[1].size`; empty for the whole description. */
export function pathText(path: KeyPath): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else text += text === "" ? key : `.${key}`;
  }
  return text;
}

/** Reads one value. @throws DescriptionError */
export type Reader<T> = (value: unknown, path: KeyPath) => T;

/** How one key of an object is read. */
export type Readers = Readonly<Record<string, Reader<unknown>>>;

/** The object that a set of readers makes; keys that are left out stay out. */
export type Read<R extends Readers> = {
  readonly [K in keyof R]?: R[K] extends Reader<infer T> ? T : never;
};

const LONGEST_LIST = 256;
const LONGEST_TEXT = 4096;

/** An object with some of the given keys and no others; a value of null counts as left out. */
export function object<const R extends Readers>(readers: R): Reader<Read<R>> {
  const known = Object.keys(readers);
  return (value, path) => {
    if (!isObject(value)) refuse(path, value, `a mapping with keys of ${known.join(", ")}`);
    const made: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const reader = Object.hasOwn(readers, key) ? readers[key] : undefined;
      if (reader === undefined)
        throw new DescriptionError([...path, cut(key)], unknown(key, known), true);
      if (item !== null && item !== undefined) made[key] = reader(item, [...path, key]);
    }
    return made as Read<R>;
  };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unknown(key: string, known: readonly string[]): string {
  const guess = key.length > 64 ? undefined : closest(key, known);
  const advice = guess === undefined ? `known are ${known.join(", ")}` : `did you mean ${guess}?`;
  return ` is no known key; ${advice}`;
}

/** A list of at most 256 items; a single item where a list is wanted counts as a list of one. */
export function listOf<T>(reader: Reader<T>): Reader<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) return [reader(value, path)];
    if (value.length > LONGEST_LIST) {
      throw new DescriptionError(path, ` has ${value.length} items; ${LONGEST_LIST} are the most`);
    }
    return value.map((item: unknown, index) => reader(item, [...path, index]));
  };
}

/** Text without control characters. */
export const text: Reader<string> = (value, path) => {
  if (typeof value !== "string" || value === "") refuse(path, value, "a text");
  if (value.length > LONGEST_TEXT) {
    throw new DescriptionError(
      path,
      ` has ${value.length} characters; ${LONGEST_TEXT} are the most`,
    );
  }
  // oxlint-disable-next-line no-control-regex -- to refuse them is the point
  if (/[\u0000-\u001f\u007f]/u.test(value)) refuse(path, value, "a text in one line");
  return value;
};

/** `true` or `false`. */
export const flag: Reader<boolean> = (value, path) =>
  typeof value === "boolean" ? value : refuse(path, value, "true or false");

/** A whole number from 0. */
export const count: Reader<number> = (value, path) =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? value
    : refuse(path, value, "a whole number from 0 up");

/** One of some words. */
export function oneOf<const W extends string>(...words: readonly W[]): Reader<W> {
  return (value, path) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const guess = typeof value === "string" ? closest(value.slice(0, 64), words) : undefined;
    const advice = guess === undefined ? "" : ` (did you mean ${guess}?)`;
    return refuse(path, value, `one of ${words.join(", ")}${advice}`);
  };
}

/** Bytes: a number, or text such as `64M`. */
export const size: Reader<number> = (value, path) => {
  try {
    return parseSize(value, pathText(path));
  } catch (error) {
    if (!isDaxError(error, "EINVAL")) throw error;
    const detail = error.detail ?? "";
    const name = pathText(path);
    throw new DescriptionError(path, detail.startsWith(name) ? detail.slice(name.length) : detail);
  }
};

/** Bytes, at least one. */
export const positiveSize: Reader<number> = (value, path) => {
  const bytes = size(value, path);
  return bytes > 0 ? bytes : refuse(path, value, "a size above 0");
};

/** A physical address below 2^64: a number, or text such as `4G` or `0x100000000`. */
export const address: Reader<bigint> = (value, path) => {
  if (typeof value === "bigint" && value >= 0n && value < 1n << 64n) return value;
  if (typeof value === "string" && /^0x[0-9a-f]{1,16}$/iu.test(value)) {
    return parseUnsigned(value).value;
  }
  return BigInt(size(value, path));
};

/** Refuses a value by name. */
export function refuse(path: KeyPath, value: unknown, accepted: string): never {
  throw new DescriptionError(path, ` is ${seen(value)}; it takes ${accepted}`);
}

/** A value in few words. */
function seen(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(cut(value));
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  return String(value);
}

function cut(value: string): string {
  return value.length > 40 ? `${value.slice(0, 40)}…` : value;
}
