/**
 * Files of this machine as whoever copies them needs them: all that lstat, listxattr and SEEK_DATA
 * tell, with as little made for each as can be, since there may be very many.
 *
 * @module
 */
import * as fs from "node:fs";
import type { Timespec } from "../lib/environment.ts";
import type { Range } from "../lib/range-set.ts";
import { decodeUtf8 } from "../lib/utf8.ts";
import { majorOf, minorOf } from "../vfs/modes.ts";
import { type Libc, libc } from "./libc.unsafe.ts";
import { systemError, typed } from "./system-error.ts";

/** What lstat tells. */
export interface HostStat {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** Units of 512 bytes. */
  readonly blocks: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly major: number;
  readonly minor: number;
  /** The same for all names of one file. */
  readonly identity: string;
}

/** An attribute as getxattr(2) hands it out. */
export type HostAttribute = readonly [name: Uint8Array, value: Uint8Array];

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENOTSUP = 95;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const SLASH = 0x2f;
const TWO_32 = 2 ** 32;
/** What a system keeps of one file's attributes, in bytes, at most. */
const MOST_ATTRIBUTES = 65_536;

/** A path as the system takes it: bytes with a zero behind them. */
export class HostPath {
  /** With the zero. */
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  static of(path: string): HostPath {
    return new HostPath(Buffer.from(`${path}\0`));
  }

  /** As `node:fs` takes it. */
  get plain(): Buffer {
    return this.bytes.subarray(0, -1);
  }

  /** For errors. */
  get shown(): string {
    return decodeUtf8(this.plain);
  }

  /** A name in this directory. */
  child(name: Uint8Array): HostPath {
    const length = this.bytes.length;
    const bytes = Buffer.allocUnsafe(length + name.length + 1);
    this.bytes.copy(bytes);
    bytes[length - 1] = SLASH;
    bytes.set(name, length);
    bytes[length + name.length] = 0;
    return new HostPath(bytes);
  }
}

/** Asks this machine about its files. */
export class HostFiles {
  readonly #libc: Libc | undefined = libc();
  readonly #buffer = Buffer.alloc(MOST_ATTRIBUTES);
  readonly #statx = Buffer.alloc(STATX_BYTES);
  readonly #view = new DataView(this.#statx.buffer, this.#statx.byteOffset, STATX_BYTES);

  /** Of what a path names; a link itself, unless it is to be followed. @throws as lstat(2) */
  stat(path: HostPath, follow = false): HostStat {
    const c = this.#libc;
    if (c === undefined) return plainStat(path, follow);
    const flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    const done = c.statx(AT_FDCWD, path.bytes, flags, STATX_BASIC_STATS, this.#statx);
    if (done === 0) return this.#decoded();
    throw systemError(c.errno(), { syscall: follow ? "stat" : "lstat", path: path.shown });
  }

  #decoded(): HostStat {
    const view = this.#view;
    const wide = (at: number): number =>
      view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_32;
    const time = (at: number): Timespec => ({
      sec: view.getUint32(at, true) + view.getInt32(at + 4, true) * TWO_32,
      nsec: view.getUint32(at + 8, true),
    });
    const nlink = view.getUint32(16, true);
    return {
      mode: view.getUint16(28, true),
      uid: view.getUint32(20, true),
      gid: view.getUint32(24, true),
      nlink,
      size: wide(40),
      blocks: wide(48),
      atime: time(64),
      mtime: time(112),
      ctime: time(96),
      major: view.getUint32(128, true),
      minor: view.getUint32(132, true),
      // Only files with several names are ever looked for.
      identity: nlink > 1 ? this.#statx.toString("latin1", 32, 40) + wide(136) : "",
    };
  }

  /** Names in a directory, as bytes. @throws as readdir(3) */
  names(path: HostPath): Buffer[] {
    return typed(path.shown, () => fs.readdirSync(path.plain, { encoding: "buffer" }));
  }

  /** Where a link leads. @throws as readlink(2) */
  target(path: HostPath): Buffer {
    return typed(path.shown, () => fs.readlinkSync(path.plain, { encoding: "buffer" }));
  }

  /** Where a file holds data; everywhere when nobody can tell, or there are no holes. */
  data(path: HostPath, { size, blocks }: HostStat): Range[] {
    const whole = size === 0 ? [] : [{ start: 0, length: size }];
    const c = this.#libc;
    if (c === undefined || blocks * 512 >= size) return whole;
    const fd = typed(path.shown, () => fs.openSync(path.plain, "r"));
    try {
      const data: Range[] = [];
      for (let at = 0; at < size;) {
        const start = c.lseek(fd, at, SEEK_DATA);
        if (start < at) break;
        const past = c.lseek(fd, start, SEEK_HOLE);
        if (past <= start) break;
        data.push({ start, length: Math.min(past, size) - start });
        at = past;
      }
      return data;
    } finally {
      fs.closeSync(fd);
    }
  }

  /** None where foreign calls cannot be made, or the file's home has none. @throws EACCES, EIO */
  attributes(path: HostPath): readonly HostAttribute[] {
    const c = this.#libc;
    if (c === undefined) return [];
    const length = c.llistxattr(path.bytes, this.#buffer, MOST_ATTRIBUTES);
    if (length === 0) return [];
    if (length < 0) return absent(c, path);
    const names = this.#buffer.toString("latin1", 0, length).split("\0");
    return names.flatMap((each) => (each === "" ? [] : this.#attribute(c, path, each)));
  }

  #attribute(c: Libc, path: HostPath, name: string): readonly HostAttribute[] {
    const own = Buffer.from(`${name}\0`, "latin1");
    const length = c.lgetxattr(path.bytes, own, this.#buffer, MOST_ATTRIBUTES);
    if (length < 0) return absent(c, path);
    return [[own.subarray(0, -1), Uint8Array.from(this.#buffer.subarray(0, length))]];
  }
}

function absent(c: Libc, path: HostPath): [] {
  const errno = c.errno();
  if (errno === ENOTSUP) return [];
  throw systemError(errno, { syscall: "llistxattr", path: path.shown });
}

/** Without foreign calls. */
function plainStat(path: HostPath, follow: boolean): HostStat {
  const call = follow ? fs.statSync : fs.lstatSync;
  const stat = typed(path.shown, () => call(path.plain, { bigint: true }));
  const rdev = Number(stat.rdev);
  return {
    mode: Number(stat.mode),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    nlink: Number(stat.nlink),
    size: Number(stat.size),
    blocks: Number(stat.blocks),
    atime: timespec(stat.atimeNs),
    mtime: timespec(stat.mtimeNs),
    ctime: timespec(stat.ctimeNs),
    major: majorOf(rdev),
    minor: minorOf(rdev),
    identity: `${stat.dev}:${stat.ino}`,
  };
}

function timespec(ns: bigint): Timespec {
  const nsec = Number(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { sec: Number((ns - BigInt(nsec)) / 1_000_000_000n), nsec };
}

/** Fills `target` from a file's byte `offset` on; what is not there stays. @throws as read(2) */
export function readHostFile(path: HostPath, offset: number, target: Uint8Array): number {
  try {
    const fd = fs.openSync(path.plain, "r");
    try {
      let done = 0;
      while (done < target.length) {
        const got = fs.readSync(fd, target, done, target.length - done, offset + done);
        if (got === 0) break;
        done += got;
      }
      return done;
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    return typed(path.shown, () => {
      throw error;
    });
  }
}
