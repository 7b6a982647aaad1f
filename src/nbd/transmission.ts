/**
 * Transmission: requests in, replies out. Requests are served in the order in which they come.
 *
 * @module
 */
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOTSUP,
  NBD_ESHUTDOWN,
  NbdBlockStatusPayload,
} from "../format/nbd.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { copyIn } from "../lib/memory.ts";
import { answerStatus } from "./block-status.ts";
import type { NbdExport } from "./export.ts";
import { contextId } from "./meta-contexts.ts";
import { Reads } from "./reads.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import { ReplyWriter } from "./reply-writer.ts";
import { EXTENDED_REQUEST_BYTES, REQUEST_BYTES, Request } from "./request.ts";
import { MAX_PAYLOAD, RequestRules } from "./request-rules.ts";
import type { Landing, SessionTerms } from "./session-contract.ts";
import type { NbdStore, ZeroFlags } from "./store.ts";
import { textOf, wireErrorOf } from "./wire-errors.ts";
import { Writes } from "./writes.ts";

/**
 * A compact write of up to so many bytes that breaks the limit is passed over and refused; beyond
 * it is taken for an attack, or for a client that lost its place.
 */
const MOST_PASSED_OVER = 2 * MAX_PAYLOAD;
/** The effect's length, and an id for each context that there is. */
const MOST_STATUS_PAYLOAD = 16;

/** What the payload that comes now is for. */
const PASSED_OVER = 0;
const WRITTEN = 1;
const STATUS = 2;

/** What it costs to make something durable, in bytes of work: unknown, and not nothing. */
const PERSIST_EFFORT = 1 << 20;
/** More than this is not looked at for one answer. */
const STATUS_EFFORT = 32 << 20;

const ZERO_FLAGS: readonly ZeroFlags[] = [0, 1, 2, 3].map((i) => ({
  noHole: (i & 1) !== 0,
  fast: (i & 2) !== 0,
}));

