/**
 * One connection: bytes between a socket and a session, without a copy of payloads where the store
 * has direct memory. The same loop serves a thread of its own, where calls wait, and the event
 * loop, where they never do.
 *
 * @module
 */
import { AssertionError, DaxError } from "../../lib/errno.ts";
import { FULL_EFFORT } from "../../nbd/reply-queue.ts";
import type { ServerSession, SessionTerms } from "../../nbd/session-contract.ts";
import { systemError } from "../system-error.ts";
import { ReplySender } from "./reply-sender.ts";
import { EAGAIN, EFAULT, EINTR, MSG_DONTWAIT } from "./sockets.unsafe.ts";
import type { AdaptiveSpin } from "./spin.ts";
import type { Workspace } from "./workspace.ts";

/**
 * Why {@link Connection.run} came back:
 * - `readable`, `writable`: the socket must be that first; with a spin, it was quiet for long;
 * - `again`: others have their turn, then run it again;
 * - `shut`: the gate of the export is; run it again when that is open;
 * - `tls`: the session is at `starttls`, and all is sent;
 * - `over`: close it.
 */
export type Stop = "shut" | "readable" | "writable" | "again" | "tls" | "over";

/** How many bytes a turn may move before others have theirs. */
const TURN_BYTES = 1 << 20;
/** Payloads from here on are received in place: only headers are received ahead of them. */
const LARGE = 32768;
/** Of a request, with and without extended headers. */
const REQUEST_BYTES = 28;
const EXTENDED_REQUEST_BYTES = 32;
const ECONNRESET = 104;
const NOTHING = new Uint8Array(0);

/** See the module. */
export class Connection {
  readonly fd: number;
  readonly session: ServerSession;
  /** Stop as soon as it is {@link portable}, whatever is left to do: `again` says so. */
  yielding = false;
  readonly #space: Workspace;
  readonly #spin: AdaptiveSpin | undefined;
  readonly #sender: ReplySender;
  /** Bytes of staging in use: `[start, stop)`, within a turn. Between turns they are `#rest`. */
  #start = 0;
  #stop = 0;
  #rest: Uint8Array = NOTHING;
  /** Payloads are large: receive a header only, so that what follows goes to its place. */
  #large = false;
  /** Bytes of a request's header; 0 as long as that is not settled. */
  #header = 0;
  /** Bytes received in this turn. */
  #received = 0;
  /** The effort for replies when others had their turn last. */
  #rested = 0;
  #fault: DaxError | undefined;

  /** @param spin how to wait; without it, no call ever waits */
  constructor(fd: number, session: ServerSession, space: Workspace, spin?: AdaptiveSpin) {
    this.fd = fd;
    this.session = session;
    this.#space = space;
    this.#spin = spin;
    this.#sender = new ReplySender(fd, session, space, spin !== undefined);
  }

  /** It ends: what was received is answered, though the export's gate is shut. */
  draining = false;

  /** Why it is over, where that was not the client's wish. */
  get fault(): DaxError | undefined {
    return this.session.fault ?? this.#fault ?? this.#sender.fault;
  }

  /** Whether another thread may go on with it: nothing is half done. See `ServerSession.terms`. */
  get portable(): boolean {
    return this.session.terms !== undefined && this.session.replies.count === 0;
  }

  /** Bytes that were received and not used; they go first in the next turn, wherever that is. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  set rest(bytes: Uint8Array) {
    this.#rest = bytes;
  }

  /** Receives, answers and sends until it has to wait, or has had its turn. */
  run(): Stop {
    this.#stop = this.#rest.length;
    this.#start = 0;
    this.#space.staging.bytes.set(this.#rest);
    this.#rest = NOTHING;
    this.#received = 0;
    try {
      return this.#turn();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#fault = error instanceof DaxError ? error : unexpected(error);
      return "over";
    } finally {
      if (this.#stop > this.#start) {
        this.#rest = this.#space.staging.bytes.slice(this.#start, this.#stop);
      }
    }
  }

  #turn(): Stop {
    for (;;) {
      const stop = this.#use() ?? this.#receive();
      if (stop !== undefined) return stop;
      if (this.#received >= TURN_BYTES) {
        if (this.#spin === undefined) return "again";
        this.#received = 0;
      }
    }
  }

