/**
 * Numbers on the command line, and sizes in tables.
 *
 * @module
 */
import { UsageError } from "./command.ts";

/** Reads an unsigned decimal number, the value of `option`. @throws UsageError */
export function parseCount(text: string, option: string): number {
  const value = Number(text);
  if (!/^\d+$/u.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError(`option '${option}' is '${text}'; write an unsigned decimal number`);
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