/** See the module. */
export class Transmission {
  readonly terms: SessionTerms;
  /** Nothing more is received. */
  ended = false;
  /** New requests are refused with ESHUTDOWN. */
  stopping = false;
  fault: DaxError | undefined;
  /** See `ServerSession.requests`. */
  requests = 0;
  readonly #target: NbdExport;
  readonly #store: NbdStore;
  readonly #queue: ReplyQueue;
  readonly #writer: ReplyWriter;
  readonly #rules: RequestRules;
  readonly #request = new Request();
  readonly #reads: Reads;
  readonly #writes: Writes;
  readonly #extended: boolean;
  readonly #headerBytes: number;
  readonly #statusPayload = new DataView(new ArrayBuffer(MOST_STATUS_PAYLOAD));
  /** Bytes of payload still to come, and what for. */
  #due = 0;
  #use = PASSED_OVER;
  /** The error that a request with payload is refused with, once that has passed. */
  #refusal = 0;
  #bytes: Uint8Array | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(target: NbdExport, terms: SessionTerms, queue: ReplyQueue) {
    this.terms = terms;
    this.#target = target;
    this.#store = target.store;
    this.#queue = queue;
    this.#writer = new ReplyWriter(queue, terms.replies);
    this.#rules = new RequestRules(target.store, terms);
    this.#reads = new Reads(target.store, queue, this.#writer);
    this.#writes = new Writes(target);
    this.#extended = terms.replies === "extended";
    this.#headerBytes = this.#extended ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES;
  }

  /** Nothing is half done. */
  get idle(): boolean {
    return this.#due === 0 && !this.#reads.pending && !this.ended && !this.stopping;
  }

  /** See `ServerSession.landing`. */
  get landing(): Landing | undefined {
    return this.#due > 0 && this.#use === WRITTEN ? this.#writes.landing : undefined;
  }

  /** See `ServerSession.receive`. */
  receive(bytes: Uint8Array, start: number, stop: number): number {
    const view = this.#viewOf(bytes);
    let at = start;
    while (!this.ended && !this.#queue.full) {
      if (this.#due > 0) {
        if (at === stop) break;
        at += this.#take(bytes, at, Math.min(this.#due, stop - at));
      } else if (stop - at < this.#headerBytes) break;
      else if (this.#serve(view, at)) at += this.#headerBytes;
    }
    return at - start;
  }

  /** See `ServerSession.landed`. */
  landed(length: number): void {
    this.#writes.landed(length);
    this.#due -= length;
    if (this.#due === 0) this.#finishPayload();
  }

  /** See `ServerSession.landingRefused`. */
  landingRefused(): void {
    this.#writes.refuseLanding();
  }

  /**
   * Serves the request at `at`. False while its reply is not all queued: the header stays where it
   * is, so that the transport comes again with it once the queue was sent.
   */
  #serve(view: DataView, at: number): boolean {
    const request = this.#request;
    if (this.#reads.pending) return this.#read(this.#reads.resume(request));
    if (!request.parse(view, at, this.#extended)) {
      const seen = view.getUint32(at).toString(16);
      this.#end(`a request begins with 0x${seen}; the client lost its place`);
      return true;
    }
    this.requests++;
    const payload = this.#payloadOf(request);
    if (request.type === NBD_CMD_DISC) this.ended = true;
    else if (payload > 0) this.#expect(request, payload);
    else {
      const error = this.stopping ? NBD_ESHUTDOWN : this.#rules.check(request, request.length);
      if (error === 0) return this.#execute(request);
      this.#refuse(request, error);
    }
    return true;
  }

  /** Bytes that follow the header. */
  #payloadOf({ type, flags, length }: Request): number {
    if (!this.#extended) return type === NBD_CMD_WRITE ? length : 0;
    return (flags & NBD_CMD_FLAG_PAYLOAD_LEN) === 0 ? 0 : length;
  }

  #execute(request: Request): boolean {
    if (request.type === NBD_CMD_READ) return this.#read(this.#reads.start(request));
    try {
      if (request.type === NBD_CMD_BLOCK_STATUS) {
        this.#status(request, this.terms.contexts, request.length);
        return true;
      }
      if (!this.#change(request)) return true;
    } catch (error) {
      this.#failed(request, error);
      return true;
    }
    this.#writer.done(request);
    return true;
  }

  /** Whether a read is all queued, or the connection ends in the midst of it. */
  #read(done: boolean): boolean {
    const { fault } = this.#reads;
    if (fault === undefined) return done;
    this.fault = fault;
    this.ended = true;
    return true;
  }

  /** The commands that answer nothing but success; false: it was refused. */
  #change(request: Request): boolean {
    const { type, flags, offset, length } = request;
    const store = this.#store;
    const durably = type === NBD_CMD_FLUSH || (flags & NBD_CMD_FLAG_FUA) !== 0;
    this.#queue.effort += length + (durably ? PERSIST_EFFORT : 0);
    if (type === NBD_CMD_FLUSH) store.flush();
    else if (type === NBD_CMD_CACHE) store.cache(offset, length);
    else {
      if (type === NBD_CMD_WRITE_ZEROES && !this.#zero(request)) return false;
      if (type === NBD_CMD_TRIM) this.#trim(offset, length);
      if ((flags & NBD_CMD_FLAG_FUA) !== 0) store.persist(offset, length);
    }
    return true;
  }

  #trim(offset: number, length: number): void {
    try {
      this.#store.trim(offset, length);
    } finally {
      this.#target.dirty?.add(offset, length);
    }
  }

  #zero(request: Request): boolean {
    const { flags, offset, length } = request;
    const fast = (flags & NBD_CMD_FLAG_FAST_ZERO) !== 0;
    if (fast && !this.#store.abilities.fastZero) {
      this.#writer.error(request, NBD_ENOTSUP, "zeroing is no faster than writing here");
      return false;
    }
    const noHole = (flags & NBD_CMD_FLAG_NO_HOLE) !== 0;
    const how = ZERO_FLAGS[(noHole ? 1 : 0) + (fast ? 2 : 0)] as ZeroFlags;
    try {
      this.#store.writeZeroes(offset, length, how);
    } finally {
      this.#target.dirty?.add(offset, length);
    }
    return true;
  }

  #status(request: Request, contexts: readonly string[], length: number): void {
    this.#queue.effort += Math.min(length, STATUS_EFFORT);
    const question = { target: this.#target, contexts, offset: request.offset, length };
    answerStatus(this.#queue, this.#writer, request, question);
  }

  #refuse(request: Request, error: number): void {
    const text =
      error === NBD_ESHUTDOWN
        ? "the server is shutting down"
        : this.#rules.explain(request, request.length);
    this.#writer.error(request, error, text);
  }

  #failed(request: Request, error: unknown): void {
    if (!isDaxError(error)) throw error;
    const fast = (request.flags & NBD_CMD_FLAG_FAST_ZERO) !== 0;
    this.#writer.error(request, wireErrorOf(error, fast), textOf(error));
  }

  /** Decides what to do with a payload before it comes. */
  #expect(request: Request, payload: number): void {
    const most = this.#extended ? MAX_PAYLOAD : MOST_PASSED_OVER;
    if (payload > most) {
      this.#writer.error(request, NBD_EINVAL, `no payload may have ${payload} bytes`);
      this.#end(`a payload of ${payload} bytes; at most ${MAX_PAYLOAD} are allowed`);
      return;
    }
    this.#due = payload;
    this.#use = PASSED_OVER;
    const asks = request.type === NBD_CMD_BLOCK_STATUS;
    // What is asked about stands in the payload: its range is looked at after that came.
    const known = !asks || this.terms.contexts.length === 0;
    const error = known ? this.#rules.check(request, payload) : 0;
    this.#refusal = this.stopping ? NBD_ESHUTDOWN : error;
    if (this.#refusal !== 0) return;
    if (asks) this.#use = STATUS;
    else {
      this.#use = WRITTEN;
      this.#writes.start(request.offset, payload, (request.flags & NBD_CMD_FLAG_FUA) !== 0);
    }
  }

  #take(bytes: Uint8Array, at: number, length: number): number {
    if (this.#use === WRITTEN) this.#writes.take(bytes, at, length);
    else if (this.#use === STATUS) {
      const filled = this.#request.length - this.#due;
      const room = Math.max(0, MOST_STATUS_PAYLOAD - filled);
      if (room > 0)
        copyIn(this.#statusPayload, filled, bytes.subarray(at, at + Math.min(length, room)));
    }
    this.#due -= length;
    if (this.#due === 0) this.#finishPayload();
    return length;
  }

  #finishPayload(): void {
    const request = this.#request;
    if (this.#use === WRITTEN) this.#finishWrite(request);
    else if (this.#use === STATUS) this.#finishStatus(request);
    else this.#refuse(request, this.#refusal);
    this.#use = PASSED_OVER;
  }

  #finishWrite(request: Request): void {
    const { error } = this.#writes;
    if (error !== undefined) {
      this.#failed(request, error);
      return;
    }
    const through = this.#store.writeThrough !== undefined && this.#store.direct === undefined;
    const durably = (request.flags & NBD_CMD_FLAG_FUA) !== 0;
    if (durably) this.#queue.effort += PERSIST_EFFORT;
    if (durably && !through) {
      try {
        this.#store.persist(request.offset, request.length);
      } catch (failure) {
        this.#failed(request, failure);
        return;
      }
    }
    this.#writer.done(request);
  }

  /** A BLOCK_STATUS with a payload: the length of the range, and ids of contexts. */
  #finishStatus(request: Request): void {
    const length = NbdBlockStatusPayload.effectLength.get(this.#statusPayload, 0);
    const ids = this.#statusIds(request.length);
    const contexts = this.terms.contexts.filter((name) => ids.includes(contextId(name)));
    if (ids.length === 0 || ids.length !== contexts.length) {
      this.#writer.error(request, NBD_EINVAL, "the payload names no contexts that were agreed on");
      return;
    }
    const error = this.#rules.check(request, length);
    if (error !== 0) {
      this.#writer.error(request, error, this.#rules.explain(request, length));
      return;
    }
    try {
      this.#status(request, contexts, length);
    } catch (failure) {
      this.#failed(request, failure);
    }
  }

  #statusIds(length: number): number[] {
    const first = NbdBlockStatusPayload.effectLength.size;
    if (length < first || length > MOST_STATUS_PAYLOAD || (length - first) % 4 !== 0) return [];
    const count = (length - first) / 4;
    return Array.from({ length: count }, (_, i) => this.#statusPayload.getUint32(first + i * 4));
  }

  #end(detail: string): void {
    this.fault = new DaxError("EBADMSG", { syscall: "nbd", detail });
    this.ended = true;
  }

  /** A view of what the transport stages in: the same one as long as it is the same memory. */
  #viewOf(bytes: Uint8Array): DataView {
    if (this.#bytes !== bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.#view;
  }
}
