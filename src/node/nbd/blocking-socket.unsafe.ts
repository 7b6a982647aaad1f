/**
 * Sockets that block the calling thread, by foreign calls: no event loop and no second thread.
 *
 * @module
 */
import { isIPv4 } from "node:net";
import { DaxError } from "../../lib/errno.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import type { NbdAddress } from "../../nbd/uri.ts";
import { functionIn, libc } from "../libc.unsafe.ts";
import { systemError } from "../system-error.ts";
import type { BlockingConnection } from "./blocking-connection.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;
const EINTR = 4;
const EAGAIN = 11;
const EINPROGRESS = 115;
/** Bytes in `sun_path`, its NUL included where the path is no abstract name. */
const SUN_PATH = 108;

type Call = (...values: (number | Uint8Array)[]) => number;

/** The calls; each returns what its manual page says. */
export interface ForeignSockets {
  readonly socket: Call;
  readonly connect: Call;
  readonly setsockopt: Call;
  readonly send: Call;
  readonly recv: Call;
  readonly close: Call;
  errno(): number;
}

function call(name: string, result: string, parameters: string[]): Call | undefined {
  return functionIn("libc.so.6", name, result, parameters);
}

let bound: ForeignSockets | undefined;

/** The calls, or undefined where they cannot be made. */
export function foreignSockets(): ForeignSockets | undefined {
  const c = libc();
  if (c === undefined) return undefined;
  if (bound !== undefined) return bound;
  const socket = call("socket", "int", ["int", "int", "int"]);
  const connect = call("connect", "int", ["int", "void *", "uint32"]);
  const setsockopt = call("setsockopt", "int", ["int", "int", "int", "void *", "uint32"]);
  const send = call("send", "intptr_t", ["int", "void *", "size_t", "int"]);
  // Not that of node:fs: in a worker it would wonder about descriptors that it did not open.
  const close = call("close", "int", ["int"]);
  const recv = call("recv", "intptr_t", ["int", "void *", "size_t", "int"]);
  if (!socket || !connect || !setsockopt || !send || !recv || !close) return undefined;
  bound = { socket, connect, setsockopt, send, recv, close, errno: () => c.errno() };
  return bound;
}

/** Closes descriptors of connections that nobody closed. */
const backstop = new FinalizationRegistry<number>((fd) => bound?.close(fd));

/** See the module. */
export class ForeignConnection implements BlockingConnection {
  readonly #calls: ForeignSockets;
  readonly #timeoutMs: number;
  readonly #fd: number;
  #open = true;

  /** @throws ENOENT, ECONNREFUSED and what else connect(2) says; ETIMEDOUT */
  constructor(calls: ForeignSockets, address: NbdAddress, timeoutMs: number) {
    this.#calls = calls;
    this.#timeoutMs = timeoutMs;
    this.#fd = this.#connectAny(addressesOf(address));
    backstop.register(this, this.#fd, this);
  }

  send(pieces: readonly Uint8Array[]): void {
    for (const [i, piece] of pieces.entries()) {
      // A header and its payload belong into one packet.
      const flags = MSG_NOSIGNAL | (i < pieces.length - 1 ? MSG_MORE : 0);
      for (let done = 0; done < piece.length;) {
        const rest = done === 0 ? piece : piece.subarray(done);
        const count = this.#calls.send(this.#fd, rest, rest.length, flags);
        if (count >= 0) done += count;
        else this.#refuse("send");
      }
    }
  }

  fill(target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const rest = done === 0 ? target : target.subarray(done);
      const count = this.#calls.recv(this.#fd, rest, rest.length, 0);
      if (count > 0) done += count;
      else if (count < 0) this.#refuse("recv");
      else throw closedByServer();
    }
  }

  secure(): never {
    throw new DaxError("ENOTSUP", { syscall: "connect", detail: "no TLS on a blocking socket" });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    backstop.unregister(this);
    this.#calls.close(this.#fd);
  }

  #connectAny(addresses: readonly Uint8Array[]): number {
    let error: unknown;
    for (const address of addresses) {
      try {
        return this.#connect(address);
      } catch (refused) {
        error = refused;
      }
    }
    throw error;
  }

  #connect(address: Uint8Array): number {
    const calls = this.#calls;
    const family = new DataView(address.buffer).getUint16(0, true);
    const fd = calls.socket(family, SOCK_STREAM_CLOEXEC, 0);
    if (fd < 0) throw systemError(calls.errno(), { syscall: "socket" });
    const time = new DataView(new ArrayBuffer(16));
    time.setBigInt64(0, BigInt(Math.floor(this.#timeoutMs / 1000)), true);
    time.setBigInt64(8, BigInt(Math.floor(this.#timeoutMs % 1000) * 1000), true);
    for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
      calls.setsockopt(fd, SOL_SOCKET, option, new Uint8Array(time.buffer), 16);
    }
    const yes = Uint8Array.of(1, 0, 0, 0);
    if (family !== AF_UNIX) calls.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, yes, 4);
    while (calls.connect(fd, address, address.length) !== 0) {
      const errno = calls.errno();
      if (errno === EINTR) continue;
      calls.close(fd);
      throw this.#error("connect", errno);
    }
    return fd;
  }

  #refuse(syscall: string): void {
    const errno = this.#calls.errno();
    if (errno !== EINTR) throw this.#error(syscall, errno);
  }

  #error(syscall: string, errno: number): DaxError {
    if (errno !== EAGAIN && errno !== EINPROGRESS) return systemError(errno, { syscall });
    return new DaxError("ETIMEDOUT", {
      syscall,
      detail: `the server was silent for ${this.#timeoutMs / 1000} s`,
    });
  }
}

/** The stream ended in the middle of something. */
export function closedByServer(): DaxError {
  return new DaxError("ECONNRESET", {
    syscall: "recv",
    detail: "the server closed the connection",
  });
}

/** As `sockaddr` structures, in the order in which they are to be tried. */
function addressesOf(address: NbdAddress): readonly Uint8Array[] {
  if (address.kind === "unix") return [unixAddress(address.path)];
  const { host, port } = address;
  const hosts = host === "localhost" ? ["::1", "127.0.0.1"] : [host];
  return hosts.map((literal) => (isIPv4(literal) ? inet(literal, port) : inet6(literal, port)));
}

function unixAddress(path: string): Uint8Array {
  const name = encodeUtf8(path);
  const abstract = name[0] === 0;
  if (name.length + (abstract ? 0 : 1) > SUN_PATH) {
    throw new DaxError("ENAMETOOLONG", {
      syscall: "connect",
      detail: `a unix socket's path of ${name.length} bytes; ${SUN_PATH - 1} is the most`,
    });
  }
  const bytes = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
  bytes[0] = AF_UNIX;
  bytes.set(name, 2);
  return bytes;
}

function inet(host: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  bytes.set([port >>> 8, port & 255, ...host.split(".").map(Number)], 2);
  return bytes;
}

function groupsOf(text: string): string[] {
  return text === "" ? [] : text.split(":");
}

function inet6(host: string, port: number): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes[0] = AF_INET6;
  bytes.set([port >>> 8, port & 255], 2);
  // The URL parser writes every address in hexadecimal groups, the embedded IPv4 ones too.
  const canonical = new URL(`nbd://[${host}]`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const [front, back] = [groupsOf(head), groupsOf(tail ?? "")];
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length });
  for (const [i, group] of [...front, ...zeros.map(() => "0"), ...back].entries()) {
    const value = Number.parseInt(group, 16);
    bytes.set([value >>> 8, value & 255], 8 + 2 * i);
  }
  return bytes;
}
