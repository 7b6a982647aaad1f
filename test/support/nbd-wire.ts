/**
 * NBD as a client speaks it, for tests: builders of bytes, and a decoder of replies that was
 * written from the specification alone and shares nothing with `src/nbd`.
 */
import type { NbdExport } from "../../src/nbd/export.ts";
import { openSession, type SessionOptions } from "../../src/nbd/session.ts";
import type { ServerSession } from "../../src/nbd/session-contract.ts";
import {
  PIECE_ARENA,
  PIECE_SCRATCH,
  PIECE_STORE,
  type ReplyQueue,
} from "../../src/nbd/reply-queue.ts";

/** Bytes one after the other. */
export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Big-endian numbers: `[bytes, value]`. */
export function numbers(
  ...fields: readonly (readonly [number, number | bigint])[]
): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  for (const [size, value] of fields) {
    const big = BigInt(value);
    for (let i = size - 1; i >= 0; i--) out.push(Number((big >> BigInt(8 * i)) & 0xffn));
  }
  return Uint8Array.from(out);
}

/** UTF-8 of a string. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const IHAVEOPT = 0x49484156454f5054n;

/** The client's flags: fixed newstyle, no zeroes. */
export const CLIENT_FLAGS = numbers([4, 3]);

/** An option and its data. */
export function option(
  type: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  return join(numbers([8, IHAVEOPT], [4, type], [4, data.length]), data);
}

/** A length and a string. */
export function counted(text: string): Uint8Array<ArrayBuffer> {
  const bytes = utf8(text);
  return join(numbers([4, bytes.length]), bytes);
}

/** INFO (6) or GO (7). */
export function info(type: number, name: string, kinds: readonly number[] = []): Uint8Array {
  const list = kinds.map((kind) => numbers([2, kind]));
  return option(type, join(counted(name), numbers([2, kinds.length]), ...list));
}

/** LIST_META_CONTEXT (9) or SET_META_CONTEXT (10). */
export function contexts(type: number, name: string, queries: readonly string[]): Uint8Array {
  const list = queries.map((query) => counted(query));
  return option(type, join(counted(name), numbers([4, queries.length]), ...list));
}

/** A request. */
export interface Sent {
  readonly type: number;
  readonly flags?: number;
  readonly cookie: bigint;
  readonly offset?: number | bigint;
  readonly length?: number | bigint;
  readonly payload?: Uint8Array;
}

/** A request in compact or extended form. */
export function request(sent: Sent, extended = false): Uint8Array<ArrayBuffer> {
  const { type, flags = 0, cookie, offset = 0, payload = new Uint8Array(0) } = sent;
  const length = sent.length ?? payload.length;
  const magic = extended ? 0x21e41c71 : 0x25609513;
  const head = numbers([4, magic], [2, flags], [2, type], [8, cookie], [8, offset]);
  return join(head, numbers([extended ? 8 : 4, length]), payload);
}

/** A reply to an option. */
export interface OptionReply {
  readonly option: number;
  /** Errors have bit 31. */
  readonly type: number;
  readonly data: Uint8Array;
}

/** A reply, or a chunk of one. */
export interface Reply {
  readonly kind: "simple" | "structured" | "extended";
  readonly cookie: bigint;
  /** Of a simple reply, or of an error chunk; 0 for none. */
  readonly error: number;
  readonly done: boolean;
  readonly type: number;
  /** Payload; of an error its words. */
  readonly data: Uint8Array;
  /** Of data, holes and errors at an offset; of the header where that repeats it. */
  readonly offset: number;
  readonly headerOffset: bigint;
  /** Bytes of a hole. */
  readonly hole: number;
  /** Extents of a status chunk, and the id of its context. */
  readonly extents: readonly (readonly [number, number])[];
  readonly context: number;
}

