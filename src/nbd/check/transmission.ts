/**
 * Transmission as checks need it: requests with anything in them, and replies taken apart without
 * being made sense of.
 *
 * @module
 */
import {
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_READ,
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_EXTENDED_REQUEST_MAGIC,
  NBD_OPT_EXTENDED_HEADERS,
  NBD_OPT_GO,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
  NBD_REP_ACK,
  NBD_REQUEST_MAGIC,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  NBD_INFO_BLOCK_SIZE,
} from "../../format/nbd.ts";
import { optionError } from "../client-errors.ts";
import { negotiate } from "../client-handshake.ts";
import { hex, metaData } from "../client-options.ts";
import { fill, send, take } from "../talk.ts";
import {
  type CheckContext,
  type CheckTalk,
  Peer,
  expectThat,
  fail,
  isFilledWith,
  skip,
} from "./check.ts";
import { ask, askInfo, haggle } from "./haggling.ts";

/** Bytes of one chunk that a check is ready to hear. */
const LONGEST_CHUNK = 2 ** 26;
const MOST_CHUNKS = 100_000;
const ERROR_BIT = 0x8000;

/** The three kinds of replies. */
export type ReplyForm = "simple" | "structured" | "extended";

/** A request, whatever it holds. */
export interface RawRequest {
  readonly type: number;
  readonly flags?: number;
  readonly offset?: number | bigint;
  readonly length?: number;
  readonly payload?: Uint8Array;
  readonly cookie?: bigint;
}

/** A chunk of a reply. */
export interface RawChunk {
  readonly type: number;
  readonly flags: number;
  readonly payload: DataView<ArrayBuffer>;
}

/** All of a reply. */
export interface RawReply {
  readonly form: ReplyForm;
  readonly cookie: bigint;
  /** The first error, or 0. */
  readonly error: number;
  /** Those of a structured or extended reply. */
  readonly chunks: readonly RawChunk[];
  /** What a successful READ by a simple reply brought. */
  readonly data: Uint8Array;
}

/** A connection in transmission. */
export class Transmission {
  readonly peer: Peer;
  readonly form: ReplyForm;
  readonly context: CheckContext;
  #cookie = 0x0102_0304_0506_0700n;

  constructor(peer: Peer, form: ReplyForm, context: CheckContext) {
    this.peer = peer;
    this.form = form;
    this.context = context;
  }

  /** Bytes of the smallest request. */
  get block(): number {
    return this.context.facts.info.blockSizes.minimum;
  }

  /** Bytes of the export. */
  get size(): number {
    return this.context.facts.info.size;
  }

  /** Sends a request; returns its cookie. */
  *send(request: RawRequest): CheckTalk<bigint> {
    const cookie = request.cookie ?? ++this.#cookie;
    const header = encodeRequest({ ...request, cookie }, this.form === "extended");
    const { payload } = request;
    yield* this.peer.hold(payload === undefined ? send(header) : send(header, payload));
    return cookie;
  }

  /** Sends a request and hears its reply. */
  *ask(request: RawRequest): CheckTalk<RawReply> {
    const cookie = yield* this.send(request);
    const replies = yield* this.collect(new Map([[cookie, request]]));
    return replies.get(cookie)!;
  }

  /** Hears the replies to all of `requests`, in whatever order they come. */
  *collect(requests: ReadonlyMap<bigint, RawRequest>): CheckTalk<Map<bigint, RawReply>> {
    const done = new Map<bigint, RawReply>();
    const open = new Map<bigint, RawChunk[]>();
    while (done.size < requests.size) {
      const message = yield* this.#message(requests);
      const { cookie, form } = message;
      expectThat(!done.has(cookie), `answers cookie ${cookie.toString(16)} twice`);
      if (form === "simple") {
        done.set(cookie, { ...message, form, chunks: [] });
        continue;
      }
      const chunks = open.get(cookie) ?? [];
      open.set(cookie, chunks);
      chunks.push(message.chunk);
      expectThat(chunks.length <= MOST_CHUNKS, "sends chunks without end");
      if ((message.chunk.flags & NBD_REPLY_FLAG_DONE) === 0) continue;
      const error = chunks.map(errorOf).find((code) => code !== 0) ?? 0;
      done.set(cookie, { cookie, form, error, chunks, data: new Uint8Array(0) });
    }
    return done;
  }

