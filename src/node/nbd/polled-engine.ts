/**
 * Connections on the stack's own thread, polled: for stores whose drivers must see each request
 * themselves, for handshakes, and for connections that no thread is left for.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";
import type { Attached, ConnectionEvents, Engine } from "./engine.ts";
import { PolledConnection, type PolledOwner } from "./polled-connection.ts";
import { tuneSocket } from "./sockets.unsafe.ts";
import { makeWorkspace, type Workspace } from "./workspace.ts";

/** Twice what a handshake may leave unused, so that a call always has room. */
const STAGING_BYTES = 131_072;
const GRACE_MS = 2000;

/** See the module. */
export class PolledEngine implements Engine {
  readonly #space: Workspace = makeWorkspace(STAGING_BYTES);
  readonly #turned: (connection: PolledConnection) => void;
  readonly #open = new Set<PolledConnection>();
  #closing: Promise<void> | undefined;
  #closed: () => void = () => {};

  /**
   * @param turned called after each turn of a connection in transmission
   * @throws ENOTSUP where foreign calls cannot be made
   */
  constructor(turned: (connection: PolledConnection) => void = () => {}) {
    this.#turned = turned;
  }

  get connections(): number {
    return this.#open.size;
  }

  adopt(fd: number, session: ServerSession, events: ConnectionEvents): Attached {
    if (this.#closing !== undefined) {
      throw new DaxError("EBADF", { syscall: "adopt", detail: "the engine is closed" });
    }
    tuneSocket(fd);
    const connection = new PolledConnection(fd, session, this.#space, this.#owner, events);
    this.#open.add(connection);
    return connection;
  }

  close(graceMs = GRACE_MS): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    const force = setTimeout(() => {
      for (const connection of this.#open) connection.destroy();
    }, graceMs);
    for (const connection of this.#open) connection.end();
    await empty;
    clearTimeout(force);
  }

  readonly #owner: PolledOwner = {
    turned: (connection) => this.#turned(connection),
    left: (connection) => {
      this.#open.delete(connection);
      if (this.#open.size === 0) this.#closed();
    },
  };
}
