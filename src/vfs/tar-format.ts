/**
 * The blocks of a tar archive in pax format (POSIX.1-2001), laid out as GNU tar lays them out, so
 * that archives can be compared byte by byte.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";

/** Bytes in a block; headers are one, and contents are padded to them. */
export const BLOCK = 512;
/** An archive ends on a multiple of this: 20 blocks. */
export const RECORD = 20 * BLOCK;

/** The largest numbers that fields of 8 and 12 bytes hold as octal digits. */
const MOST_7 = 0o7777777;
const MOST_11 = 0o77777777777;
/** Bytes of `name` and of `linkname`. */
const NAME_BYTES = 100;

/** One member. */
export interface Member {
  /** `0` file, `1` link, `2` symbolic link, `3` character, `4` block, `5` directory, `6` fifo. */
  readonly type: "0" | "1" | "2" | "3" | "4" | "5" | "6";
  /** Bytes; a directory ends in a slash. */
  readonly name: Uint8Array;
  readonly link: Uint8Array | undefined;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; 0 for anything but a file. */
  readonly size: number;
  readonly mtime: Timespec;
  readonly major: number;
  readonly minor: number;
  /** Extended attributes in order; names as bytes. */
  readonly xattrs: readonly (readonly [name: Uint8Array, value: Uint8Array])[];
}

/** The headers of a member: its own, behind an extended one where fields are too narrow. */
export function encodeMember(member: Member): Uint8Array[] {
  const records = recordsOf(member);
  const blocks: Uint8Array[] = [];
  if (records.length > 0) {
    const body = joined(records);
    blocks.push(extendedHeader(member, body.length), padded(body));
  }
  blocks.push(memberHeader(member));
  return blocks;
}

/** Zeros behind `size` bytes of content, up to the next block. */
export function paddingAfter(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes.length + paddingAfter(bytes.length));
  whole.set(bytes);
  return whole;
}

/** `27 mtime=1700000000.5\n`: the length counts itself. */
function record(keyword: Uint8Array, value: Uint8Array): Uint8Array {
  const rest = keyword.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return joined([ascii(`${length} `), keyword, ascii("="), value, ascii("\n")]);
}

/** What needs a record: other readers guess the character set of a header, and cut its names. */
function isPlain(bytes: Uint8Array): boolean {
  return bytes.length <= NAME_BYTES && bytes.every((byte) => byte < 0x80);
}

/** The order is GNU tar's. */
function recordsOf(member: Member): Uint8Array[] {
  const records: Uint8Array[] = [];
  const add = (keyword: string, value: Uint8Array | number | string): void => {
    const bytes = typeof value === "object" ? value : ascii(String(value));
    records.push(record(ascii(keyword), bytes));
  };
  const { name, link, uid, gid, size, mtime, xattrs } = member;
  if (link !== undefined && !isPlain(link)) add("linkpath", link);
  if (!isPlain(name)) add("path", name);
  if (uid > MOST_7) add("uid", uid);
  if (gid > MOST_7) add("gid", gid);
  if (size > MOST_11) add("size", size);
  if (mtime.nsec !== 0 || !fits(mtime.sec)) add("mtime", decimal(mtime));
  for (const [key, value] of xattrs) {
    records.push(record(joined([ascii("SCHILY.xattr."), escaped(key)]), value));
  }
  return records;
}

/** A keyword ends at its equals sign, so those of an attribute's name are escaped. */
function escaped(name: Uint8Array): Uint8Array {
  const parts: number[] = [];
  for (const byte of name) {
    if (byte === 0x25) parts.push(0x25, 0x32, 0x35);
    else if (byte === 0x3d) parts.push(0x25, 0x33, 0x44);
    else parts.push(byte);
  }
  return Uint8Array.from(parts);
}

function fits(seconds: number): boolean {
  return seconds >= 0 && seconds <= MOST_11;
}

/** Seconds as a decimal fraction without trailing zeros; `nsec` counts forward from `sec`. */
function decimal({ sec, nsec }: Timespec): string {
  if (nsec === 0) return String(sec);
  const negative = sec < 0;
  const whole = negative ? -sec - 1 : sec;
  const fraction = String(negative ? 1e9 - nsec : nsec).padStart(9, "0");
  return `${negative ? "-" : ""}${whole}.${fraction.replace(/0+$/u, "")}`;
}

/** Fields of a header at their offsets; the checksum is the sum of all bytes, its own as spaces. */
class Header {
  readonly bytes = new Uint8Array(BLOCK);

  text(at: number, size: number, value: Uint8Array): void {
    this.bytes.set(value.subarray(0, size), at);
  }

  /** Octal digits and a NUL. */
  octal(at: number, size: number, value: number): void {
    this.text(at, size, ascii(value.toString(8).padStart(size - 1, "0")));
  }

  finished(): Uint8Array {
    this.text(257, 8, ascii("ustar\u{0}00"));
    this.text(148, 8, ascii(" ".repeat(8)));
    const sum = this.bytes.reduce((total, byte) => total + byte, 0);
    this.text(148, 8, ascii(`${sum.toString(8).padStart(6, "0")}\u{0} `));
    return this.bytes;
  }
}

function memberHeader(member: Member): Uint8Array {
  const { type, name, link, mode, uid, gid, size, mtime, major, minor } = member;
  const header = new Header();
  header.text(0, NAME_BYTES, name);
  header.octal(100, 8, mode);
  header.octal(108, 8, uid > MOST_7 ? 0 : uid);
  header.octal(116, 8, gid > MOST_7 ? 0 : gid);
  header.octal(124, 12, size > MOST_11 ? 0 : size);
  header.octal(136, 12, fits(mtime.sec) ? mtime.sec : 0);
  header.text(156, 1, ascii(type));
  if (link !== undefined) header.text(157, NAME_BYTES, link);
  header.octal(329, 8, Math.min(major, MOST_7));
  header.octal(337, 8, Math.min(minor, MOST_7));
  return header.finished();
}

function extendedHeader(member: Member, size: number): Uint8Array {
  const header = new Header();
  header.text(0, NAME_BYTES, extendedName(member.name));
  header.octal(100, 8, 0o644);
  header.octal(108, 8, 0);
  header.octal(116, 8, 0);
  header.octal(124, 12, size);
  header.octal(136, 12, Math.max(0, Math.min(member.mtime.sec, MOST_11)));
  header.text(156, 1, ascii("x"));
  return header.finished();
}

/** `dir/PaxHeaders/base`; what unpackers that do not know pax make a file of. */
function extendedName(name: Uint8Array): Uint8Array {
  let stop = name.length;
  while (stop > 1 && name[stop - 1] === 0x2f) stop--;
  const slash = name.subarray(0, stop).lastIndexOf(0x2f);
  const folder = slash === -1 ? ascii("./") : name.subarray(0, slash + 1);
  return joined([folder, ascii("PaxHeaders/"), name.subarray(slash + 1, stop)]);
}