  /** The server must still be there: a read that cannot fail is answered. */
  *alive(): CheckTalk<void> {
    const reply = yield* this.ask({ type: NBD_CMD_READ, offset: 0, length: this.block });
    expectThat(reply.error === 0, `answers a plain read by error ${reply.error} afterwards`);
  }

  /** Asks, and wants one of these errors; then the server must still be there. */
  *refuses(request: RawRequest, ...errors: readonly number[]): CheckTalk<void> {
    const { error } = yield* this.ask(request);
    expectThat(errors.includes(error), `answers ${nameOf(error)}, not ${names(errors)}`);
    yield* this.alive();
  }

  /** Asks, and wants success. */
  *serves(request: RawRequest): CheckTalk<RawReply> {
    const reply = yield* this.ask(request);
    expectThat(reply.error === 0, `answers ${nameOf(reply.error)}`);
    return reply;
  }

  /** The bytes of a range. */
  *read(offset: number, length: number, flags = 0): CheckTalk<Uint8Array> {
    const request = { type: NBD_CMD_READ, flags, offset, length };
    return dataOf(yield* this.serves(request), offset, length);
  }

  *#message(requests: ReadonlyMap<bigint, RawRequest>) {
    const bytes = new Uint8Array(32);
    const header = new DataView(bytes.buffer);
    const first = this.form === "extended" ? 32 : 16;
    yield* this.peer.hold(fill(bytes.subarray(0, first)));
    const magic = header.getUint32(0);
    const cookie = header.getBigUint64(8);
    const request = requests.get(cookie);
    const form = formOf(magic);
    expectThat(form !== undefined, `opens a reply with ${hex(magic)}`);
    expectThat(form === this.form || form === "simple", `sends ${form} replies, not agreed on`);
    expectThat(request !== undefined, `answers cookie ${cookie.toString(16)}, which is not due`);
    if (form === "simple") {
      expectThat(this.form !== "extended", "sends a simple reply after extended headers");
      const error = header.getUint32(4);
      const wanted = request.type === NBD_CMD_READ && error === 0 && this.form === "simple";
      const data = new Uint8Array(wanted ? (request.length ?? 0) : 0);
      yield* this.peer.hold(fill(data));
      return { form, cookie, error, data, chunk: undefined };
    }
    if (form === "structured") yield* this.peer.hold(fill(bytes.subarray(16, 20)));
    const length = form === "extended" ? Number(header.getBigUint64(24)) : header.getUint32(16);
    expectThat(length <= LONGEST_CHUNK, `sends a chunk of ${length} bytes`);
    const payload = yield* this.peer.hold(take(length));
    const chunk = { type: header.getUint16(6), flags: header.getUint16(4), payload };
    return { form, cookie, error: 0, data: new Uint8Array(0), chunk };
  }
}

function formOf(magic: number): ReplyForm | undefined {
  if (magic === NBD_SIMPLE_REPLY_MAGIC) return "simple";
  if (magic === NBD_STRUCTURED_REPLY_MAGIC) return "structured";
  return magic === NBD_EXTENDED_REPLY_MAGIC ? "extended" : undefined;
}

/** The error that a chunk brings, or 0. */
function errorOf({ type, payload }: RawChunk): number {
  if ((type & ERROR_BIT) === 0) return 0;
  expectThat(payload.byteLength >= 6, `sends an error chunk of ${payload.byteLength} bytes`);
  const message = payload.getUint16(4);
  expectThat(message <= 4096, `sends a message of ${message} bytes`);
  expectThat(6 + message <= payload.byteLength, "sends a message longer than its chunk");
  const error = payload.getUint32(0);
  expectThat(error !== 0, "sends an error chunk without an error");
  return error;
}

const ERRORS: Readonly<Record<number, string>> = {
  0: "success",
  1: "EPERM",
  5: "EIO",
  12: "ENOMEM",
  22: "EINVAL",
  28: "ENOSPC",
  75: "EOVERFLOW",
  95: "ENOTSUP",
  108: "ESHUTDOWN",
};

/** An error as the specification calls it. */
export function nameOf(error: number): string {
  return ERRORS[error] ?? `error ${error}`;
}

function names(errors: readonly number[]): string {
  return errors.map(nameOf).join(" or ");
}

