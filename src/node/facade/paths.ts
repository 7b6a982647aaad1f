/**
 * Paths and names on their way in and out: strings as Node takes them, Buffers with exact bytes,
 * file URLs.
 *
 * Inside the stack a byte that is no UTF-8 is a lone surrogate (`lib/utf8.ts`). Outside, it is what
 * Node makes of it: U+FFFD in a string, itself in a Buffer.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import { invalidType, invalidValue } from "./arguments.ts";

/** A path, as the stack wants it and as errors show it. */
export interface PathArgument {
  /** Bytes that are no UTF-8 escaped. */
  readonly path: string;
  /** What an error calls it. */
  readonly shown: string;
  /** Whether the caller passed bytes; names that derive from it are then exact. */
  readonly bytes: boolean;
}

/** Matches pairs too: they take the slow way, which is right for them as well. */
const SURROGATE = /[\ud800-\udfff]/u;

/** Without lone surrogates: what Node's encoder makes of a string. */
function wellFormed(text: string): string {
  return SURROGATE.test(text) ? Buffer.from(text).toString() : text;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for a NUL, ERR_INVALID_URL_SCHEME … */
export function pathOf(value: unknown, name = "path"): PathArgument {
  const given = value instanceof URL ? fileURLToPath(value) : value;
  if (typeof given === "string") {
    if (given.includes("\0")) throw nulByte(name, given);
    const path = wellFormed(given);
    return { path, shown: path, bytes: false };
  }
  if (given instanceof Uint8Array) {
    if (given.includes(0)) throw nulByte(name, given);
    const shown = Buffer.from(given.buffer, given.byteOffset, given.byteLength).toString();
    return { path: decodeUtf8(given), shown, bytes: true };
  }
  throw invalidType(name, "of type string or an instance of Buffer or URL", given);
}

function nulByte(name: string, value: unknown): TypeError {
  return invalidValue(name, value, "must be a string, Uint8Array, or URL without null bytes");
}

/** A name of the stack in the encoding a caller wants; `"buffer"` gives its bytes. */
export function nameAs(name: string, encoding: string | null | undefined): string | Buffer {
  const plain = encoding === undefined || encoding === null || /^utf-?8$/iu.test(encoding);
  if (plain && !SURROGATE.test(name)) return name;
  const bytes = Buffer.from(encodeUtf8(name));
  if (encoding === "buffer") return bytes;
  return bytes.toString(plain ? "utf8" : (encoding as BufferEncoding));
}

/** How an error or a log shows a path of the stack: bytes that are no UTF-8 as U+FFFD. */
export function shownPath(path: string): string {
  return nameAs(path, "utf8") as string;
}
