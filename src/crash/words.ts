/**
 * Counts, bytes, events and places in words.
 *
 * @module
 */
import type { CallSite } from "../lib/call-site.ts";
import type { EventNote } from "./verdict.ts";

/** Digits up to which a count is written out. */
const MOST_DIGITS = 30;
/** Promises that are named. */
const MOST_PROMISES = 4;

/** With a comma every three digits; very large ones as a power of ten. */
export function count(number: bigint | number): string {
  const digits = number.toString();
  if (digits.length > MOST_DIGITS) {
    return `${digits[0]}.${digits.slice(1, 4)} x 10^${digits.length - 1}`;
  }
  return digits.replaceAll(/\B(?=(?:\d{3})+$)/gu, ",");
}

/** `1 run`, `2 runs`. */
export function plural(number: bigint | number, noun: string): string {
  return `${count(number)} ${noun}${BigInt(number) === 1n ? "" : "s"}`;
}

/** Rounded down: what was not all checked is never 100 %. */
export function percent(part: bigint, whole: bigint): string {
  const hundredths = whole === 0n ? 0n : (part * 10_000n) / whole;
  if (hundredths === 0n) return part === 0n ? "0 %" : "less than 0.01 %";
  return `${hundredths / 100n}.${(hundredths % 100n).toString().padStart(2, "0")} %`;
}

/** Hexadecimal, at most `most` bytes of it. */
export function hex(bytes: Uint8Array, most: number): string {
  const shown = Array.from(bytes.subarray(0, most), (byte) => byte.toString(16).padStart(2, "0"));
  return shown.join(" ") + (bytes.length > most ? " ..." : "");
}

/** The bytes as text, dots standing for what is none; empty when nothing of it is text. */
export function text(bytes: Uint8Array, most: number): string {
  const shown = Array.from(bytes.subarray(0, most), (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".",
  ).join("");
  return /[^.]{3}/u.test(shown) ? shown : "";
}

/** The kind of an event in words. */
export function kindWord(kind: EventNote["kind"]): string {
  return kind === "copyNonTemporal" ? "non-temporal copy" : kind;
}

/** The event without its place: `copy of 12 bytes at 64`. */
export function whatOf({ kind, offset, length, label }: EventNote): string {
  if (kind === "ack") return `ack ${labelOf(label)}`;
  if (kind === "fence" || kind === "end") return kind;
  return `${kindWord(kind)} of ${plural(length ?? 0, "byte")} at ${offset}`;
}

/** `examples/log.ts:12 in append`, or nothing when it is not known. */
export function placeOf(
  site: CallSite | undefined,
  shorten: (file: string) => string,
  spot: typeof spotOf = lineOf,
): string {
  if (site === undefined) return "";
  const caller = site.function === undefined ? "" : ` in ${site.function}`;
  return `${spot(site, shorten)}${caller}`;
}

/** `examples/log.ts:12:9`, which editors open; or nothing when it is not known. */
export function spotOf(site: CallSite | undefined, shorten: (file: string) => string): string {
  return site === undefined ? "" : `${shorten(site.file)}:${site.line}:${site.column}`;
}

function lineOf(site: CallSite | undefined, shorten: (file: string) => string): string {
  return site === undefined ? "" : `${shorten(site.file)}:${site.line}`;
}

/** What was promised. */
export function promises(acked: readonly unknown[]): string {
  if (acked.length === 0) return "nothing";
  const named = acked.slice(-MOST_PROMISES).map(labelOf).join(", ");
  return acked.length > MOST_PROMISES ? `${acked.length}, the last being ${named}` : named;
}

function labelOf(label: unknown): string {
  if (typeof label === "string") return JSON.stringify(label);
  if (typeof label !== "object" || label === null) return String(label);
  try {
    return JSON.stringify(label) ?? "an object";
  } catch {
    return "an object";
  }
}