/** Takes apart what a server says. */
export class Decoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  /** A number of so many bytes. */
  number(size: number): number {
    return Number(this.big(size));
  }

  big(size: number): bigint {
    if (this.left < size) throw new Error(`${size} bytes wanted, ${this.left} left`);
    let value = 0n;
    for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(this.#view.getUint8(this.at + i));
    this.at += size;
    return value;
  }

  bytes(size: number): Uint8Array {
    if (this.left < size) throw new Error(`${size} bytes wanted, ${this.left} left`);
    this.at += size;
    return this.#bytes.slice(this.at - size, this.at);
  }

  /** What the server says first; its flags. */
  hello(): number {
    if (this.big(8) !== 0x4e42444d41474943n) throw new Error("not NBDMAGIC");
    if (this.big(8) !== IHAVEOPT) throw new Error("not IHAVEOPT");
    return this.number(2);
  }

  optionReply(): OptionReply {
    if (this.big(8) !== 0x3e889045565a9n) throw new Error("not the magic of an option's reply");
    const [type, reply, length] = [this.number(4), this.number(4), this.number(4)];
    return { option: type, type: reply, data: this.bytes(length) };
  }

  /** Replies up to the final one. */
  optionReplies(): OptionReply[] {
    const all: OptionReply[] = [];
    do all.push(this.optionReply());
    while (all.at(-1)?.type !== 1 && (all.at(-1)?.type ?? 0) < 2 ** 31);
    return all;
  }

  /** The next reply; `lengthOf` knows how much data a simple one for a cookie brings. */
  reply(lengthOf: (cookie: bigint) => number): Reply {
    const none = { offset: 0, headerOffset: 0n, hole: 0, extents: [], context: 0, type: 0 };
    const magic = this.number(4);
    if (magic === 0x67446698) {
      const [error, cookie] = [this.number(4), this.big(8)];
      const data = this.bytes(error === 0 ? lengthOf(cookie) : 0);
      return { ...none, kind: "simple", cookie, error, done: true, data };
    }
    if (magic !== 0x668e33ef && magic !== 0x6e8a278c) throw new Error(`magic ${magic}`);
    const extended = magic === 0x6e8a278c;
    const [flags, type, cookie] = [this.number(2), this.number(2), this.big(8)];
    const headerOffset = extended ? this.big(8) : 0n;
    const length = this.number(extended ? 8 : 4);
    const payload = new Decoder(this.bytes(length));
    const head = { ...none, cookie, headerOffset, type, done: flags === 1 };
    const kind = extended ? "extended" : "structured";
    return { ...head, kind, error: 0, data: new Uint8Array(0), ...payload.#chunk(type) };
  }

  #chunk(type: number): Partial<Reply> {
    if (type === 0) return {};
    if (type === 1) return { offset: this.number(8), data: this.bytes(this.left) };
    if (type === 2) return { offset: this.number(8), hole: this.number(4) };
    if (type === 5 || type === 6) return this.#status(type === 6);
    const [error, words] = [this.number(4), this.number(2)];
    const data = this.bytes(words);
    return type === 0x8002 ? { error, data, offset: this.number(8) } : { error, data };
  }

  #status(extended: boolean): Partial<Reply> {
    const context = this.number(4);
    const count = extended ? this.number(4) : this.left / 8;
    const extents: [number, number][] = [];
    for (let i = 0; i < count; i++) {
      extents.push([this.number(extended ? 8 : 4), this.number(extended ? 8 : 4)]);
    }
    if (this.left > 0) throw new Error("a status chunk is longer than its extents");
    return { context, extents };
  }
}

/** The bytes that wait in a queue. */
export function queued(queue: ReplyQueue, media: Uint8Array = new Uint8Array(0)): Uint8Array {
  const sources = {
    [PIECE_ARENA]: queue.arena,
    [PIECE_SCRATCH]: queue.scratch,
    [PIECE_STORE]: media,
  };
  const parts = Array.from({ length: queue.count }, (_, i) => {
    const at = queue.at[i] as number;
    return sources[queue.kinds[i] as 0].subarray(at, at + (queue.lengths[i] as number));
  });
  return join(...parts);
}

/** What an export's memory is, for stores that give addresses into it. */
export interface Driven {
  readonly session: ServerSession;
  /** All that the server said. */
  readonly said: Uint8Array;
  /** How many bytes of what was sent were used. */
  readonly used: number;
}

/**
 * A transport: gives a session bytes in pieces of the given sizes, over and over, and collects what
 * it says. With `lands`, payload that may goes straight into `media`.
 */
export function drive(
  session: ServerSession,
  bytes: Uint8Array,
  options: {
    readonly sizes?: readonly number[];
    readonly media?: Uint8Array | undefined;
    readonly lands?: boolean;
  } = {},
): Driven {
  const { sizes = [bytes.length || 1], media = new Uint8Array(0), lands = false } = options;
  const said: Uint8Array[] = [];
  let [from, to] = [0, 0];
  let turn = 0;
  const send = (): void => {
    said.push(queued(session.replies, media));
    session.replies.clear();
  };
  send();
  for (;;) {
    const used = session.receive(bytes, from, to);
    from += used;
    if (session.replies.count > 0) {
      send();
      continue;
    }
    if (used > 0) continue;
    if (session.state === "closing" || session.state === "starttls" || to === bytes.length) break;
    const size = Math.min(sizes[turn++ % sizes.length] as number, bytes.length - to);
    const { landing } = session;
    if (lands && landing !== undefined && from === to) {
      const run = Math.min(size, landing.length);
      media.set(bytes.subarray(from, from + run), landing.offset);
      session.landed(run);
      from += run;
      to = from;
    } else to += size;
  }
  return { session, said: join(...said), used: from };
}

/** A directory with these exports; the first is the default one. */
export function directoryOf(...exports: readonly NbdExport[]): {
  list: () => readonly NbdExport[];
  find: (name: string) => NbdExport | undefined;
} {
  return {
    list: () => exports,
    find: (name) => (name === "" ? exports[0] : exports.find((one) => one.name === name)),
  };
}

/** Opens a session and gives it all of these bytes. */
export function converse(
  exports: readonly NbdExport[],
  bytes: Uint8Array,
  options: SessionOptions & { readonly media?: Uint8Array } = {},
): Driven {
  return drive(openSession(directoryOf(...exports), options), bytes, { media: options.media });
}
