/**
 * The calls of `/dev/fuse`: those that answer requests, made on the spot with addresses and without
 * an object for a call, and those that may wait for an answer of ours, made on another thread.
 *
 * @module
 */
import { addressOf, foreign, foreignElsewhere, libc, whyNoLibc } from "../libc.unsafe.ts";
import { DaxError, assert } from "../../lib/errno.ts";

export const ENOENT = 2;
export const EINTR = 4;
export const EAGAIN = 11;
export const EFAULT = 14;
export const ENODEV = 19;
export const ECONNABORTED = 103;

export const POLLIN = 1;

const O_RDWR_NONBLOCK_CLOEXEC = 0o2004002;
const F_GETFL = 3;
const F_SETFL = 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const O_NONBLOCK = 0o4000;

/** Each returns what its manual page says: -1 is a failure. */
export interface FuseCalls {
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
  writev(fd: number, address: number, count: number): number;
  /** `address`: of `count` times `struct pollfd`. */
  poll(address: number, count: number, milliseconds: number): number;
  close(fd: number): number;
  yieldProcessor(): number;
  /** Of the last failed call of this thread. */
  errno(): number;
}

/** Calls on another thread; each resolves with a negative errno on failure. Texts end in NUL. */
export interface SlowCalls {
  mount(
    source: Uint8Array,
    target: Uint8Array,
    type: Uint8Array,
    flags: number,
    data: Uint8Array,
  ): Promise<number>;
  umount2(target: Uint8Array, flags: number): Promise<number>;
  write(fd: number, frame: Uint8Array, length: number): Promise<number>;
}

let calls: FuseCalls | undefined;
let slow: SlowCalls | undefined;

/** @throws ENOTSUP where foreign calls cannot be made */
export function fuseCalls(): FuseCalls {
  if (calls === undefined) {
    const c = libc();
    if (c === undefined) {
      throw new DaxError("ENOTSUP", {
        syscall: "mount",
        detail: `FUSE needs foreign calls: ${whyNoLibc()}; install the koffi package`,
      });
    }
    calls = {
      read: foreign("read", "intptr_t", ["int", "uintptr_t", "size_t"]),
      write: foreign("write", "intptr_t", ["int", "uintptr_t", "size_t"]),
      writev: foreign("writev", "intptr_t", ["int", "uintptr_t", "int"]),
      poll: foreign("poll", "int", ["uintptr_t", "ulong", "int"]),
      // Not that of node:fs: in a worker it would wonder about descriptors that it did not open.
      close: foreign("close", "int", ["int"]),
      yieldProcessor: foreign("sched_yield", "int", []),
      errno: () => c.errno(),
    };
  }
  return calls;
}

/** @throws ENOTSUP where foreign calls cannot be made */
export function slowCalls(): SlowCalls {
  const text = "void *";
  slow ??= {
    mount: foreignElsewhere("mount", "int", [text, text, text, "ulong", text]),
    umount2: foreignElsewhere("umount2", "int", [text, "int"]),
    write: foreignElsewhere("write", "intptr_t", ["int", "void *", "size_t"]),
  };
  return slow;
}

/** Opens the device, not blocking and closed on exec: a descriptor, or -1. */
export function openDevice(path: Uint8Array): number {
  return foreign("open", "int", ["void *", "int"])(path, O_RDWR_NONBLOCK_CLOEXEC);
}

type Fcntl = (fd: number, command: number, type: string, value: number) => number;

/** Makes a descriptor that somebody else opened like those of {@link openDevice}. */
export function tuneDescriptor(fd: number): void {
  const fcntl = foreign("fcntl", "int", ["int", "int", "..."]) as unknown as Fcntl;
  fcntl(fd, F_SETFD, "int", FD_CLOEXEC);
  fcntl(fd, F_SETFL, "int", fcntl(fd, F_GETFL, "int", 0) | O_NONBLOCK);
}

/** IOV_MAX: the kernel takes no more in one call. */
export const MOST_VECTORS = 1024;

/** `struct iovec`s, made once and filled for each call. */
export class Vectors {
  readonly address: number;
  count = 0;
  readonly #words: Uint32Array<ArrayBuffer>;

  constructor() {
    const bytes = new Uint8Array(16 * MOST_VECTORS);
    this.address = addressOf(bytes);
    this.#words = new Uint32Array(bytes.buffer);
  }

  /** The next piece: `length` bytes, below 2^32, at `address`. */
  add(address: number, length: number): void {
    assert(this.count < MOST_VECTORS, "no room for another piece");
    const word = this.count * 4;
    this.#words[word] = address >>> 0;
    this.#words[word + 1] = Math.floor(address / 2 ** 32);
    this.#words[word + 2] = length;
    this.count++;
  }
}

/** `struct pollfd`s that wait for something to read. */
export class PollSet {
  readonly #address: number;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #calls: FuseCalls;
  #count = 0;

  /** @throws ENOTSUP where foreign calls cannot be made */
  constructor(most: number) {
    this.#calls = fuseCalls();
    const bytes = new Uint8Array(Math.max(128, 8 * most));
    this.#address = addressOf(bytes);
    this.#words = new Int32Array(bytes.buffer);
  }

  clear(): void {
    this.#count = 0;
  }

  add(fd: number): void {
    this.#words[2 * this.#count] = fd;
    this.#words[2 * this.#count + 1] = POLLIN;
    this.#count++;
  }

  /** How many descriptors have something, an error included; 0 after a signal. */
  wait(milliseconds: number): number {
    return Math.max(0, this.#calls.poll(this.#address, this.#count, milliseconds));
  }

  /** Whether the descriptor that was added as number `index` had something at the last wait. */
  has(index: number): boolean {
    return this.#words[2 * index + 1]! >>> 16 !== 0;
  }
}
