/**
 * Arguments as they were when a call was made: what a program changes afterwards does not count.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** Levels of objects inside objects: options hold no more. */
const MOST_LEVELS = 4;

/** A copy that can be written down; functions and signals are left out. */
export function copied(value: unknown, level = 0): unknown {
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) {
    return Buffer.from(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  }
  if (value instanceof Date) return new Date(value);
  if (value instanceof URL) return fileURLToPath(value);
  if (value instanceof AbortSignal || level > MOST_LEVELS) return undefined;
  if (Array.isArray(value)) return value.map((each) => copied(each, level + 1));
  const entries = Object.entries(value).map(([key, each]) => [key, copied(each, level + 1)]);
  return Object.fromEntries(entries.filter(([, each]) => each !== undefined)) as object;
}
