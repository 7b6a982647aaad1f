/**
 * The server's side of one NBD connection: bytes in, bytes out; no socket, clock or file inside.
 * Every transport drives it as `session-contract.ts` says.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { ExportDirectory, NbdExport } from "./export.ts";
import { Handshake, type TlsMode } from "./handshake.ts";
import { ReplyQueue } from "./reply-queue.ts";
import { recoverSend } from "./send-recovery.ts";
import type { Landing, ServerSession, SessionState, SessionTerms } from "./session-contract.ts";
import { Transmission } from "./transmission.ts";

/** How a session is made. */
export interface SessionOptions {
  /** Whether TLS is refused (unless told otherwise), offered, or a must. */
  readonly tls?: TlsMode;
  /** Where replies wait; a transport may bring its own, for an arena at a known address. */
  readonly replies?: ReplyQueue;
}

/** A new connection: the greeting is queued. */
export function openSession(
  directory: ExportDirectory,
  options: SessionOptions = {},
): ServerSession {
  const replies = options.replies ?? new ReplyQueue();
  return new Session(replies, new Handshake(directory, options.tls ?? "off", replies));
}

/** A connection whose handshake another session did: it begins with transmission. */
export function resumeSession(
  target: NbdExport,
  terms: SessionTerms,
  replies: ReplyQueue = new ReplyQueue(),
): ServerSession {
  return new Session(replies, undefined, { export: target, terms });
}

class Session implements ServerSession {
  readonly replies: ReplyQueue;
  readonly #handshake: Handshake | undefined;
  #transmission: Transmission | undefined;
  #export: NbdExport | undefined;
  /** Set where no way is left to go on. */
  #broken: DaxError | undefined;

  constructor(
    replies: ReplyQueue,
    handshake: Handshake | undefined,
    agreed?: { readonly export: NbdExport; readonly terms: SessionTerms },
  ) {
    this.replies = replies;
    this.#handshake = handshake;
    if (agreed !== undefined) this.#begin(agreed.export, agreed.terms);
  }

  get state(): SessionState {
    if (this.#broken !== undefined) return "closing";
    const transmission = this.#transmission;
    if (transmission !== undefined) return transmission.ended ? "closing" : "transmission";
    if (this.#handshake?.wantsTls === true) return "starttls";
    return this.#handshake?.ended === true ? "closing" : "handshake";
  }

  get export(): NbdExport | undefined {
    return this.#export;
  }

  get landing(): Landing | undefined {
    return this.#broken === undefined ? this.#transmission?.landing : undefined;
  }

  get terms(): SessionTerms | undefined {
    const transmission = this.#transmission;
    if (this.#broken !== undefined || transmission?.idle !== true) return undefined;
    return transmission.terms;
  }

  get requests(): number {
    return this.#transmission?.requests ?? 0;
  }

  get fault(): DaxError | undefined {
    return this.#broken ?? this.#transmission?.fault ?? this.#handshake?.fault;
  }

  receive(bytes: Uint8Array, start: number, stop: number): number {
    if (this.#broken !== undefined) return 0;
    if (this.#transmission !== undefined) return this.#transmission.receive(bytes, start, stop);
    const handshake = this.#handshake;
    if (handshake === undefined) return 0;
    const used = handshake.receive(bytes, start, stop);
    if (handshake.agreement === undefined) return used;
    this.#begin(handshake.agreement.export, handshake.agreement.terms);
    // Here, and not where transports look next: many requests may stand behind the agreement.
    handshake.agreement.export.onAttach?.();
    if (handshake.stopping) this.shutdown();
    else if (handshake.agreement.export.gate?.open === false) return used;
    return used + this.receive(bytes, start + used, stop);
  }

  landed(length: number): void {
    this.#transmission?.landed(length);
  }

  landingRefused(): void {
    this.#transmission?.landingRefused();
  }

  sendRefused(sent: number): void {
    const store = this.#export?.store;
    const failure =
      store === undefined
        ? new DaxError("EFAULT", { syscall: "nbd", detail: "a reply cannot be sent" })
        : recoverSend(this.replies, store, sent);
    if (failure === undefined) return;
    this.#broken = failure;
    this.replies.clear();
  }

  secured(): void {
    this.#handshake?.secured();
  }

  shutdown(): void {
    if (this.#handshake !== undefined) this.#handshake.stopping = true;
    if (this.#transmission !== undefined) this.#transmission.stopping = true;
  }

  #begin(target: NbdExport, terms: SessionTerms): void {
    this.#export = target;
    this.#transmission = new Transmission(target, terms, this.replies);
    // What the handshake said has other headers than replies have.
    this.replies.verbatim = this.replies.bytes;
  }
}
