/**
 * Sizes as people and kernels write them: `64M`, `4G`, `0x1000`.
 *
 * @module
 */
import { DaxError } from "./errno.ts";

const SUFFIXES = "KMGTPE";

/** What {@link memparse} found. */
export interface ParsedNumber {
  /** Modulo 2^64, as the kernel's own arithmetic. */
  readonly value: bigint;
  /** Index of the first character that is no part of the number. */
  readonly next: number;
  /** False when there was no digit; `value` is 0 then. */
  readonly digits: boolean;
}

/**
 * Reads a C-style unsigned number at `at`: `0x` hexadecimal (only before a hexadecimal digit),
 * leading `0` octal, else decimal. Overflow wraps at 2^64, as in the kernel's `simple_strtoull`.
 */
export function parseUnsigned(text: string, at = 0): ParsedNumber {
  const [radix, first] = radixAt(text, at);
  let value = 0n;
  let next = first;
  for (; next < text.length; next++) {
    const digit = digitOf(text.charCodeAt(next));
    if (digit >= radix) break;
    value = BigInt.asUintN(64, value * BigInt(radix) + BigInt(digit));
  }
  return { value, next, digits: next > first };
}

function radixAt(text: string, at: number): [radix: number, first: number] {
  if (text[at] !== "0") return [10, at];
  const hexadecimal = text[at + 1] === "x" || text[at + 1] === "X";
  if (hexadecimal && digitOf(text.charCodeAt(at + 2)) < 16) return [16, at + 2];
  return [8, at];
}

/** The value of a hexadecimal digit, or something larger than any radix. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : 99;
}

/**
 * The kernel's number with one optional suffix K, M, G, T, P or E of either case, each times 1024
 * more. Like the kernel's, it takes a suffix even where no digit stands before it (`value` 0).
 */
export function memparse(text: string, at = 0): ParsedNumber {
  const number = parseUnsigned(text, at);
  const suffix = text[number.next];
  const power = suffix === undefined ? 0 : SUFFIXES.indexOf(suffix.toUpperCase()) + 1;
  if (power === 0) return number;
  const value = BigInt.asUintN(64, number.value << BigInt(10 * power));
  return { value, next: number.next + 1, digits: number.digits };
}

/** The longest text that can be a size; anything longer is refused unread. */
const LONGEST_SIZE = 64;

/**
 * Bytes from a number or a text such as `64M`, `64MiB`, `4G` or `0x1000`; the whole text must be
 * the size. `what` names the value in the error: `pmem[1].size`.
 *
 * @throws EINVAL for anything else, for negative or broken numbers, and at or above 2^53
 */
export function parseSize(input: unknown, what = "size"): number {
  if (typeof input === "number") {
    if (Number.isSafeInteger(input) && input >= 0) return input;
    throw refused(what, String(input));
  }
  if (typeof input !== "string") throw refused(what, describe(input));
  if (input.length > LONGEST_SIZE) {
    throw refused(what, `"${input.slice(0, 16)}…" (${input.length} characters)`);
  }
  if (!/^(0[xX][0-9a-fA-F]+|[0-9]+)([KMGTPEkmgtpe](iB)?)?$/u.test(input)) {
    throw refused(what, `"${input}"`);
  }
  const text = input.endsWith("iB") ? input.slice(0, -2) : input;
  const plain = parseExact(text);
  if (plain >= 2n ** 53n) {
    throw new DaxError("EINVAL", {
      detail: `${what} is ${input}; daxkit counts bytes below 2^53 (8 PiB)`,
    });
  }
  return Number(plain);
}

/** Without the wrap of {@link memparse}: what overflows must be refused, not become small. */
function parseExact(text: string): bigint {
  const power = SUFFIXES.indexOf(text.slice(-1).toUpperCase()) + 1;
  const hexadecimal = /^0x/iu.test(text);
  // E is a digit in hexadecimal.
  const suffixed = power > 0 && !(hexadecimal && power === SUFFIXES.length);
  const digits = suffixed ? text.slice(0, -1) : text;
  const octal = /^0[0-7]+$/u.test(digits);
  return BigInt(octal ? `0o${digits.slice(1)}` : digits) << BigInt(suffixed ? 10 * power : 0);
}

function describe(input: unknown): string {
  if (input === null) return "null";
  return Array.isArray(input) ? "a list" : `of type ${typeof input}`;
}

function refused(what: string, seen: string): DaxError {
  return new DaxError("EINVAL", {
    detail: `${what} is ${seen}; write bytes as a number or as text such as 64M, 4G or 0x1000`,
  });
}

/** Bytes for people, in powers of 1024: `512 B`, `64 MiB`, `1.21 KiB`; at most two decimals. */
export function formatSize(bytes: number | bigint): string {
  let value = Number(bytes);
  let power = 0;
  while (value >= 1024 && power < SUFFIXES.length) {
    value /= 1024;
    power++;
  }
  // 1023.999 would print as 1024.00: that is one of the next unit.
  if (value >= 1023.995 && power > 0 && power < SUFFIXES.length) {
    value = 1;
    power++;
  }
  const digits = Number.isInteger(value) ? String(value) : value.toFixed(2).replace(/\.?0+$/u, "");
  return power === 0 ? `${digits} B` : `${digits} ${SUFFIXES[power - 1]}iB`;
}
