/**
 * The 512 bytes before a member of a tar archive, in each of the layouts that there are: v7, ustar
 * (POSIX.1-1988), GNU's and star's. What extended headers say is not known here.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import { BLOCK } from "./tar-format.ts";

/** What an archive cannot be. `at` is the byte at which the structure starts. */
export function tarDamage(at: number, detail: string): DaxError {
  return new DaxError("EUCLEAN", { syscall: "tar", detail: `at byte ${at}: ${detail}` });
}

/** A header as it stands. Names are cut at their first NUL. */
export interface RawHeader {
  /** Byte of the archive at which it starts. */
  readonly at: number;
  /** The letter; "0" for a NUL. */
  readonly type: string;
  readonly name: Uint8Array;
  readonly link: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes that follow. */
  readonly size: number;
  readonly mtime: Timespec;
  readonly atime: Timespec | undefined;
  readonly ctime: Timespec | undefined;
  readonly major: number;
  readonly minor: number;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
}

type Layout = "v7" | "ustar" | "gnu" | "star";

const CHECKSUM_AT = 148;
const CHECKSUM_SIZE = 8;
const SPACE = 0x20;
const SLASH = 0x2f;
/** Ids that somebody wrote as negative numbers are what C makes of them. */
const ID_SPAN = 2 ** 32;

/** Whether a block holds nothing: two of them end an archive. */
export function isZeroBlock(block: Uint8Array): boolean {
  for (let i = 0; i < BLOCK; i++) if (block[i] !== 0) return false;
  return true;
}

/**
 * Decodes a block that is no zero block.
 * @throws EBADMSG for a wrong checksum, EUCLEAN for a number that is none
 */
export function decodeHeader(block: Uint8Array, at: number): RawHeader {
  checkSum(block, at);
  const layout = layoutOf(block);
  const number = (start: number, size: number, what: string): number =>
    numberField(block.subarray(start, start + size), at, what);
  const time = (start: number, what: string): Timespec => ({
    sec: number(start, 12, what),
    nsec: 0,
  });
  const device = layout !== "v7";
  const typed = block[156] as number;
  return {
    at,
    type: typed === 0 ? "0" : String.fromCharCode(typed),
    name: nameOf(block, layout),
    link: cut(block.subarray(157, 257)).slice(),
    mode: number(100, 8, "mode") & 0o7777,
    uid: idOf(number(108, 8, "uid"), at, "uid"),
    gid: idOf(number(116, 8, "gid"), at, "gid"),
    size: sizeOf(number(124, 12, "size"), at, "size"),
    mtime: time(136, "mtime"),
    atime: layout === "gnu" && block[345] !== 0 ? time(345, "atime") : undefined,
    ctime: layout === "gnu" && block[357] !== 0 ? time(357, "ctime") : undefined,
    major: device ? number(329, 8, "devmajor") : 0,
    minor: device ? number(337, 8, "devminor") : 0,
    uname: device ? cut(block.subarray(265, 297)).slice() : new Uint8Array(0),
    gname: device ? cut(block.subarray(297, 329)).slice() : new Uint8Array(0),
  };
}

/** An id as 32 bits have it. @throws EUCLEAN */
export function idOf(value: number, at: number, what: string): number {
  if (value >= -ID_SPAN / 2 && value < 0) return value + ID_SPAN;
  if (Number.isInteger(value) && value >= 0 && value < ID_SPAN) return value;
  throw tarDamage(at, `${what} is ${value}; ids have 32 bits`);
}

/** Bytes. @throws EUCLEAN */
export function sizeOf(value: number, at: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw tarDamage(at, `${what} is ${value}; it is 0 to ${Number.MAX_SAFE_INTEGER}`);
}

/** What stands before the first NUL. */
export function cut(bytes: Uint8Array): Uint8Array {
  const length = bytes.indexOf(0);
  return length === -1 ? bytes : bytes.subarray(0, length);
}

/**
 * A number as headers hold it: octal digits between blanks, or from a first byte of 128 on binary,
 * the highest byte first. A blank field is 0.
 * @throws EUCLEAN
 */
export function numberField(field: Uint8Array, at: number, what: string): number {
  if (((field[0] ?? 0) & 0x80) !== 0) return binary(field, at, what);
  let i = 0;
  while (field[i] === SPACE || field[i] === 0) i++;
  let value = 0;
  for (; i < field.length; i++) {
    const digit = (field[i] as number) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  const ended = i === field.length || field[i] === SPACE || field[i] === 0;
  if (ended) return value;
  throw tarDamage(at, `${what} is "${printable(field)}", which is no octal number`);
}

function binary(field: Uint8Array, at: number, what: string): number {
  const negative = ((field[0] as number) & 0x40) !== 0;
  let value = negative ? -1n : 0n;
  for (const [i, byte] of field.entries()) {
    value = i === 0 ? value * 64n + BigInt(byte & 0x3f) : value * 256n + BigInt(byte);
  }
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw tarDamage(at, `${what} is ${value}, which is more than 2^53`);
}

/** Bytes for an error's text. */
export function printable(bytes: Uint8Array): string {
  return String.fromCharCode(...cut(bytes).subarray(0, 60)).replaceAll(/[^ -~]/gu, "?");
}

function layoutOf(block: Uint8Array): Layout {
  const magic = String.fromCharCode(...block.subarray(257, 265));
  if (magic === "ustar  \0") return "gnu";
  if (!magic.startsWith("ustar")) return "v7";
  return String.fromCharCode(...block.subarray(508, 512)) === "tar\0" ? "star" : "ustar";
}

/** ustar and star have room for the first part of a long name. */
function nameOf(block: Uint8Array, layout: Layout): Uint8Array {
  const name = cut(block.subarray(0, 100));
  if (layout === "v7" || layout === "gnu") return name.slice();
  const prefix = cut(block.subarray(345, layout === "star" ? 476 : 500));
  if (prefix.length === 0) return name.slice();
  return Uint8Array.of(...prefix, SLASH, ...name);
}

/** Some writers of old summed signed bytes. */
function checkSum(block: Uint8Array, at: number): void {
  let [sum, signed] = [CHECKSUM_SIZE * SPACE, CHECKSUM_SIZE * SPACE];
  for (let i = 0; i < BLOCK; i++) {
    if (i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_SIZE) continue;
    const byte = block[i] as number;
    sum += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  const field = block.subarray(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_SIZE);
  const stored = octalSum(field);
  if (stored === sum || stored === signed) return;
  const what = at === 0 ? "this is no tar archive, or its first header is damaged" : "not a header";
  const detail = `at byte ${at}: ${what}: checksum "${printable(field)}", not ${sum.toString(8)}`;
  throw new DaxError("EBADMSG", { syscall: "tar", detail });
}

function octalSum(field: Uint8Array): number | undefined {
  const match = /^[ \0]*([0-7]{1,8})/u.exec(String.fromCharCode(...field));
  return match === null ? undefined : Number.parseInt(match[1] as string, 8);
}
