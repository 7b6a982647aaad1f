/**
 * Connections over `node:net` and `node:tls`: for TLS, and where foreign calls cannot be made.
 * Every byte is copied by this thread; memory is bounded by pausing the socket.
 *
 * @module
 */
import { Socket } from "node:net";
import { type TLSSocket, createServer } from "node:tls";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { FULL_EFFORT } from "../../nbd/reply-queue.ts";
import type { ExportGate } from "../../nbd/export.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";
import type { Attached, ConnectionEvents, Engine } from "./engine.ts";
import { NetInput } from "./net-input.ts";
import { NetSender } from "./net-sender.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** How long the last bytes may take, and how long a client may take to hang up after them. */
const PARTING_MS = 2000;

/** Settings of the engine. */
export interface NetEngineOptions {
  /** Without it `session.state` never becomes `starttls`. */
  readonly tls?: TlsSettings;
  /** A TLS handshake may take so long; 0 for ever. */
  readonly handshakeMs?: number;
}

/** See the module. */
export class NetEngine implements Engine {
  readonly #options: NetEngineOptions;
  readonly #open = new Set<NetConnection>();
  #closed = false;

  constructor(options: NetEngineOptions = {}) {
    this.#options = options;
  }

  get connections(): number {
    return this.#open.size;
  }

  /** As {@link Engine.adopt}; TLS is done here and not handed out. */
  adopt(fd: number, session: ServerSession, events: ConnectionEvents): Attached {
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    return this.adoptSocket(socket, session, events);
  }

  /** As `adopt`, for a socket of Node's that is paused. */
  adoptSocket(
    socket: Socket,
    session: ServerSession,
    events: Pick<ConnectionEvents, "onClosed">,
  ): Attached {
    if (this.#closed) throw new DaxError("EBADF", { syscall: "adopt", detail: "it was closed" });
    const connection = new NetConnection(socket, session, this.#options, (fault) => {
      this.#open.delete(connection);
      events.onClosed(fault);
    });
    this.#open.add(connection);
    connection.start();
    return connection;
  }

  async close(graceMs = PARTING_MS): Promise<void> {
    this.#closed = true;
    const all = [...this.#open];
    for (const connection of all) connection.end();
    const force = setTimeout(() => {
      for (const connection of all) connection.destroy();
    }, graceMs);
    await Promise.all(all.map(async (connection) => connection.closed));
    clearTimeout(force);
  }
}

class NetConnection implements Attached {
  readonly carrier = "net";
  readonly session: ServerSession;
  readonly closed: Promise<void>;
  readonly #options: NetEngineOptions;
  readonly #input: NetInput;
  #socket: Socket;
  #sender: NetSender;
  #fault: DaxError | undefined;
  #parting = false;
  /** The export's gate will call. */
  #waits = false;
  /** The effort for replies when others had their turn last. */
  #rested = 0;
  /** A TLS handshake is on its way: the socket is not ours to read. */
  #securing = false;

  constructor(
    socket: Socket,
    session: ServerSession,
    options: NetEngineOptions,
    onClosed: (fault: DaxError | undefined) => void,
  ) {
    this.session = session;
    this.#options = options;
    this.#socket = socket;
    this.#input = new NetInput();
    this.#sender = new NetSender(socket, session);
    this.closed = new Promise((resolve) => {
      this.#onEnd = () => {
        session.export?.onDetach?.();
        resolve();
        onClosed(this.#fault ?? session.fault);
      };
    });
  }

  #onEnd: () => void = () => {};

  start(): void {
    this.#listen(this.#socket);
    this.#socket.once("close", () => this.#ended());
    this.#pump();
  }

