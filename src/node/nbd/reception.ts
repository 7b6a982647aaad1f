/**
 * Connections of a server from their first byte to their last: who carries each, how long it may
 * haggle, how many there may be.
 *
 * @module
 */
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";
import { duplicate, takeDescriptor } from "./descriptors.unsafe.ts";
import type { Attached, ConnectionEvents, Engine } from "./engine.ts";
import { NetEngine } from "./net-engine.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** Limits and doings of a reception. */
export interface ReceptionOptions {
  /** A new session for each connection. */
  readonly makeSession: () => ServerSession;
  /** Carries connections by foreign calls; without it Node's sockets do. */
  readonly engine: Engine | undefined;
  readonly tls: TlsSettings | undefined;
  /** 0 for ever. */
  readonly handshakeMs: number;
  readonly maxConnections: number;
  readonly onFault: ((fault: DaxError) => void) | undefined;
}

/** One connection. */
interface Guest {
  attached: Attached | undefined;
  timer: NodeJS.Timeout | undefined;
  fault: DaxError | undefined;
  readonly leave: (fault: DaxError | undefined) => void;
}

/** See the module. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #net: NetEngine;
  readonly #guests = new Set<Guest>();
  #closed = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    const { tls, handshakeMs } = options;
    this.#net = new NetEngine({ handshakeMs, ...(tls === undefined ? {} : { tls }) });
  }

  get connections(): number {
    return this.#guests.size;
  }

  /** Serves a paused socket that was just accepted. */
  accept(socket: Socket): void {
    const { engine, maxConnections } = this.#options;
    if (this.#closed || this.#guests.size >= maxConnections) {
      socket.destroy();
      return;
    }
    this.#admit((session, events) =>
      engine === undefined
        ? this.#net.adoptSocket(socket, session, events)
        : adoptBy(engine, takeDescriptor(socket), session, events),
    );
  }

  /** Serves a connected descriptor, which stays open; resolves when the connection is over. */
  async serve(fd: number): Promise<void> {
    const { engine } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const error = this.#admit(
        (session, events) =>
          engine === undefined
            ? this.#net.adopt(fd, session, events)
            : adoptBy(engine, duplicate(fd), session, events),
        resolve,
      );
      if (error !== undefined) reject(error);
    });
  }

  /** Hangs up on everybody, by force after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#options.engine?.close(graceMs), this.#net.close(graceMs)]);
  }

  /** One that cannot be served is reported, and others are. */
  #admit(
    adopt: (session: ServerSession, events: ConnectionEvents) => Attached,
    onLeft?: () => void,
  ): DaxError | undefined {
    const guest = this.#newGuest(onLeft);
    const events: ConnectionEvents = {
      onClosed: guest.leave,
      onTls: (fd, session) => {
        guest.attached = this.#net.adopt(fd, session, events);
      },
    };
    try {
      guest.attached = adopt(this.#options.makeSession(), events);
      return undefined;
    } catch (error) {
      guest.leave(isDaxError(error) ? error : undefined);
      if (isDaxError(error)) return error;
      throw error;
    }
  }

  #newGuest(onLeft: (() => void) | undefined): Guest {
    const { handshakeMs, onFault } = this.#options;
    const guest: Guest = {
      attached: undefined,
      timer: undefined,
      fault: undefined,
      leave: (fault) => {
        clearTimeout(guest.timer);
        if (!this.#guests.delete(guest)) return;
        const reason = guest.fault ?? fault;
        if (reason !== undefined) onFault?.(reason);
        onLeft?.();
      },
    };
    this.#guests.add(guest);
    if (handshakeMs > 0) {
      guest.timer = setTimeout(() => hurry(guest, handshakeMs), handshakeMs);
      guest.timer.unref();
    }
    return guest;
  }
}

/** A client that has not chosen an export by now keeps a place from others. */
function hurry(guest: Guest, handshakeMs: number): void {
  const { attached } = guest;
  if (attached === undefined || attached.session.state === "transmission") return;
  guest.fault = new DaxError("ETIMEDOUT", {
    syscall: "handshake",
    detail: `the client had chosen no export after ${handshakeMs / 1000} s`,
  });
  attached.destroy();
}

/** An engine that refuses a descriptor leaves it to us. */
function adoptBy(
  engine: Engine,
  fd: number,
  session: ServerSession,
  events: ConnectionEvents,
): Attached {
  try {
    return engine.adopt(fd, session, events);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