  /** Lets the session use what is staged, and sends what it says. */
  #use(): Stop | undefined {
    const { session } = this;
    const { bytes } = this.#space.staging;
    for (;;) {
      if (session.replies.count > 0 && !this.#sender.send()) {
        return this.#sender.broken ? "over" : "writable";
      }
      if (this.#isTired()) return "again";
      if (session.state === "closing") return "over";
      if (session.state === "starttls") return this.#secure();
      if (this.yielding && this.portable) return "again";
      if (this.#start === this.#stop) return undefined;
      if (!this.draining && session.export?.gate?.open === false) return "shut";
      this.#start += session.receive(bytes, this.#start, this.#stop);
      // Nothing to say, and bytes are left: the rest of a header has to come first.
      if (session.replies.count === 0 && !isClosing(session)) return undefined;
    }
  }

  /** Whether others had to wait long for what was done here; then they come first. */
  #isTired(): boolean {
    const { effort } = this.session.replies;
    if (this.#spin !== undefined || effort - this.#rested < FULL_EFFORT) return false;
    this.#rested = effort;
    return true;
  }

  #secure(): Stop {
    if (this.#start === this.#stop) return "tls";
    // Taken for what came by TLS they would be somebody else's commands.
    const detail = `${this.#stop - this.#start} bytes came between STARTTLS and its answer`;
    this.#fault = new DaxError("EBADMSG", { syscall: "recv", detail });
    return "over";
  }

  /** One successful receipt; anything else is a reason to stop. */
  #receive(): Stop | undefined {
    const spin = this.#spin;
    for (;;) {
      const landing = this.#prepare();
      const got =
        spin === undefined
          ? this.#call(MSG_DONTWAIT)
          : spin.receive(this.#call, this.session.requests);
      if (got > 0) {
        this.#received += got;
        const landed = Math.min(got, landing);
        if (landed > 0) this.session.landed(landed);
        this.#stop += got - landed;
        return undefined;
      }
      if (got === 0) return "over";
      const errno = this.#space.calls.errno();
      if (errno === EAGAIN) return "readable";
      if (errno === EFAULT && landing > 0) this.session.landingRefused();
      else if (errno !== EINTR) return this.#lost(errno);
    }
  }

  #lost(errno: number): Stop {
    if (errno !== ECONNRESET) this.#fault = systemError(errno, { syscall: "recvmsg" });
    return "over";
  }

  /** Says where received bytes go: returns how many of them go straight to the store. */
  #prepare(): number {
    const { staging, message } = this.#space;
    const { session } = this;
    if (this.#start > 0) {
      staging.bytes.copyWithin(0, this.#start, this.#stop);
      this.#stop -= this.#start;
      this.#start = 0;
    }
    const { landing } = session;
    message.clear();
    let direct = 0;
    if (landing === undefined) {
      if (this.#header === 0) this.#header = headerBytes(session.terms);
      this.#large &&= this.#stop === 0;
    } else {
      this.#large = landing.length >= LARGE && this.#header > 0;
      const address = session.export!.store.direct!.addressOf(landing.offset, landing.length);
      if (address !== 0 && this.#stop === 0) {
        message.add(address, landing.length);
        direct = landing.length;
      }
    }
    message.add(staging.address + this.#stop, this.#ahead(staging.bytes.length));
    return direct;
  }

  /** How much to receive into staging. */
  #ahead(room: number): number {
    if (!this.#large || this.#stop > 0) return room - this.#stop;
    return this.#header;
  }

  readonly #call = (flags: number): number =>
    this.#space.calls.recvmsg(this.fd, this.#space.message.address, flags);
}

function headerBytes(terms: SessionTerms | undefined): number {
  if (terms === undefined) return 0;
  return terms.replies === "extended" ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES;
}

function isClosing(session: ServerSession): boolean {
  return session.state === "closing";
}

/** What no store should throw: told, and only this connection ends. */
function unexpected(error: unknown): DaxError {
  return new DaxError("EIO", { detail: `this is a bug: ${String(error)}` });
}
