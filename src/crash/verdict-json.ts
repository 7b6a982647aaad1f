/**
 * Verdicts as JSON: counts as decimal strings, because they may be larger than any number; bytes as
 * hexadecimal strings.
 *
 * @module
 */
import type { Verdict } from "./verdict.ts";

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Labels and errors are somebody else's objects, and may be deep or cyclic. */
const MOST_DEPTH = 12;

/** The verdict, ready for `JSON.stringify`. */
export function toJson(verdict: Verdict): Json {
  return jsonOf(verdict, 0);
}

function jsonOf(value: unknown, depth: number): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return hexOf(value);
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (typeof value !== "object") return typeof value;
  if (depth === MOST_DEPTH) return "…";
  if (Array.isArray(value)) return value.map((item) => jsonOf(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) =>
      item === undefined || typeof item === "function" ? [] : [[key, jsonOf(item, depth + 1)]],
    ),
  );
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
