/**
 * The C library through koffi: the only place that reaches foreign code. Optional and lazy: without
 * it (`DAXKIT_FFI=off`, a platform without koffi, `node --permission`) callers get undefined, and
 * do what plain Node can.
 *
 * Addresses travel as numbers: those of user space stay below 2^48, and numbers are the cheapest
 * argument that koffi knows.
 *
 * @module
 */
import { constants } from "node:buffer";
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { createContext, runInContext } from "node:vm";
import type * as koffiModule from "koffi";
import { DaxError, assert } from "../lib/errno.ts";

/** A foreign function; arguments and result are as its prototype says. */
type Foreign = (...values: (number | Uint8Array | null)[]) => number;
type Koffi = typeof koffiModule;

/** The calls that daxkit makes. Each returns what its manual page says: -1 is a failure. */
export interface Libc {
  /** Bytes in a page of this machine. */
  readonly pageSize: number;
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number;
  munmap(address: number, length: number): number;
  msync(address: number, length: number, flags: number): number;
  mprotect(address: number, length: number, protection: number): number;
  flock(fd: number, operation: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  sigaction(signal: number, action: Uint8Array | null, previous: Uint8Array): number;
  getauxval(type: number): number;
  /** Paths and names end with a zero byte. */
  llistxattr(path: Uint8Array, list: Uint8Array, size: number): number;
  lgetxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array, size: number): number;
  /** `times` are two of `struct timespec`. The path ends with a zero byte. */
  utimensat(fd: number, path: Uint8Array, times: Uint8Array, flags: number): number;
  lsetxattr(
    path: Uint8Array,
    name: Uint8Array,
    value: Uint8Array,
    size: number,
    flags: number,
  ): number;
  /** Those that are made for very many files take addresses: a path's, that ends with a zero. */
  statx(fd: number, path: number, flags: number, mask: number, into: number): number;
  listxattrAt(path: number, list: number, size: number): number;
  openAt(path: number, flags: number): number;
  preadAt(fd: number, into: Uint8Array, length: number, offset: number): number;
  close(fd: number): number;
  /** Of the last failed call. */
  errno(): number;
}

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_SHARED_VALIDATE = 3;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
export const MAP_SYNC = 0x80000;
export const MS_SYNC = 4;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const SEEK_END = 2;

/** Bytes in the longest view: 4 GiB on Node 20, where one byte more aborts the process. */
export const LONGEST_VIEW = constants.MAX_LENGTH;

/** The prototypes and constants here are those of 64-bit Linux. */
const SUPPORTED = process.platform === "linux" && ["x64", "arm64"].includes(process.arch);

let loaded: { koffi: Koffi; libc: Libc } | undefined | "none";
let reason = "DAXKIT_FFI is off";

function load(): { koffi: Koffi; libc: Libc } | undefined {
  if (process.env["DAXKIT_FFI"] === "off") return undefined;
  if (loaded === undefined) {
    try {
      const koffi = createRequire(import.meta.url)("koffi") as Koffi;
      loaded = SUPPORTED ? { koffi, libc: bind(koffi) } : "none";
      reason = `${process.platform} on ${process.arch} is not supported`;
    } catch (error) {
      // Not installed, no binary for this platform, or addons are forbidden: all mean the same.
      loaded = "none";
      [reason = "koffi cannot be loaded"] = String(error).split("\n");
    }
  }
  return loaded === "none" ? undefined : loaded;
}

/** The C library, or undefined where foreign calls cannot be made. */
export function libc(): Libc | undefined {
  return load()?.libc;
}

/** Why {@link libc} is undefined, in words. */
export function whyNoLibc(): string {
  return reason;
}

function bind(koffi: Koffi): Libc {
  const self = koffi.load(null);
  const call = (name: string, result: string, parameters: string[]) =>
    self.func(name, result, parameters) as unknown as Foreign;
  const pointer = "uintptr_t";
  const { pageSize, ...calls } = {
    pageSize: call("getpagesize", "int", [])(),
    mmap: call("mmap", "intptr_t", [pointer, "size_t", "int", "int", "int", "int64_t"]),
    munmap: call("munmap", "int", [pointer, "size_t"]),
    msync: call("msync", "int", [pointer, "size_t", "int"]),
    mprotect: call("mprotect", "int", [pointer, "size_t", "int"]),
    flock: call("flock", "int", ["int", "int"]),
    lseek: call("lseek", "int64_t", ["int", "int64_t", "int"]),
    sigaction: call("sigaction", "int", ["int", "void *", "void *"]),
    getauxval: call("getauxval", "ulong", ["ulong"]),
    llistxattr: call("llistxattr", "int64_t", ["void *", "void *", "size_t"]),
    statx: call("statx", "int", ["int", pointer, "int", "uint", pointer]),
    listxattrAt: call("llistxattr", "int64_t", [pointer, pointer, "size_t"]),
    openAt: call("open", "int", [pointer, "int"]),
    preadAt: call("pread", "int64_t", ["int", "void *", "size_t", "int64_t"]),
    close: call("close", "int", ["int"]),
    lgetxattr: call("lgetxattr", "int64_t", ["void *", "void *", "void *", "size_t"]),
    utimensat: call("utimensat", "int", ["int", "void *", "void *", "int"]),
    lsetxattr: call("lsetxattr", "int", ["void *", "void *", "void *", "size_t", "int"]),
  };
  return { pageSize, ...calls, errno: () => koffi.errno() };
}

