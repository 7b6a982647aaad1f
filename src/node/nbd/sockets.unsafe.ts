/**
 * Stream sockets by foreign calls: bytes move between a socket and addresses, gathered and
 * scattered, without an object made for a call.
 *
 * @module
 */
import { assert } from "../../lib/errno.ts";
import { addressOf, foreign, libc } from "../libc.unsafe.ts";

export const MSG_DONTWAIT = 0x40;
/** A client that left must not end the server by SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;

export const SHUT_RD = 0;
export const SHUT_RDWR = 2;

export const EINTR = 4;
export const EAGAIN = 11;
export const EFAULT = 14;

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_DOMAIN = 39;
const SO_SNDBUF = 7;
const SO_RCVTIMEO = 20;
const AF_UNIX = 1;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
/**
 * What a unix socket may hold: one call then moves a large reply, 1.3 to 1.5 times as fast as with
 * the system's 208 KiB. More is no faster, and on a crowded machine slower: who sleeps is woken
 * only when three quarters of it were taken.
 */
const UNIX_SEND_BUFFER = 512 << 10;

/** The calls; each returns what its manual page says: -1 is a failure. */
export interface SocketCalls {
  recvmsg(fd: number, message: number, flags: number): number;
  sendmsg(fd: number, message: number, flags: number): number;
  shutdown(fd: number, how: number): number;
  /** Without the books that Node keeps of descriptors in worker threads. */
  close(fd: number): number;
  yieldProcessor(): number;
  /** Of the last failed call of this thread. */
  errno(): number;
}

interface Setup {
  readonly fcntl: (fd: number, command: number, type: string, value: number) => number;
  readonly setsockopt: (...values: (number | Uint8Array)[]) => number;
  readonly getsockopt: (...values: (number | Uint8Array)[]) => number;
}

let calls: SocketCalls | undefined;
let setup: Setup | undefined;

/** @throws ENOTSUP where foreign calls cannot be made */
export function socketCalls(): SocketCalls {
  if (calls === undefined) {
    // Asked once: it looks at the environment each time.
    const c = libc()!;
    calls = {
      recvmsg: foreign("recvmsg", "intptr_t", ["int", "uintptr_t", "int"]),
      sendmsg: foreign("sendmsg", "intptr_t", ["int", "uintptr_t", "int"]),
      shutdown: foreign("shutdown", "int", ["int", "int"]),
      close: foreign("close", "int", ["int"]),
      yieldProcessor: foreign("sched_yield", "int", []),
      errno: () => c.errno(),
    };
  }
  return calls;
}

function options(): Setup {
  setup ??= {
    fcntl: foreign("fcntl", "int", ["int", "int", "..."]) as unknown as Setup["fcntl"],
    setsockopt: foreign("setsockopt", "int", ["int", "int", "int", "void *", "uint32"]),
    getsockopt: foreign("getsockopt", "int", ["int", "int", "int", "void *", "void *"]),
  };
  return setup;
}

/** Sets how long replies may wait in the kernel and that none waits for others. */
export function tuneSocket(fd: number): void {
  const value = new Uint8Array(4);
  const view = new DataView(value.buffer);
  const length = new Uint8Array(Uint32Array.of(4).buffer);
  const known = options().getsockopt(fd, SOL_SOCKET, SO_DOMAIN, value, length) === 0;
  // Failures are no matter: these make it fast, and it works without.
  if (known && view.getUint32(0, true) === AF_UNIX) {
    view.setUint32(0, UNIX_SEND_BUFFER, true);
    options().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, 4);
  } else {
    // A fixed buffer would turn off what TCP tunes by itself.
    view.setUint32(0, 1, true);
    options().setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, value, 4);
  }
}

/** Makes calls on the socket wait, those that receive for at most `milliseconds`; 0 is for ever. */
export function makeBlocking(fd: number, milliseconds: number): void {
  const flags = options().fcntl(fd, F_GETFL, "int", 0);
  if ((flags & O_NONBLOCK) !== 0) options().fcntl(fd, F_SETFL, "int", flags & ~O_NONBLOCK);
  const time = new DataView(new ArrayBuffer(16));
  time.setBigInt64(0, BigInt(Math.floor(milliseconds / 1000)), true);
  time.setBigInt64(8, BigInt(Math.floor(milliseconds % 1000) * 1000), true);
  options().setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(time.buffer), 16);
}

/** Memory that foreign calls reach: an array and where it lies. */
export interface Pinned {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly address: number;
}

/** Memory of more than 64 bytes, at its address for as long as `bytes` is held. */
export function pinned(length: number): Pinned {
  const bytes = new Uint8Array(length);
  return { bytes, address: addressOf(bytes) };
}

/** IOV_MAX: the kernel takes no more in one call. */
const MOST_PIECES = 1024;
/** `struct msghdr` of 64-bit Linux, rounded up to where the pieces start. */
const HEADER_BYTES = 64;
const HEADER = { pieces: 16 / 4, count: 24 / 4 } as const;

/** A `msghdr` and its `iovec`s, made once and filled for each call. */
export class Message {
  readonly address: number;
  /** Bytes of all pieces. */
  bytes = 0;
  count = 0;
  readonly #words: Uint32Array<ArrayBuffer>;

  constructor() {
    const { bytes, address } = pinned(HEADER_BYTES + 16 * MOST_PIECES);
    this.address = address;
    this.#words = new Uint32Array(bytes.buffer);
    this.#put(HEADER.pieces, address + HEADER_BYTES);
  }

  clear(): void {
    this.bytes = 0;
    this.count = 0;
    this.#words[HEADER.count] = 0;
  }

  /** The next piece: `length` bytes at `address`. */
  add(address: number, length: number): void {
    assert(this.count < MOST_PIECES, "a message has no room for another piece");
    const word = (HEADER_BYTES + 16 * this.count) / 4;
    this.#put(word, address);
    this.#put(word + 2, length);
    this.count++;
    this.bytes += length;
    this.#words[HEADER.count] = this.count;
  }

  #put(word: number, value: number): void {
    this.#words[word] = value >>> 0;
    this.#words[word + 1] = Math.floor(value / 2 ** 32);
  }
}
