/**
 * Extended attributes of files of this machine; links are not followed.
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";
import { libc } from "./libc.unsafe.ts";
import { systemError } from "./system-error.ts";

const NUL = Buffer.alloc(1);
const ENOTSUP = 95;
const ENODATA = 61;
/** What a system keeps of one file's attributes, in bytes, at most. */
const MOST_ATTRIBUTES = 65_536;

/** An attribute by its full name. */
export type HostXattr = readonly [name: string, value: Uint8Array];

/**
 * All attributes; none where foreign calls cannot be made, or the file's home has none.
 * @throws what llistxattr and lgetxattr say
 */
export function readHostXattrs(path: Uint8Array): HostXattr[] {
  const c = libc();
  if (c === undefined) return [];
  const buffer = Buffer.alloc(MOST_ATTRIBUTES);
  const file = Buffer.concat([path, NUL]);
  const fail = (syscall: string): never => {
    throw systemError(c.errno(), { syscall, path: decodeUtf8(path) });
  };
  const length = c.llistxattr(file, buffer, buffer.length);
  if (length < 0) return c.errno() === ENOTSUP ? [] : fail("llistxattr");
  const names = Buffer.from(buffer.subarray(0, length)).toString("latin1").split("\0");
  const found: HostXattr[] = [];
  for (const name of names) {
    if (name === "") continue;
    const got = c.lgetxattr(file, Buffer.from(`${name}\0`, "latin1"), buffer, buffer.length);
    // It went since it was listed.
    if (got < 0 && c.errno() === ENODATA) continue;
    if (got < 0) fail("lgetxattr");
    const value = Uint8Array.from(buffer.subarray(0, got));
    found.push([decodeUtf8(Buffer.from(name, "latin1")), value]);
  }
  return found;
}

/** Sets an attribute; false where the file's home does not take it, or not from this user. */
export function writeHostXattr(path: Uint8Array, name: string, value: Uint8Array): boolean {
  const c = libc();
  if (c === undefined) return false;
  const file = Buffer.concat([path, NUL]);
  return c.lsetxattr(file, Buffer.concat([encodeUtf8(name), NUL]), value, value.length, 0) === 0;
}
