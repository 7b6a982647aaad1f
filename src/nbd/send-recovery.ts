/**
 * The kernel refused to take a reply from where it lies: a file was cut short under its mapping.
 * Reply by reply, what was to come from the media is read through the store instead, which says
 * what is wrong, and the client is told in the form that the bytes already sent leave.
 *
 * @module
 */
import {
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_ERROR_OFFSET,
  NBD_SIMPLE_REPLY_MAGIC,
  NbdExtendedReply,
  NbdSimpleReply,
  NbdStructuredReply,
} from "../format/nbd.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { PIECE_ARENA, PIECE_STORE, type Piece, type ReplyQueue } from "./reply-queue.ts";
import {
  EXTENDED_BYTES,
  OFFSET_BYTES,
  SIMPLE_BYTES,
  STRUCTURED_BYTES,
  encodeErrorAt,
  errorAtBytes,
} from "./reply-writer.ts";
import type { NbdStore } from "./store.ts";
import { textOf, wireErrorOf, wireText } from "./wire-errors.ts";

/** A reply, or chunk of one, whose data lie in the store. */
interface Found {
  /** Index of the piece in the store; the one before it ends with the header. */
  readonly index: number;
  /** Where the header begins, in the arena and in the queue, in bytes. */
  readonly header: number;
  readonly position: number;
  readonly headerBytes: number;
}

/**
 * Rewrites the queue so that it holds what remains after `sent` bytes, with the first data that lie
 * in the store read from there. Answers why the connection must end where it must.
 */
export function recoverSend(
  queue: ReplyQueue,
  store: NbdStore,
  sent: number,
): DaxError | undefined {
  const pieces = queue.pieces();
  const found = findStored(queue, pieces, sent);
  if (found === undefined) {
    return new DaxError("EFAULT", { syscall: "nbd", detail: "a reply cannot be sent" });
  }
  const piece = pieces[found.index] as Piece;
  const target = queue.reserve(piece.length);
  try {
    store.read(piece.at, target);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    return giveError(queue, pieces, found, sent, error);
  }
  const copied = queue.take(piece.length);
  replace(queue, pieces, found, sent, [copied]);
  return undefined;
}

/** The first piece in the store that was not sent whole. */
function findStored(queue: ReplyQueue, pieces: readonly Piece[], sent: number): Found | undefined {
  let position = 0;
  for (const [index, piece] of pieces.entries()) {
    if (piece.kind === PIECE_STORE && position + piece.length > sent) {
      const headers = pieces[index - 1] as Piece;
      const verbatim = Math.max(0, queue.verbatim - (position - headers.length));
      const header = lastHeader(queue, headers.at + verbatim, headers.at + headers.length);
      const headerBytes = headers.at + headers.length - header;
      return { index, header, headerBytes, position: position - headerBytes };
    }
    position += piece.length;
  }
  return undefined;
}

/** Headers lie behind each other, and all but the last have no payload elsewhere. */
function lastHeader(queue: ReplyQueue, start: number, stop: number): number {
  let at = start;
  for (;;) {
    const next = at + lengthInArena(queue, at);
    if (next >= stop) return at;
    at = next;
  }
}

/** Bytes of a whole reply or chunk at an index of the arena. */
function lengthInArena({ view }: ReplyQueue, at: number): number {
  const magic = view.getUint32(at);
  if (magic === NBD_SIMPLE_REPLY_MAGIC) return SIMPLE_BYTES;
  if (magic === NBD_EXTENDED_REPLY_MAGIC) {
    return EXTENDED_BYTES + NbdExtendedReply.length.get(view, at);
  }
  return STRUCTURED_BYTES + NbdStructuredReply.length.get(view, at);
}

/** Says that the data could not be read, in what way is left. */
function giveError(
  queue: ReplyQueue,
  pieces: readonly Piece[],
  found: Found,
  sent: number,
  error: DaxError,
): DaxError | undefined {
  const { view } = queue;
  const { header } = found;
  const begun = sent > found.position;
  if (view.getUint32(header) === NBD_SIMPLE_REPLY_MAGIC) {
    if (begun) return error;
    NbdSimpleReply.error.set(view, header, wireErrorOf(error, false));
    replace(queue, pieces, found, sent, []);
    return undefined;
  }
  const done = (NbdStructuredReply.flags.get(view, header) & NBD_REPLY_FLAG_DONE) !== 0;
  if (begun && done) return error;
  const { length } = pieces[found.index] as Piece;
  const chunk = errorChunk(queue, found, error);
  if (!begun) replaceAll(queue, pieces, found, sent, chunk);
  else {
    // A chunk that was begun is completed, with zeros, and the error follows it.
    queue.reserve(length).fill(0);
    replace(queue, pieces, found, sent, [queue.take(length), chunk]);
  }
  return undefined;
}

/** An error chunk in scratch memory; it ends the reply where the data would have. */
function errorChunk(queue: ReplyQueue, { header }: Found, error: DaxError): Piece {
  const { view } = queue;
  const extended = view.getUint32(header) === NBD_EXTENDED_REPLY_MAGIC;
  const headerBytes = extended ? EXTENDED_BYTES : STRUCTURED_BYTES;
  const words = wireText(textOf(error));
  const payload = errorAtBytes(words);
  const bytes = queue.reserve(headerBytes + payload);
  bytes.set(queue.arena.subarray(header, header + headerBytes));
  const target = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  NbdStructuredReply.type.set(target, 0, NBD_REPLY_TYPE_ERROR_OFFSET);
  if (extended) NbdExtendedReply.length.set(target, 0, payload);
  else NbdStructuredReply.length.set(target, 0, payload);
  const at = header + headerBytes;
  const offset = view.getUint32(at) * 2 ** 32 + view.getUint32(at + OFFSET_BYTES / 2);
  encodeErrorAt(target, headerBytes, wireErrorOf(error, false), words, offset);
  return queue.take(bytes.length);
}

/** Puts other pieces in the place of the data. */
function replace(
  queue: ReplyQueue,
  pieces: readonly Piece[],
  found: Found,
  sent: number,
  instead: readonly Piece[],
): void {
  const before = pieces.slice(0, found.index);
  rewrite(queue, [...before, ...instead], pieces.slice(found.index + 1), sent);
}

/** Puts another piece in the place of the header and its data; nothing of them was sent. */
function replaceAll(
  queue: ReplyQueue,
  pieces: readonly Piece[],
  found: Found,
  sent: number,
  instead: Piece,
): void {
  const before = pieces.slice(0, found.index);
  const headers = before.pop() as Piece;
  const kept = headers.length - found.headerBytes;
  if (kept > 0) before.push({ kind: PIECE_ARENA, at: headers.at, length: kept });
  rewrite(queue, [...before, instead], pieces.slice(found.index + 1), sent);
}

/** What stands before the next data in the store is sent as it is, however often this is called. */
function rewrite(
  queue: ReplyQueue,
  settled: readonly Piece[],
  rest: readonly Piece[],
  sent: number,
): void {
  const verbatim = settled.reduce((sum, { length }) => sum + length, 0);
  queue.rewrite([...settled, ...rest], sent, verbatim - sent);
}
