/**
 * Replies in the form that was agreed on: simple, structured, or with extended headers.
 *
 * @module
 */
import {
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_ERROR,
  NBD_REPLY_TYPE_ERROR_OFFSET,
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  NbdError,
  NbdExtendedReply,
  NbdOffsetData,
  NbdOffsetHole,
  NbdSimpleReply,
  NbdStructuredReply,
} from "../format/nbd.ts";
import { copyIn } from "../lib/memory.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import type { Request } from "./request.ts";
import type { SessionTerms } from "./session-contract.ts";
import { wireText } from "./wire-errors.ts";

/** Bytes of a header of each form. */
export const SIMPLE_BYTES = 16;
/** See {@link SIMPLE_BYTES}. */
export const STRUCTURED_BYTES = 20;
/** See {@link SIMPLE_BYTES}. */
export const EXTENDED_BYTES = 32;
/** Bytes of the offset before data. */
export const OFFSET_BYTES = 8;
const OFFSET_HOLE_BYTES = 12;
const ERROR_BYTES = 6;

/** The payload of an error at an offset: {@link errorAtBytes} long. */
export function encodeErrorAt(
  view: DataView<ArrayBuffer>,
  at: number,
  error: number,
  words: Uint8Array,
  offset: number,
): void {
  NbdError.error.set(view, at, error);
  NbdError.messageLength.set(view, at, words.length);
  copyIn(view, at + ERROR_BYTES, words);
  NbdOffsetData.offset.set(view, at + ERROR_BYTES + words.length, offset);
}

/** Bytes of that payload. */
export function errorAtBytes(words: Uint8Array): number {
  return ERROR_BYTES + words.length + OFFSET_BYTES;
}

/** Queues headers; payloads are queued by the caller, right behind. */
export class ReplyWriter {
  readonly form: SessionTerms["replies"];
  readonly #queue: ReplyQueue;

  constructor(queue: ReplyQueue, form: SessionTerms["replies"]) {
    this.#queue = queue;
    this.form = form;
  }

  /** The request is done; it has no payload, and is no read in chunks. */
  done(request: Request): void {
    if (this.form === "extended") this.chunk(request, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, 0);
    else this.#simple(request, 0);
  }

  /** Ends a reply in chunks. */
  end(request: Request): void {
    this.chunk(request, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, 0);
  }

  /** The request failed; in chunks, this is the last one. */
  error(request: Request, error: number, text: string): void {
    if (this.form === "simple") {
      this.#simple(request, error);
      return;
    }
    const words = wireText(text);
    const length = ERROR_BYTES + words.length;
    this.chunk(request, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR, length);
    const at = this.#queue.header(length);
    const { view } = this.#queue;
    NbdError.error.set(view, at, error);
    NbdError.messageLength.set(view, at, words.length);
    this.#queue.arena.set(words, at + ERROR_BYTES);
  }

  /** A read failed at an offset, after chunks that are good; this is the last one. */
  errorAt(request: Request, error: number, text: string, offset: number): void {
    if (this.form === "simple") {
      this.#simple(request, error);
      return;
    }
    const words = wireText(text);
    const length = errorAtBytes(words);
    this.chunk(request, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR_OFFSET, length);
    const at = this.#queue.header(length);
    encodeErrorAt(this.#queue.view, at, error, words, offset);
  }

  /** The header of a read's data, all of them where replies are simple. */
  data(request: Request, offset: number, length: number, last: boolean): void {
    if (this.form === "simple") {
      this.#simple(request, 0);
      return;
    }
    const flags = last ? NBD_REPLY_FLAG_DONE : 0;
    this.chunk(request, flags, NBD_REPLY_TYPE_OFFSET_DATA, OFFSET_BYTES + length);
    const at = this.#queue.header(OFFSET_BYTES);
    NbdOffsetData.offset.set(this.#queue.view, at, offset);
  }

  /** A run of zeros, as a chunk. */
  hole(request: Request, offset: number, length: number, last: boolean): void {
    const flags = last ? NBD_REPLY_FLAG_DONE : 0;
    this.chunk(request, flags, NBD_REPLY_TYPE_OFFSET_HOLE, OFFSET_HOLE_BYTES);
    const at = this.#queue.header(OFFSET_HOLE_BYTES);
    NbdOffsetHole.offset.set(this.#queue.view, at, offset);
    NbdOffsetHole.length.set(this.#queue.view, at, length);
  }

  /** The header of a chunk with `length` bytes of payload. */
  chunk(request: Request, flags: number, type: number, length: number): void {
    const extended = this.form === "extended";
    const at = this.#queue.header(extended ? EXTENDED_BYTES : STRUCTURED_BYTES);
    const { view } = this.#queue;
    if (extended) {
      NbdExtendedReply.magic.set(view, at, NBD_EXTENDED_REPLY_MAGIC);
      NbdExtendedReply.flags.set(view, at, flags);
      NbdExtendedReply.type.set(view, at, type);
      NbdExtendedReply.cookieHi.set(view, at, request.cookieHi);
      NbdExtendedReply.cookieLo.set(view, at, request.cookieLo);
      // Two words, so that also an offset of 2^53 and more comes back as it was.
      view.setUint32(at + NbdExtendedReply.offset.offset, request.offsetHi);
      view.setUint32(at + NbdExtendedReply.offset.offset + 4, request.offsetLo);
      NbdExtendedReply.length.set(view, at, length);
      return;
    }
    NbdStructuredReply.magic.set(view, at, NBD_STRUCTURED_REPLY_MAGIC);
    NbdStructuredReply.flags.set(view, at, flags);
    NbdStructuredReply.type.set(view, at, type);
    NbdStructuredReply.cookieHi.set(view, at, request.cookieHi);
    NbdStructuredReply.cookieLo.set(view, at, request.cookieLo);
    NbdStructuredReply.length.set(view, at, length);
  }

  #simple(request: Request, error: number): void {
    const at = this.#queue.header(SIMPLE_BYTES);
    const { view } = this.#queue;
    NbdSimpleReply.magic.set(view, at, NBD_SIMPLE_REPLY_MAGIC);
    NbdSimpleReply.error.set(view, at, error);
    NbdSimpleReply.cookieHi.set(view, at, request.cookieHi);
    NbdSimpleReply.cookieLo.set(view, at, request.cookieLo);
  }
}