  end(): void {
    this.session.shutdown();
    this.#input.ended = true;
    if (this.#securing) this.destroy();
    else this.#pump();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #ended(): void {
    if (this.#securing) return;
    const end = this.#onEnd;
    this.#onEnd = () => {};
    end();
  }

  #listen(socket: Socket): void {
    socket.on("data", this.#onData);
    socket.on("end", this.#onEof);
    socket.on("error", this.#onError);
    socket.setNoDelay(true);
    socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#parting) return;
    this.#input.add(chunk);
    if (this.#input.full) this.#socket.pause();
    this.#pump();
  };

  readonly #onEof = (): void => {
    this.#input.ended = true;
    this.#pump();
  };

  readonly #onError = (error: Error): void => {
    this.#note(error);
  };

  /** Whoever said goodbye need not wait for the answer to it. */
  #note(error: NodeJS.ErrnoException | undefined): void {
    if (isGone(error?.code ?? "") && this.session.state === "closing") return;
    this.#fault ??= faultOf(error);
  }

  /** Receives and answers until there is nothing to do but wait for the socket. */
  readonly #pump = (): void => {
    while (!this.#sender.busy && !this.#parting && !this.#securing) {
      // Its end is told, and the store may be closed by whoever hears of it.
      if (this.#socket.destroyed) return;
      const { session } = this;
      this.#input.feed(session);
      if (session.replies.count > 0) {
        this.#send();
      } else if (session.state === "starttls") {
        this.#secure();
      } else if (session.state === "closing" || this.#input.ended) {
        this.#part();
      } else if (session.export?.gate?.open === false) {
        this.#awaitGate(session.export.gate);
        return;
      } else if (!this.#input.pending) {
        if (this.#socket.isPaused()) this.#socket.resume();
        return;
      }
    }
  };

  /** What comes meanwhile is kept, as far as there is room: its end may be among it. */
  #awaitGate(gate: ExportGate): void {
    if (!this.#input.full && this.#socket.isPaused()) this.#socket.resume();
    if (this.#waits) return;
    this.#waits = true;
    gate.onOpen(() => {
      this.#waits = false;
      this.#pump();
    });
  }

  #send(): void {
    this.#sender.send((error) => {
      if (error !== undefined) this.#part(error);
      else if (this.#rest()) setImmediate(this.#pump);
      else this.#pump();
    });
  }

  /** Whether others had to wait long for what was done here; then they come first. */
  #rest(): boolean {
    const { effort } = this.session.replies;
    if (effort - this.#rested < FULL_EFFORT) return false;
    this.#rested = effort;
    return true;
  }

  /**
   * Sends what was written and hangs up. What still comes in is read and dropped for a while, or
   * else TCP would throw away the answers that are under way.
   */
  #part(error?: Error): void {
    this.#parting = true;
    this.#input.drop();
    const socket = this.#socket;
    if (error !== undefined || socket.destroyed) {
      this.#note(error);
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), PARTING_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.resume();
    socket.end(() => {
      if (this.#input.ended) socket.destroy();
      else socket.once("end", () => socket.destroy());
    });
  }

  /** The TLS handshake: the session goes on over the socket that it gives. */
  #secure(): void {
    const { tls, handshakeMs = 0 } = this.#options;
    const raw = this.#socket;
    raw.pause();
    raw.off("data", this.#onData);
    raw.off("end", this.#onEof);
    // Bytes that came in the clear behind STARTTLS would pass as if they had been protected.
    if (tls === undefined || this.#input.pending || raw.readableLength > 0) {
      this.#fault = new DaxError("EPROTO", {
        syscall: "starttls",
        detail: "bytes came behind STARTTLS before its answer",
      });
      this.destroy();
      return;
    }
    this.#securing = true;
    // Whoever says no more now will never be secured; afterwards half a connection is one.
    raw.allowHalfOpen = false;
    // A server that only this connection sees: whose handshake failed is then no question.
    const server = createServer({
      ...tls.server,
      ...(handshakeMs > 0 ? { handshakeTimeout: handshakeMs } : {}),
    });
    server.once("tlsClientError", (error) => this.#notSecured(raw, error));
    server.once("secureConnection", (socket) => this.#secured(socket));
    raw.once("close", () => this.#notSecured(raw));
    server.emit("connection", raw);
  }

  #secured(socket: TLSSocket): void {
    this.#securing = false;
    socket.allowHalfOpen = true;
    this.#socket = socket;
    this.#sender = new NetSender(socket, this.session);
    socket.once("close", () => this.#ended());
    this.#listen(socket);
    this.session.secured();
    this.#pump();
  }

  #notSecured(raw: Socket, error?: Error): void {
    if (!this.#securing) return;
    this.#securing = false;
    this.#fault ??= faultOf(error, "starttls") ?? notTrusted();
    if (raw.closed) this.#ended();
    else {
      raw.once("close", () => this.#ended());
      raw.destroy();
    }
  }
}

/** Node ends it without a word where a certificate is not what was demanded. */
function notTrusted(): DaxError {
  return new DaxError("EPROTO", {
    syscall: "starttls",
    detail: "the client left, or showed no certificate that is trusted here",
  });
}

function isGone(code: string): code is "EPIPE" | "ECONNRESET" | "ETIMEDOUT" {
  return code === "EPIPE" || code === "ECONNRESET" || code === "ETIMEDOUT";
}

/** What a socket reports, in our words. */
function faultOf(error: Error | undefined, syscall?: string): DaxError | undefined {
  if (error === undefined) return undefined;
  if (isDaxError(error)) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return new DaxError(isGone(code) ? code : syscall === undefined ? "EIO" : "EPROTO", {
    syscall: syscall ?? "socket",
    detail: reasonOf(error),
  });
}

/** OpenSSL's errors carry a few words beside a line for developers. */
export function reasonOf(error: Error): string {
  const { reason } = error as { reason?: unknown };
  return typeof reason === "string"
    ? reason
    : (error.message.split("\n", 1)[0] ?? "").slice(0, 200);
}
