/**
 * A connection on the event loop: it runs when its socket is ready, a bounded turn at a time.
 *
 * @module
 */
import type { DaxError } from "../../lib/errno.ts";
import type { ServerSession } from "../../nbd/session-contract.ts";
import { type DescriptorWatch, watchDescriptor } from "../libc.unsafe.ts";
import { Connection, type Stop } from "./connection.ts";
import type { Attached, ConnectionEvents } from "./engine.ts";
import { SHUT_RD, SHUT_RDWR } from "./sockets.unsafe.ts";
import type { Workspace } from "./workspace.ts";

/** What its engine hears. */
export interface PolledOwner {
  /** A turn ended in which commands may have been served. Threads are lent here. */
  turned(connection: PolledConnection): void;
  /** It is not this engine's any more. */
  left(connection: PolledConnection): void;
}

/** See the module. */
export class PolledConnection implements Attached {
  readonly fd: number;
  readonly session: ServerSession;
  /** Turns in transmission since it was quiet: how busy it is. */
  turns = 0;
  readonly #space: Workspace;
  readonly #owner: PolledOwner;
  readonly #events: ConnectionEvents;
  readonly #connection: Connection;
  readonly #watch: DescriptorWatch;
  #waitsFor: "readable" | "writable" | "disconnect" | undefined;
  /** The client is gone: nothing of it waits for a gate any more. */
  #hungUp = false;
  #soon: NodeJS.Immediate | undefined;
  #lent = false;
  #ending = false;
  #over = false;

  constructor(
    fd: number,
    session: ServerSession,
    space: Workspace,
    owner: PolledOwner,
    events: ConnectionEvents,
  ) {
    this.fd = fd;
    this.session = session;
    this.#space = space;
    this.#owner = owner;
    this.#events = events;
    this.#connection = new Connection(fd, session, space);
    this.#watch = watchDescriptor(fd);
    this.#later();
  }

  get carrier(): "polled" | "thread" {
    return this.#lent ? "thread" : "polled";
  }

  /** Whether another thread may take it now. */
  get portable(): boolean {
    return !this.#over && !this.#ending && !this.#lent && this.#connection.portable;
  }

  end(): void {
    if (this.#over || this.#ending) return;
    this.#ending = true;
    // What the kernel has received is still read; after it comes the end, for a thread as well.
    this.#space.calls.shutdown(this.fd, SHUT_RD);
    if (!this.#lent) this.#drain();
  }

  destroy(): void {
    if (this.#over) return;
    this.#ending = true;
    this.#space.calls.shutdown(this.fd, SHUT_RDWR);
    if (!this.#lent) this.#later();
  }

  /** Asks it to be {@link portable} soon: with replies always on their way it might never be. */
  set yielding(value: boolean) {
    this.#connection.yielding = value;
  }

  /** Gives it to another thread: the bytes that go first there. Nothing happens here until then. */
  lend(): Uint8Array {
    this.#lent = true;
    this.#connection.yielding = false;
    this.#pause();
    const { rest } = this.#connection;
    this.#connection.rest = new Uint8Array(0);
    return rest;
  }

  /** The other thread is done with it: it goes on here with `rest`, which was not used there. */
  takeBack(rest: Uint8Array): void {
    this.#lent = false;
    this.turns = 0;
    this.#connection.rest = rest;
    if (this.#ending) this.#drain();
    else this.#later();
  }

  /** It is over: closes the descriptor, once, and tells. No other thread has it by now. */
  finish(fault: DaxError | undefined): void {
    if (this.#over) return;
    this.#leave();
    this.#space.calls.close(this.fd);
    this.session.export?.onDetach?.();
    setImmediate(() => this.#events.onClosed(fault));
  }

  #leave(): void {
    this.#over = true;
    this.#lent = false;
    this.#pause();
    this.#watch.close();
    this.#owner.left(this);
  }

  #drain(): void {
    this.session.shutdown();
    this.#later();
  }

  #later(): void {
    this.#soon ??= setImmediate(() => this.#turn());
  }

  #pause(): void {
    if (this.#soon !== undefined) clearImmediate(this.#soon);
    this.#soon = undefined;
    if (this.#waitsFor !== undefined) this.#watch.stop();
    this.#waitsFor = undefined;
  }

  #turn(): void {
    this.#soon = undefined;
    if (this.#over || this.#lent) return;
    this.#connection.draining = this.#ending || this.#hungUp;
    const stop = this.#connection.run();
    this.#settle(stop);
  }

  #settle(stop: Stop): void {
    if (stop === "over" || (stop === "readable" && this.#ending)) {
      this.finish(this.#connection.fault);
      return;
    }
    if (stop === "tls") {
      this.#leave();
      this.#events.onTls(this.fd, this.session);
      return;
    }
    if (stop === "shut") {
      this.#awaitGate();
    } else if (stop === "again") {
      if (this.#waitsFor !== undefined) this.#pause();
      this.#later();
    } else this.#await(stop);
    if (this.session.state === "transmission") {
      this.turns++;
      this.#owner.turned(this);
    }
  }

  /** Requests wait for as long as there is somebody who wants an answer. */
  #awaitGate(): void {
    this.#pause();
    this.session.export?.gate?.onOpen(() => this.#later());
    this.#waitsFor = "disconnect";
    this.#watch.start({ disconnect: true }, () => {
      this.#pause();
      this.#hungUp = true;
      this.#later();
    });
  }

  #await(what: "readable" | "writable"): void {
    if (this.#waitsFor === what) return;
    if (this.#waitsFor !== undefined) this.#watch.stop();
    this.#waitsFor = what;
    this.#watch.start({ readable: what === "readable", writable: what === "writable" }, () =>
      this.#turn(),
    );
  }
}