/**
 * Aliases raw memory: an array buffer over `length` bytes at `address`. It does not keep the memory
 * mapped; {@link detach} it before that ends. Costs up to milliseconds, since V8 books its length.
 */
export function viewOf(address: number, length: number): ArrayBuffer {
  const { koffi } = needed();
  assert(length <= LONGEST_VIEW, () => `a view of ${length} bytes would abort the process`);
  return koffi.view(BigInt(address), length);
}

/** Where the bytes of an array lie. They stay there while the array's buffer is held. */
export function addressOf(bytes: Uint8Array): number {
  const { koffi } = needed();
  assert(bytes.byteLength > 64, "small arrays move with the heap");
  return Number(koffi.address(bytes));
}

/** A function of the C library by its prototype; a variadic one takes `...` as its last type. */
export function foreign(name: string, result: string, parameters: string[]): Foreign {
  return needed().koffi.load(null).func(name, result, parameters);
}

/** A call on another thread: resolves with its result, or a negative errno where it failed. */
type Elsewhere = (...values: (number | Uint8Array)[]) => Promise<number>;

/**
 * A function of the C library that may wait for long, or for this thread: it runs on a thread of
 * libuv's pool. What it is given is kept until then.
 */
export function foreignElsewhere(name: string, result: string, parameters: string[]): Elsewhere {
  const { koffi } = needed();
  const call = koffi.load(null).func(name, result, parameters);
  return (...values) =>
    new Promise((resolve) => {
      call.async(...values, (_: unknown, outcome: number) => {
        resolve(outcome === -1 && values.length > 0 ? -koffi.errno() : outcome);
      });
    });
}

/** Watches a descriptor from the event loop until `close`; `start` says for what. */
export interface DescriptorWatch {
  start(
    what: { readable?: boolean; writable?: boolean; disconnect?: boolean },
    callback: (ready: { readonly writable: boolean }) => void,
  ): void;
  stop(): void;
  close(): void;
}

/** A watch of a descriptor that is not started yet. */
export function watchDescriptor(fd: number): DescriptorWatch {
  const watch = needed().koffi.node.poll(fd, { readable: true }, () => {});
  watch.stop();
  return watch;
}

/** A function of the given C types at `address`. */
export function functionAt(address: number, result: string, parameters: string[]): Foreign {
  const { koffi } = needed();
  return koffi.decode(BigInt(address), koffi.proto(result, parameters)) as Foreign;
}

/** A function of a shared library; undefined where the library or the name is missing. */
export function functionIn(
  library: string,
  name: string,
  result: string,
  parameters: string[],
): Foreign | undefined {
  try {
    return needed().koffi.load(library).func(name, result, parameters);
  } catch {
    return undefined;
  }
}

function needed(): { koffi: Koffi } {
  const { koffi } = load() ?? {};
  if (koffi === undefined) {
    throw new DaxError("ENOTSUP", {
      detail: `no foreign calls here: ${reason}; install the koffi package`,
    });
  }
  return { koffi };
}

type Transfer = (this: ArrayBuffer, length: number) => ArrayBuffer;
let transfer: Transfer | undefined;

/**
 * Cuts a buffer off its memory: its length is 0 from now on, and so is that of every view of it.
 * Node 20 has the method only behind a flag of V8, and only contexts made after that get it.
 */
export function detach(buffer: ArrayBuffer): void {
  if (transfer === undefined) {
    transfer = (ArrayBuffer.prototype as { transfer?: Transfer }).transfer;
    if (transfer === undefined) {
      setFlagsFromString("--harmony-rab-gsab-transfer");
      transfer = runInContext("ArrayBuffer.prototype.transfer", createContext()) as Transfer;
    }
  }
  transfer.call(buffer, 0);
  assert(buffer.byteLength === 0, "a view was not detached; unmapping it now would be fatal");
}
