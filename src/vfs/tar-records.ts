/**
 * The records of pax's extended headers (POSIX.1-2001), as bytes: `LENGTH KEYWORD=VALUE\n`.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import { idOf, printable, sizeOf, tarDamage } from "./tar-headers.ts";

/**
 * Bytes of extended headers that are kept at once. Linux hands out at most 64 KiB of attributes of
 * a file, so nothing that somebody meant is larger.
 */
export const MOST_RECORDS = 2 ** 22;

const EQUALS = 0x3d;
const NEWLINE = 0x0a;
const SPACE = 0x20;
const SCHILY_XATTR = "SCHILY.xattr.";
const LIBARCHIVE_XATTR = "LIBARCHIVE.xattr.";
/** These two may come often in one header, and their order means something. */
const SPARSE_PAIR = new Set(["GNU.sparse.offset", "GNU.sparse.numbytes"]);

/** What extended headers say of a member; keywords are bytes as letters. */
export class TarRecords {
  readonly #values = new Map<string, Uint8Array>();
  readonly #xattrs = new Map<string, Uint8Array>();
  /** `offset` and `numbytes` in turn. */
  readonly #pairs: number[] = [];
  #kept = 0;
  /** Byte at which the last header stood. */
  at = 0;

  /** Records that count where these say nothing. */
  readonly #behind: TarRecords | undefined;

  constructor(behind?: TarRecords) {
    this.#behind = behind;
  }

  /** Takes the records of one header. @throws EUCLEAN, E2BIG */
  add(bytes: Uint8Array, at: number): void {
    this.at = at;
    this.#kept += bytes.length;
    if (this.#kept > MOST_RECORDS) throw tooLarge(at, this.#kept);
    for (let start = 0; start < bytes.length;) {
      const length = lengthAt(bytes, start, at);
      this.#record(bytes.subarray(start, start + length), at);
      start += length;
    }
  }

  #record(record: Uint8Array, at: number): void {
    const space = record.indexOf(SPACE);
    const equals = record.indexOf(EQUALS);
    if (record.at(-1) !== NEWLINE || equals < space) {
      throw tarDamage(at, `a record "${printable(record)}" of an extended header is none`);
    }
    const key = letters(record.subarray(space + 1, equals));
    const value = record.slice(equals + 1, -1);
    if (SPARSE_PAIR.has(key)) this.#pairs.push(decimalNumber(value, at, key));
    else if (key.startsWith(SCHILY_XATTR)) {
      this.#xattrs.set(unescaped(key.slice(SCHILY_XATTR.length)), value);
    } else if (key.startsWith(LIBARCHIVE_XATTR)) {
      const name = percentDecoded(key.slice(LIBARCHIVE_XATTR.length));
      if (!this.#xattrs.has(name)) this.#xattrs.set(name, fromBase64(value, at));
    } else this.#values.set(key, value);
  }

  /** A value; an empty one means that the header's own counts again. */
  bytes(key: string): Uint8Array | undefined {
    const value = this.#values.get(key) ?? this.#behind?.bytes(key);
    return value === undefined || value.length === 0 ? undefined : value;
  }

  /** A value of text. */
  text(key: string): string | undefined {
    const value = this.bytes(key);
    return value === undefined ? undefined : letters(value);
  }

  /** Bytes of something. @throws EUCLEAN */
  size(key: string): number | undefined {
    const value = this.bytes(key);
    return value === undefined
      ? undefined
      : sizeOf(decimalNumber(value, this.at, key), this.at, key);
  }

  /** @throws EUCLEAN */
  id(key: string): number | undefined {
    const value = this.bytes(key);
    return value === undefined ? undefined : idOf(decimalNumber(value, this.at, key), this.at, key);
  }

  /** @throws EUCLEAN */
  time(key: string): Timespec | undefined {
    const value = this.bytes(key);
    return value === undefined ? undefined : decimalTime(letters(value), this.at, key);
  }

  /** Attributes by names in which each letter is a byte. */
  get xattrs(): ReadonlyMap<string, Uint8Array> {
    if (this.#behind === undefined || this.#behind.xattrs.size === 0) return this.#xattrs;
    return new Map([...this.#behind.xattrs, ...this.#xattrs]);
  }

  /** The map of a sparse file of format 0.0. */
  get sparsePairs(): readonly number[] {
    return this.#pairs;
  }
}

function tooLarge(at: number, bytes: number): DaxError {
  const detail = `at byte ${at}: extended headers of ${bytes} bytes; ${MOST_RECORDS} are taken`;
  return new DaxError("E2BIG", { syscall: "tar", detail });
}

function lengthAt(bytes: Uint8Array, start: number, at: number): number {
  let length = 0;
  for (let i = start; i < bytes.length && i < start + 9; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit === SPACE - 0x30 && length > i - start + 2 && start + length <= bytes.length) {
      return length;
    }
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  const seen = printable(bytes.subarray(start, start + 20));
  throw tarDamage(at, `a record of an extended header starts with "${seen}", which is no length`);
}

/** Bytes as letters of the same numbers. */
export function letters(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return text;
}

/** The opposite of {@link letters}. */
export function bytesOfLetters(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function decimalNumber(value: Uint8Array, at: number, key: string): number {
  const text = letters(value.subarray(0, 40));
  if (/^-?\d{1,20}$/u.test(text)) return Number(text);
  throw tarDamage(at, `${key} is "${printable(value)}", which is no number`);
}

/** Seconds as a decimal fraction; what is finer than nanoseconds is cut off towards the past. */
function decimalTime(text: string, at: number, key: string): Timespec {
  const match = /^(-?)(\d{1,15})(?:[.,](\d*))?$/u.exec(text);
  if (match === null) throw tarDamage(at, `${key} is "${text.slice(0, 60)}", which is no time`);
  const [, sign, whole = "0", fraction = ""] = match;
  const nsec = Number(fraction.slice(0, 9).padEnd(9, "0"));
  const finer = /[1-9]/u.test(fraction.slice(9));
  if (sign === "") return { sec: Number(whole), nsec };
  const back = nsec + (finer ? 1 : 0);
  const sec = -Number(whole) - (back > 0 ? 1 : 0);
  return { sec: sec === 0 ? 0 : sec, nsec: back === 0 ? 0 : 1e9 - back };
}

/** The equals sign and the percent sign, as GNU tar writes them in keywords. */
function unescaped(name: string): string {
  return name.replaceAll(/%3D/gu, "=").replaceAll(/%25/gu, "%");
}

function percentDecoded(name: string): string {
  return name.replaceAll(/%([\da-fA-F]{2})/gu, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function fromBase64(value: Uint8Array, at: number): Uint8Array {
  const bytes = new Uint8Array(Math.floor((value.length * 3) / 4));
  let [word, bits, out] = [0, 0, 0];
  for (const byte of value) {
    if (byte === EQUALS) break;
    const digit = BASE64.indexOf(String.fromCharCode(byte));
    if (digit === -1) throw tarDamage(at, `an attribute is "${printable(value)}", not base64`);
    word = ((word << 6) | digit) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[out++] = (word >>> bits) & 0xff;
  }
  return bytes.subarray(0, out);
}
