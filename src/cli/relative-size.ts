/**
 * Sizes as truncate(1) and fallocate(1) read them.
 *
 * @module
 */
import { UsageError } from "./command.ts";

const LETTERS = "KMGTPE";

/** Bytes of `10`, `4K` and `4KiB` (1024), `4KB` (1000), up to E. @throws UsageError */
export function parseBytes(text: string, option: string): number {
  const match = /^(\d{1,18}|0x[\da-f]{1,15})(?:([kKMGTPE])(i?B)?)?$/u.exec(text);
  const [, digits = "", letter = "", unit] = match ?? [];
  const base = unit === "B" ? 1000 : 1024;
  const power = letter === "" ? 0 : LETTERS.indexOf(letter.toUpperCase()) + 1;
  const bytes = Number(digits) * base ** power;
  if (match !== null && Number.isSafeInteger(bytes)) return bytes;
  if (match !== null)
    throw new UsageError(`option '${option}' is '${text}'; that is above 2^53 bytes`);
  throw new UsageError(`option '${option}' is '${text}'; write bytes, or a number with K, M, G, T`);
}

/** A size that may depend on the one there is. */
export type SizeRule = (size: number) => number;

/**
 * `10K`, `+10K`, `-10K`, `<10K`, `>10K`, `/10K` (down to a multiple) or `%10K`.
 * @throws UsageError
 */
export function parseSizeRule(text: string, option: string): SizeRule {
  const trimmed = text.trim();
  const [, mark = "", rest = ""] = /^([-+<>/%]?)(.*)$/u.exec(trimmed) ?? [];
  const bytes = parseBytes(rest.trim(), option);
  if ((mark === "/" || mark === "%") && bytes === 0) {
    throw new UsageError(`option '${option}' is '${text}'; a multiple of 0 is none`);
  }
  const rules: Readonly<Record<string, SizeRule>> = {
    "+": (size) => size + bytes,
    "-": (size) => Math.max(0, size - bytes),
    "<": (size) => Math.min(size, bytes),
    ">": (size) => Math.max(size, bytes),
    "/": (size) => size - (size % bytes),
    "%": (size) => Math.ceil(size / bytes) * bytes,
  };
  return rules[mark] ?? (() => bytes);
}
