/**
 * The order of names: by their bytes, as strcmp(3) compares them.
 *
 * @module
 */
import { encodeUtf8 } from "../lib/utf8.ts";

/** UTF-16 orders as UTF-8 does, except where surrogates meet what comes behind them. */
const SURROGATE = /[\ud800-\udfff]/u;

/** Below 0 when `a` comes before `b`, above 0 behind it, 0 for the same name. */
export function compareNames(a: string, b: string): number {
  if (SURROGATE.test(a) || SURROGATE.test(b)) return compareBytes(encodeUtf8(a), encodeUtf8(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
