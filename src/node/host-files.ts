/**
 * Files of this machine as whoever copies them needs them: all that lstat, listxattr and SEEK_DATA
 * tell, with as little made for each as can be, since there may be very many.
 *
 * @module
 */
import * as fs from "node:fs";
import type { Timespec } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import { decodeUtf8 } from "../lib/utf8.ts";
import { majorOf, minorOf } from "../vfs/modes.ts";
import { bytesOfLetters } from "../vfs/tar-records.ts";
import { type Libc, addressOf, libc } from "./libc.unsafe.ts";
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
  /** The same for all names of one file; empty for one that has no other. */
  readonly identity: string;
}

/** An attribute as getxattr(2) hands it out. */
export type HostAttribute = readonly [name: Uint8Array, value: Uint8Array];

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENOTSUP = 95;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_CLOEXEC = 0o2000000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const SLASH = 0x2f;
const TWO_32 = 2 ** 32;
/** Bytes of a path that a call takes, the zero behind it among them. */
const PATH_MAX = 4096;
/** What a system keeps of one file's attributes, in bytes, at most. */
const MOST_ATTRIBUTES = 65_536;
const NO_ATTRIBUTES: readonly HostAttribute[] = [];
const NO_DATA: readonly Range[] = [];

/** A place in the tree of directories: a name in another place, or where it all starts. */
export class HostPath {
  readonly parent: HostPath | undefined;
  /** Bytes. */
  readonly name: Uint8Array;

  constructor(parent: HostPath | undefined, name: Uint8Array) {
    this.parent = parent;
    this.name = name;
  }

  static of(path: string): HostPath {
    return new HostPath(undefined, Buffer.from(path));
  }

  /** As `node:fs` takes it. */
  get plain(): Buffer {
    const names: Uint8Array[] = [this.name];
    for (let at = this.parent; at !== undefined; at = at.parent)
      names.push(Uint8Array.of(SLASH), at.name);
    return Buffer.concat(names.toReversed());
  }

  /** For errors. */
  get shown(): string {
    return decodeUtf8(this.plain);
  }

  /** A name in this directory. */
  child(name: Uint8Array): HostPath {
    return new HostPath(this, name);
  }
}

/** Asks this machine about its files. */
export class HostFiles {
  readonly #fast: FastCalls | undefined;

  constructor() {
    const c = libc();
    this.#fast = c === undefined ? undefined : new FastCalls(c);
  }

  /** Of what a path names; a link itself, unless it is to be followed. @throws as lstat(2) */
  stat(path: HostPath, follow = false): HostStat {
    return this.#fast === undefined ? plainStat(path, follow) : this.#fast.stat(path, follow);
  }

  /** Names in a directory, as bytes. @throws as readdir(3) */
  names(path: HostPath): Uint8Array[] {
    // As letters first: each buffer would have memory of its own, outside of the heap.
    const names = calling(path, () => fs.readdirSync(path.plain, { encoding: "latin1" }));
    return names.map(bytesOfLetters);
  }

  /** Where a link leads. @throws as readlink(2) */
  target(path: HostPath): Buffer {
    return calling(path, () => fs.readlinkSync(path.plain, { encoding: "buffer" }));
  }

  /** Where a file holds data; everywhere when nobody can tell, or there are no holes. */
  data(path: HostPath, { size, blocks }: HostStat): readonly Range[] {
    if (size === 0) return NO_DATA;
    const fast = this.#fast;
    if (fast === undefined || blocks * 512 >= size) return [{ start: 0, length: size }];
    return fast.data(path, size);
  }

  /** None where foreign calls cannot be made, or the file's home has none. @throws EACCES, EIO */
  attributes(path: HostPath): readonly HostAttribute[] {
    return this.#fast?.attributes(path) ?? NO_ATTRIBUTES;
  }

  /** Fills `target` from byte `offset` on; fewer bytes at the file's end. @throws as read(2) */
  read(path: HostPath, offset: number, target: Uint8Array): number {
    const fast = this.#fast;
    return fast === undefined ? plainRead(path, offset, target) : fast.read(path, offset, target);
  }
}

/** The same by foreign calls, which know more, and cost less. */
class FastCalls {
  readonly #libc: Libc;
  readonly #path = Buffer.alloc(PATH_MAX);
  readonly #list = Buffer.alloc(MOST_ATTRIBUTES);
  readonly #statx = new Uint8Array(STATX_BYTES);
  readonly #view = new DataView(this.#statx.buffer);
  readonly #pathAt = addressOf(this.#path);
  readonly #listAt = addressOf(this.#list);
  readonly #statxAt = addressOf(this.#statx);
  /** The directory whose path stands in `#path`, and its length with a slash behind it. */
  #directory: HostPath | undefined;
  #length = 0;

  constructor(c: Libc) {
    this.#libc = c;
  }

  /** The address of a path; it stands there until the next one is asked for. */
  #address(path: HostPath): number {
    const { parent, name } = path;
    if (parent !== this.#directory || parent === undefined) this.#enter(parent);
    const stop = this.#length + name.length;
    if (stop >= PATH_MAX) {
      const detail = `a path of ${stop} bytes; the system takes ${PATH_MAX - 1}`;
      throw new DaxError("ENAMETOOLONG", { syscall: "open", path: path.shown, detail });
    }
    this.#path.set(name, this.#length);
    this.#path[stop] = 0;
    return this.#pathAt;
  }

