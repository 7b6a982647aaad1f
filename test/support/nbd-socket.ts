/**
 * A client on a real socket, for tests of engines: simple replies, in the order of the requests.
 */
import { readdirSync } from "node:fs";
import { Socket } from "node:net";
import { foreign } from "../../src/node/libc.unsafe.ts";
import { CLIENT_FLAGS, Decoder, info, join, request, type Sent } from "./nbd-wire.ts";

/** Two connected unix stream sockets. */
export function socketPair(): [number, number] {
  const pair = new Uint8Array(8);
  const call = foreign("socketpair", "int", ["int", "int", "int", "void *"]);
  if (call(1, 1, 0, pair) !== 0) throw new Error("socketpair failed");
  const [first, second] = new Int32Array(pair.buffer);
  return [first!, second!];
}

/** Descriptors that this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** See the module. */
export class SocketClient {
  readonly socket: Socket;
  /** Settles when the server has closed its end. */
  readonly closed: Promise<void>;
  #parts: Uint8Array[] = [];
  #have = 0;
  #wanted = 0;
  #wake: (() => void) | undefined;
  #over = false;
  #cookie = 0n;

  /** @param from a descriptor, or a socket from which nothing was read */
  constructor(from: number | Socket) {
    this.socket =
      typeof from === "number" ? new Socket({ fd: from, readable: true, writable: true }) : from;
    this.socket.on("data", (bytes: Buffer) => {
      this.#parts.push(bytes);
      this.#have += bytes.length;
      if (this.#have >= this.#wanted) this.#wake?.();
    });
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.socket.on("close", () => {
        this.#over = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  send(...parts: readonly Uint8Array[]): void {
    this.socket.write(join(...parts));
  }

  /** The next `length` bytes that the server says. */
  async read(length: number): Promise<Uint8Array> {
    this.#wanted = length;
    while (this.#have < length) {
      if (this.#over) throw new Error(`${length} bytes wanted, ${this.#have} came before the end`);
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const all = join(...this.#parts);
    this.#parts = [all.subarray(length)];
    this.#have = all.length - length;
    return all.subarray(0, length);
  }

  /** The handshake, up to transmission; the size of the export. */
  async go(name = ""): Promise<number> {
    await this.read(18);
    this.send(CLIENT_FLAGS, info(7, name));
    for (let size = 0; ;) {
      // oxlint-disable-next-line no-await-in-loop
      const head = new Decoder(await this.read(20));
      head.at = 12;
      const [type, length] = [head.number(4), head.number(4)];
      // oxlint-disable-next-line no-await-in-loop
      const data = new Decoder(await this.read(length));
      if (type === 1) return size;
      if (type !== 3) throw new Error(`the export is refused: ${type}`);
      if (data.number(2) === 0) size = data.number(8);
    }
  }

  /** The bytes of a request, with the next cookie. */
  ask(sent: Omit<Sent, "cookie">): Uint8Array {
    return request({ ...sent, cookie: ++this.#cookie });
  }

  /** The error of the next reply, and its data if there is no error and `length` of it is due. */
  async reply(length = 0): Promise<{ error: number; data: Uint8Array }> {
    const head = new Decoder(await this.read(16));
    if (head.number(4) !== 0x67446698) throw new Error("no simple reply");
    const error = head.number(4);
    return { error, data: await this.read(error === 0 ? length : 0) };
  }

  /** Writes; returns the error. `flags` 1 is FUA. */
  async write(offset: number, payload: Uint8Array, flags = 0): Promise<number> {
    this.send(this.ask({ type: 1, flags, offset, payload }));
    return (await this.reply()).error;
  }

  /** Reads; throws where that is refused. */
  async readAt(offset: number, length: number): Promise<Uint8Array> {
    this.send(this.ask({ type: 0, offset, length }));
    const { error, data } = await this.reply(length);
    if (error !== 0) throw new Error(`error ${error}`);
    return data;
  }

  /** Sends a command without payload; returns the error. */
  async command(type: number, offset = 0, length = 0, flags = 0): Promise<number> {
    this.send(this.ask({ type, flags, offset, length }));
    return (await this.reply()).error;
  }

  destroy(): void {
    this.socket.destroy();
  }
}
