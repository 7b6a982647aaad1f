/**
 * Sizes on the command line and in tables: `64M`, `0x1000`, `4GiB`; powers of 1024, as `memmap=`,
 * ndctl and mke2fs count.
 *
 * @module
 */
import { UsageError } from "./command.ts";

const SUFFIXES = "KMGTP";
const SIZE = /^(0x[0-9a-f]+|\d+)(?:([KMGTP])(?:iB)?)?$/iu;

/** Reads a number of bytes. @throws UsageError with what is accepted, and above 2^53 - 1 */
export function parseSize(text: string): number {
  const [, digits, suffix] = SIZE.exec(text) ?? [];
  if (digits === undefined) {
    throw new UsageError(
      `'${text}' is no size: write bytes, or a number with K, M, G, T or P (powers of 1024)`,
    );
  }
  const power = suffix === undefined ? 0 : SUFFIXES.indexOf(suffix.toUpperCase()) + 1;
  const bytes = Number(digits) * 1024 ** power;
  if (!Number.isSafeInteger(bytes)) throw new UsageError(`size '${text}' is beyond 2^53 bytes`);
  return bytes;
}

/** Reads an unsigned decimal number. @throws UsageError */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/u.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError(`'${text}' is no number: write an unsigned decimal number`);
  }
  return value;
}

/**
 * A size for people, rounded up as `ls -h` and `df -h` do: below 10 units one digit behind the
 * point, otherwise none.
 */
export function humanSize(bytes: number): string {
  if (bytes < 1024) return String(bytes);
  let value = bytes;
  let power = 0;
  while (value >= 1024 && power < 6) {
    value /= 1024;
    power++;
  }
  const tenths = Math.ceil(value * 10) / 10;
  if (tenths < 10) return `${tenths.toFixed(1)}${unit(power)}`;
  const whole = Math.ceil(value);
  return whole < 1024 || power === 6 ? `${whole}${unit(power)}` : `1.0${unit(power + 1)}`;
}

function unit(power: number): string {
  return "KMGTPE"[power - 1] ?? "";
}
