/**
 * Connections for the checks of a server: `node:net` underneath, and a limit on every wait, so that
 * no server can hang a check.
 *
 * @module
 */
import { Socket, type SocketConnectOpts, type SocketConstructorOpts } from "node:net";
import { connect as connectTls } from "node:tls";
import { DaxError } from "../../lib/errno.ts";
import type { CheckStep, CheckTalk } from "../../nbd/check/check.ts";
import type { Ask } from "../../nbd/talk.ts";
import type { NbdUri, NbdUriTls } from "../../nbd/uri.ts";
import { systemError } from "../system-error.ts";
import { reasonOf } from "./net-engine.ts";
import { type TlsClientSettings, tlsClientSettings } from "./client-tls.ts";

/** Bytes read ahead on one connection: as much as a hostile server can make us hold. */
const READ_AHEAD = 1 << 20;

/** The connections of one check. */
export class CheckWires {
  readonly #uri: NbdUri;
  readonly #timeoutMs: number;
  readonly #wires = new Map<number, CheckWire>();

  /** @param timeoutMs for which a server may be silent in one step */
  constructor(uri: NbdUri, timeoutMs: number) {
    this.#uri = uri;
    this.#timeoutMs = timeoutMs;
  }

  /** Holds a talk to its end; what goes wrong with a connection is thrown into it. */
  async hold<T>(talk: CheckTalk<T>): Promise<T> {
    try {
      let step = talk.next();
      while (step.done !== true) {
        // oxlint-disable-next-line no-await-in-loop -- each step follows from the last
        const error = await this.#attempt(step.value);
        step = error === undefined ? talk.next() : talk.throw(error);
      }
      return step.value;
    } finally {
      this.close();
    }
  }

  /** Closes every connection without a word. */
  close(): void {
    for (const wire of this.#wires.values()) wire.close();
    this.#wires.clear();
  }

  async #attempt(step: CheckStep): Promise<DaxError | undefined> {
    try {
      await this.#step(step);
      return undefined;
    } catch (error) {
      if (error instanceof DaxError) return error;
      throw error;
    }
  }

  async #step(step: CheckStep): Promise<void> {
    if (step.kind === "open") {
      this.#wires.set(step.wire, await CheckWire.open(this.#uri, this.#timeoutMs));
      return;
    }
    const wire = this.#wires.get(step.wire);
    if (wire === undefined) {
      throw new DaxError("ECONNRESET", { syscall: "recv", detail: "it was closed from here" });
    }
    if (step.kind === "shut") wire.close();
    else await wire.answer(step.ask, (options) => tlsClientSettings(this.#uri, options));
  }
}

/** One connection. */
class CheckWire {
  #socket: Socket;
  readonly #timeoutMs: number;
  #failure: DaxError | undefined;
  /** Called when something may have come, or nothing will any more. */
  #wake: () => void = () => {};

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#listen();
  }

  /** @throws ENOENT, ECONNREFUSED, ETIMEDOUT and what else connecting says */
  static async open({ address, text }: NbdUri, timeoutMs: number): Promise<CheckWire> {
    const target: SocketConnectOpts =
      address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
    const socket = new Socket({ readableHighWaterMark: READ_AHEAD } as SocketConstructorOpts);
    socket.connect(target);
    socket.setNoDelay(true);
    const wire = new CheckWire(socket, timeoutMs);
    try {
      await wire.#wait("connect", () => !socket.connecting && !socket.pending);
    } catch (error) {
      socket.destroy();
      throw error instanceof DaxError ? error.at({ path: text }) : error;
    }
    return wire;
  }

  async answer(ask: Ask, settings: (options: NbdUriTls) => TlsClientSettings): Promise<void> {
    if (ask.kind === "fill") await this.#fill(ask.target);
    else if (ask.kind === "send") await this.#send(Buffer.concat(ask.pieces));
    else await this.#secure(settings(ask.options));
  }

  close(): void {
    this.#failure ??= closedByServer();
    this.#socket.destroy();
  }

  async #fill(target: Uint8Array): Promise<void> {
    let done = 0;
    await this.#wait("recv", () => {
      while (done < target.length) {
        const most = Math.min(target.length - done, this.#socket.readableLength);
        const chunk = most === 0 ? null : (this.#socket.read(most) as Buffer | null);
        if (chunk === null) break;
        target.set(chunk, done);
        done += chunk.length;
      }
      if (done < target.length) this.#socket.read(0);
      return done === target.length;
    });
  }

  async #send(piece: Uint8Array): Promise<void> {
    if (piece.length === 0) return;
    let sent = false;
    this.#socket.write(piece, (error) => {
      sent = error === null || error === undefined;
      this.#wake();
    });
    await this.#wait("send", () => sent);
  }

  async #secure({ psk, ...settings }: TlsClientSettings): Promise<void> {
    this.#socket.removeAllListeners();
    const known =
      psk === undefined
        ? {}
        : {
            pskCallback: () => ({ identity: psk.identity, psk: Buffer.from(psk.key, "hex") }),
            checkServerIdentity: () => undefined,
            ciphers: "PSK",
            maxVersion: "TLSv1.2" as const,
          };
    let secure = false;
    this.#socket = connectTls({ socket: this.#socket, ...settings, ...known }, () => {
      secure = true;
      this.#wake();
    });
    this.#listen();
    await this.#wait("connect", () => secure);
  }

  #listen(): void {
    const wake = () => this.#wake();
    this.#socket.on("readable", wake).on("connect", wake);
    this.#socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#failure ??= errorOf(error);
      this.#wake();
    });
    for (const event of ["end", "close"]) {
      this.#socket.on(event, () => {
        this.#failure ??= closedByServer();
        this.#wake();
      });
    }
  }

  /** Waits until it is done. @throws what went wrong, ETIMEDOUT */
  async #wait(syscall: string, isDone: () => boolean): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, this.#timeoutMs);
    try {
      while (!isDone()) {
        if (this.#failure !== undefined) throw this.#failure;
        if (late) {
          const detail = `the server says nothing for ${this.#timeoutMs / 1000} s`;
          throw new DaxError("ETIMEDOUT", { syscall, detail });
        }
        // oxlint-disable-next-line no-await-in-loop -- woken once for each event
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

function closedByServer(): DaxError {
  return new DaxError("ECONNRESET", {
    syscall: "recv",
    detail: "the server closed the connection",
  });
}

function errorOf(error: NodeJS.ErrnoException): DaxError {
  const syscall = error.syscall ?? "connect";
  if (error.code === "EPIPE" || error.code === "ECONNRESET") return closedByServer();
  if (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN") {
    return new DaxError("EHOSTUNREACH", { syscall, detail: error.message });
  }
  const [first] = (error as unknown as { errors?: NodeJS.ErrnoException[] }).errors ?? [];
  if (first !== undefined) return errorOf(first);
  if (typeof error.errno === "number") return systemError(-error.errno, { syscall });
  return new DaxError("EACCES", { syscall, detail: reasonOf(error) });
}
