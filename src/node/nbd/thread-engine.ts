/**
 * The engine for plain memory: handshakes and quiet connections on the stack's own thread, each
 * busy one on a thread of its own, where its calls may wait. Figures are in `bench/README.md`.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";
import type { Attached, ConnectionEvents, Engine, EngineOptions } from "./engine.ts";
import { MappedStore } from "./mapped-store.ts";
import type { PolledConnection } from "./polled-connection.ts";
import { PolledEngine } from "./polled-engine.ts";
import { faultOf } from "./thread-messages.ts";
import { ThreadPool } from "./thread-pool.ts";

const THREADS = 16;
const IDLE_MS = 1000;
/** What asks for sizes and goes never takes a thread; who copies has one after so many turns. */
const BUSY_TURNS = 4;

/** See the module. Stores other than {@link MappedStore} are served on the stack's own thread. */
export class ThreadEngine implements Engine {
  readonly #pool: ThreadPool;
  readonly #polled: PolledEngine;
  readonly #warm: number;
  #closing: Promise<void> | undefined;

  /** @throws ENOTSUP where foreign calls cannot be made */
  constructor(options: EngineOptions = {}) {
    const { threads = THREADS, warm = 1, idleMs = IDLE_MS } = options;
    this.#polled = new PolledEngine((connection) => this.#turned(connection));
    this.#pool = new ThreadPool(threads, { idleMs });
    this.#warm = warm;
  }

  get connections(): number {
    return this.#polled.connections;
  }

  adopt(fd: number, session: ServerSession, events: ConnectionEvents): Attached {
    const attached = this.#polled.adopt(fd, session, events);
    this.#pool.warm(this.#warm);
    return attached;
  }

  close(graceMs?: number): Promise<void> {
    this.#closing ??= this.#polled.close(graceMs).then(() => this.#pool.close());
    return this.#closing;
  }

  #turned(connection: PolledConnection): void {
    if (connection.turns < BUSY_TURNS) return;
    const { fd, session } = connection;
    const { store, name: exportName, dirty } = session.export!;
    if (!(store instanceof MappedStore)) return;
    const free = this.#pool.hasIdle();
    connection.yielding = free;
    if (!free || !connection.portable) return;
    const terms = session.terms!;
    const request = { fd, terms, exportName, store: store.share, dirty: dirty?.buffer };
    this.#pool.lend({ ...request, rest: connection.lend() }, (result) => {
      if (result instanceof DaxError) connection.finish(result);
      else if (result.over) connection.finish(faultOf(result.fault));
      else connection.takeBack(result.rest);
    });
  }
}