  #enter(directory: HostPath | undefined): void {
    this.#directory = directory;
    this.#length = 0;
    if (directory === undefined) return;
    const bytes = directory.plain;
    if (bytes.length + 1 < PATH_MAX) {
      this.#path.set(bytes);
      this.#path[bytes.length] = SLASH;
    }
    this.#length = bytes.length + 1;
  }

  stat(path: HostPath, follow: boolean): HostStat {
    const flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
    const at = this.#address(path);
    const done = this.#libc.statx(AT_FDCWD, at, flags, STATX_BASIC_STATS, this.#statxAt);
    if (done === 0) return this.#decoded();
    throw this.#error(path, follow ? "stat" : "lstat");
  }

  #decoded(): HostStat {
    const view = this.#view;
    const nlink = view.getUint32(16, true);
    return {
      mode: view.getUint16(28, true),
      uid: view.getUint32(20, true),
      gid: view.getUint32(24, true),
      nlink,
      size: wide(view, 40),
      blocks: wide(view, 48),
      atime: timeAt(view, 64),
      mtime: timeAt(view, 112),
      ctime: timeAt(view, 96),
      major: view.getUint32(128, true),
      minor: view.getUint32(132, true),
      identity: nlink > 1 ? `${wide(view, 136)}:${view.getBigUint64(32, true)}` : "",
    };
  }

  attributes(path: HostPath): readonly HostAttribute[] {
    const at = this.#address(path);
    const length = this.#libc.listxattrAt(at, this.#listAt, MOST_ATTRIBUTES);
    if (length === 0) return NO_ATTRIBUTES;
    if (length < 0) return this.#absent(path);
    const names = this.#list.toString("latin1", 0, length).split("\0");
    const file = Buffer.concat([path.plain, Buffer.alloc(1)]);
    return names.flatMap((each) => (each === "" ? [] : this.#attribute(path, file, each)));
  }

  #attribute(path: HostPath, file: Buffer, name: string): readonly HostAttribute[] {
    const own = Buffer.from(`${name}\0`, "latin1");
    const length = this.#libc.lgetxattr(file, own, this.#list, MOST_ATTRIBUTES);
    if (length < 0) return this.#absent(path);
    return [[own.subarray(0, -1), Uint8Array.from(this.#list.subarray(0, length))]];
  }

  #absent(path: HostPath): readonly HostAttribute[] {
    const errno = this.#libc.errno();
    if (errno === ENOTSUP) return NO_ATTRIBUTES;
    throw systemError(errno, { syscall: "llistxattr", path: path.shown });
  }

  data(path: HostPath, size: number): Range[] {
    const c = this.#libc;
    return this.#opened(path, (fd) => {
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
    });
  }

  read(path: HostPath, offset: number, target: Uint8Array): number {
    const c = this.#libc;
    const fd = c.openAt(this.#address(path), O_CLOEXEC);
    if (fd < 0) throw this.#error(path, "open");
    let done = 0;
    let last = 1;
    while (last > 0 && done < target.length) {
      const rest = done === 0 ? target : target.subarray(done);
      last = c.preadAt(fd, rest, rest.length, offset + done);
      if (last > 0) done += last;
    }
    const error = last < 0 ? this.#error(path, "read") : undefined;
    c.close(fd);
    if (error !== undefined) throw error;
    return done;
  }

  #opened<T>(path: HostPath, body: (fd: number) => T): T {
    const fd = this.#libc.openAt(this.#address(path), O_CLOEXEC);
    if (fd < 0) throw this.#error(path, "open");
    try {
      return body(fd);
    } finally {
      this.#libc.close(fd);
    }
  }

  #error(path: HostPath, syscall: string): DaxError {
    return systemError(this.#libc.errno(), { syscall, path: path.shown });
  }
}

function wide(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_32;
}

function timeAt(view: DataView, at: number): Timespec {
  const sec = view.getUint32(at, true) + view.getInt32(at + 4, true) * TWO_32;
  return { sec, nsec: view.getUint32(at + 8, true) };
}

/** Runs a call of `node:fs`; errors are typed, and only then the path is made to be shown. */
function calling<T>(path: HostPath, call: () => T): T {
  try {
    return call();
  } catch (error) {
    return typed(path.shown, () => {
      throw error;
    });
  }
}

/** Without foreign calls. */
function plainStat(path: HostPath, follow: boolean): HostStat {
  const call = follow ? fs.statSync : fs.lstatSync;
  const stat = calling(path, () => call(path.plain, { bigint: true }));
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
    identity: stat.nlink > 1n ? `${stat.dev}:${stat.ino}` : "",
  };
}

function timespec(ns: bigint): Timespec {
  const nsec = Number(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { sec: Number((ns - BigInt(nsec)) / 1_000_000_000n), nsec };
}

function plainRead(path: HostPath, offset: number, target: Uint8Array): number {
  return calling(path, () => {
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
  });
}