/** The bytes that a reply to READ brought, put together. */
export function dataOf(reply: RawReply, offset: number, length: number): Uint8Array {
  if (reply.form === "simple") return reply.data;
  const data = new Uint8Array(length);
  const came = new Uint8Array(length);
  for (const { type, payload } of reply.chunks) {
    if (type !== NBD_REPLY_TYPE_OFFSET_DATA && type !== NBD_REPLY_TYPE_OFFSET_HOLE) continue;
    const hole = type === NBD_REPLY_TYPE_OFFSET_HOLE;
    const bytes = payload.byteLength;
    expectThat(hole ? bytes === 12 : bytes > 8, `sends a content chunk of ${bytes} bytes`);
    const at = Number(payload.getBigUint64(0)) - offset;
    const run = hole ? payload.getUint32(8) : bytes - 8;
    expectThat(at >= 0 && run > 0 && at + run <= length, "sends bytes that were not asked for");
    expectThat(isFilledWith(came.subarray(at, at + run), 0), "sends bytes twice");
    came.fill(1, at, at + run);
    if (!hole) data.set(new Uint8Array(payload.buffer, 8), at);
  }
  expectThat(isFilledWith(came, 1), "calls a read successful that it did not send whole");
  return data;
}

/** A request as bytes. */
export function encodeRequest(request: RawRequest, extended: boolean): Uint8Array {
  const { type, flags = 0, offset = 0, payload, cookie = 0n } = request;
  const length = request.length ?? payload?.length ?? 0;
  const bytes = new Uint8Array(extended ? 32 : 28);
  const view = new DataView(bytes.buffer);
  const carries = extended && payload !== undefined ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
  view.setUint32(0, extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
  view.setUint16(4, flags | carries);
  view.setUint16(6, type);
  view.setBigUint64(8, cookie);
  view.setBigUint64(16, BigInt(offset));
  if (extended) view.setBigUint64(24, BigInt(length));
  else view.setUint32(24, length);
  return bytes;
}

/** How transmission is entered. */
export interface Entry {
  /** The best that the server has, unless told otherwise. */
  readonly form?: ReplyForm;
  /** Metadata contexts to select. */
  readonly contexts?: readonly string[];
}

/** The best form of replies that a server has, without the extension. */
export function usualForm({ facts }: CheckContext): ReplyForm {
  return facts.structured ? "structured" : "simple";
}

/** Enters transmission. Skips the check where the server has not what it needs. */
export function* enter(context: CheckContext, entry: Entry = {}): CheckTalk<Transmission> {
  const form = entry.form ?? usualForm(context);
  if (!context.facts.go) return yield* enterByName(context, form);
  const peer = yield* haggle(context);
  yield* agreeOn(peer, form);
  if (entry.contexts !== undefined) {
    const data = metaData(context.exportName, entry.contexts);
    const { final, replies, message } = yield* ask(peer, NBD_OPT_SET_META_CONTEXT, data);
    if (final !== NBD_REP_ACK) throw optionError(final, message);
    const missing = entry.contexts.length - replies.length;
    if (missing > 0) skip(`${missing} of the contexts ${entry.contexts.join(", ")} cannot be had`);
  }
  yield* go(peer, context);
  return new Transmission(peer, form, context);
}

/** Agrees on the form of replies. */
export function* agreeOn(peer: Peer, form: ReplyForm): CheckTalk<void> {
  if (form === "simple") return;
  const extended = form === "extended";
  const option = extended ? NBD_OPT_EXTENDED_HEADERS : NBD_OPT_STRUCTURED_REPLY;
  const { final } = yield* ask(peer, option);
  if (final !== NBD_REP_ACK) skip(`the server has no ${form} ${extended ? "headers" : "replies"}`);
}

/** GO, the block sizes asked for. */
export function* go(peer: Peer, { exportName }: CheckContext): CheckTalk<void> {
  const outcome = yield* askInfo(peer, NBD_OPT_GO, exportName, [NBD_INFO_BLOCK_SIZE]);
  if (outcome.final !== NBD_REP_ACK) {
    fail(`refuses GO: ${optionError(outcome.final, outcome.message).message}`);
  }
}

function* enterByName(context: CheckContext, form: ReplyForm): CheckTalk<Transmission> {
  const { exportName, tls } = context;
  const peer = yield* Peer.open();
  const wishes = { exportName, structured: form !== "simple", extended: false, contexts: [] };
  yield* peer.hold(negotiate(tls === undefined ? wishes : { ...wishes, tls }));
  return new Transmission(peer, form, context);
}
