/**
 * Replies in their three forms, from the client's side: each takes one message off the stream and
 * gives it to the request that it answers.
 *
 * @module
 */
import {
  NBD_CMD_READ,
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_MAX_EXTENTS,
  NBD_MAX_STRING,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_BLOCK_STATUS_EXT,
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  NbdBlockDescriptor,
  NbdBlockDescriptorExt,
  NbdBlockStatusExt,
  NbdError,
  NbdExtendedReply,
  NbdOffsetData,
  NbdOffsetHole,
  NbdSimpleReply,
  NbdStructuredReply,
} from "../format/nbd.ts";
import { sizeof } from "../lib/struct.ts";
import { messageOf, violation } from "./client-errors.ts";
import type { Agreement } from "./client-handshake.ts";
import { hex } from "./client-options.ts";
import type { Pending, StatusExtent } from "./client-requests.ts";
import { type Talk, fill, take } from "./talk.ts";

/** Error chunks hold a message and an offset. */
const LONGEST_ERROR = 2 * NBD_MAX_STRING;
const FIRST_ERROR_TYPE = 0x8000;

/** Chunks of a reply and what they answer. */
interface Chunk {
  readonly done: boolean;
  readonly type: number;
  readonly length: number;
  readonly pending: Pending;
}

/** A request that is done, and which it was. */
export interface Finished {
  readonly cookie: number;
  readonly pending: Pending;
}

/**
 * Takes one message; returns the request that it completed, if it did.
 * @throws EPROTO for whatever the specification forbids
 */
export function* takeMessage(
  agreement: Agreement,
  pendings: ReadonlyMap<number, Pending>,
): Talk<Finished | undefined> {
  return agreement.extended
    ? yield* takeExtended(agreement, pendings)
    : yield* takeCompact(agreement, pendings);
}

/** The request of a cookie. Ours are counted, and below 2^53. */
function find(hi: number, lo: number, pendings: ReadonlyMap<number, Pending>): Finished {
  const cookie = hi * 2 ** 32 + lo;
  const pending = pendings.get(cookie);
  if (pending === undefined) throw violation(`answers cookie ${hex(hi)}${hex(lo)}, never sent`);
  return { cookie, pending };
}

function* takeExtended(
  agreement: Agreement,
  pendings: ReadonlyMap<number, Pending>,
): Talk<Finished | undefined> {
  const header = yield* take(sizeof(NbdExtendedReply));
  const magic = NbdExtendedReply.magic.get(header, 0);
  if (magic !== NBD_EXTENDED_REPLY_MAGIC) throw violation(`opens a reply with ${hex(magic)}`);
  const hi = NbdExtendedReply.cookieHi.get(header, 0);
  const found = find(hi, NbdExtendedReply.cookieLo.get(header, 0), pendings);
  const done = (NbdExtendedReply.flags.get(header, 0) & NBD_REPLY_FLAG_DONE) !== 0;
  const type = NbdExtendedReply.type.get(header, 0);
  const length = NbdExtendedReply.length.get(header, 0);
  yield* takeChunk({ done, type, length, pending: found.pending }, agreement);
  return done ? found : undefined;
}

function* takeCompact(
  agreement: Agreement,
  pendings: ReadonlyMap<number, Pending>,
): Talk<Finished | undefined> {
  const bytes = new Uint8Array(sizeof(NbdStructuredReply));
  const header = new DataView(bytes.buffer);
  yield* fill(bytes.subarray(0, sizeof(NbdSimpleReply)));
  const magic = NbdSimpleReply.magic.get(header, 0);
  if (magic === NBD_SIMPLE_REPLY_MAGIC) return yield* takeSimple(header, agreement, pendings);
  if (magic !== NBD_STRUCTURED_REPLY_MAGIC || !agreement.structured) {
    throw violation(`opens a reply with ${hex(magic)}`);
  }
  yield* fill(bytes.subarray(sizeof(NbdSimpleReply)));
  const hi = NbdStructuredReply.cookieHi.get(header, 0);
  const found = find(hi, NbdStructuredReply.cookieLo.get(header, 0), pendings);
  const done = (NbdStructuredReply.flags.get(header, 0) & NBD_REPLY_FLAG_DONE) !== 0;
  const type = NbdStructuredReply.type.get(header, 0);
  const length = NbdStructuredReply.length.get(header, 0);
  yield* takeChunk({ done, type, length, pending: found.pending }, agreement);
  return done ? found : undefined;
}

function* takeSimple(
  header: DataView<ArrayBuffer>,
  { structured }: Agreement,
  pendings: ReadonlyMap<number, Pending>,
): Talk<Finished> {
  const hi = NbdSimpleReply.cookieHi.get(header, 0);
  const found = find(hi, NbdSimpleReply.cookieLo.get(header, 0), pendings);
  const { request } = found.pending;
  const payload = request.target !== undefined || request.status !== undefined;
  const error = NbdSimpleReply.error.get(header, 0);
  if (structured && request.type === NBD_CMD_READ) {
    throw violation("answers a read by a simple reply after agreeing on structured ones");
  }
  if (error !== 0) found.pending.fail(error, "");
  else if (structured && payload) throw violation("answers by a simple reply without payload");
  else if (request.target !== undefined) {
    yield* fill(found.pending.place(request.offset, request.length));
  }
  found.pending.finish();
  return found;
}

function* takeChunk(chunk: Chunk, agreement: Agreement): Talk<void> {
  const { type, pending } = chunk;
  if (type >= FIRST_ERROR_TYPE) yield* takeError(chunk);
  else if (type === NBD_REPLY_TYPE_NONE) {
    if (!chunk.done || chunk.length !== 0) throw violation("sends an empty chunk that is none");
  } else if (type === NBD_REPLY_TYPE_OFFSET_DATA) yield* takeData(chunk);
  else if (type === NBD_REPLY_TYPE_OFFSET_HOLE) yield* takeHole(chunk);
  else yield* takeStatus(chunk, agreement);
  if (chunk.done) pending.finish();
}

function* takeError({ length, pending }: Chunk): Talk<void> {
  if (length < sizeof(NbdError) || length > LONGEST_ERROR) {
    throw violation(`sends an error chunk of ${length} bytes`);
  }
  const payload = yield* take(length);
  const error = NbdError.error.get(payload, 0);
  const text = NbdError.messageLength.get(payload, 0);
  if (sizeof(NbdError) + text > length) throw violation(`sends a message of ${text} bytes`);
  if (error === 0) throw violation("sends an error chunk without an error");
  pending.fail(error, messageOf(new Uint8Array(payload.buffer, sizeof(NbdError), text)));
}

function* takeData({ length, pending }: Chunk): Talk<void> {
  if (length <= sizeof(NbdOffsetData)) throw violation(`sends a data chunk of ${length} bytes`);
  const offset = NbdOffsetData.offset.get(yield* take(sizeof(NbdOffsetData)), 0);
  yield* fill(pending.place(offset, length - sizeof(NbdOffsetData)));
}

function* takeHole({ length, pending }: Chunk): Talk<void> {
  if (length !== sizeof(NbdOffsetHole)) throw violation(`sends a hole chunk of ${length} bytes`);
  const payload = yield* take(length);
  const offset = NbdOffsetHole.offset.get(payload, 0);
  pending.place(offset, NbdOffsetHole.length.get(payload, 0)).fill(0);
}

function* takeStatus({ type, length, pending }: Chunk, agreement: Agreement): Talk<void> {
  const { status } = pending.request;
  const expected = agreement.extended
    ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT
    : NBD_REPLY_TYPE_BLOCK_STATUS;
  if (type !== expected || status === undefined) {
    throw violation(`sends a chunk of type ${type} that was not asked for`);
  }
  const head = agreement.extended ? sizeof(NbdBlockStatusExt) : 4;
  const each = sizeof(agreement.extended ? NbdBlockDescriptorExt : NbdBlockDescriptor);
  const count = (length - head) / each;
  if (!Number.isInteger(count) || count < 1 || count > NBD_MAX_EXTENTS) {
    throw violation(`sends block status of ${length} bytes`);
  }
  const payload = yield* take(length);
  const id = payload.getUint32(0);
  const name = agreement.contexts.get(id);
  if (name === undefined || status.has(name)) {
    throw violation(`sends block status of context ${id}, which is not due`);
  }
  if (agreement.extended && NbdBlockStatusExt.count.get(payload, 0) !== count) {
    throw violation("counts its block descriptors wrongly");
  }
  const extents: StatusExtent[] = [];
  for (let at = head; at < length; at += each) extents.push(descriptor(payload, at, agreement));
  status.set(name, extents);
}

function descriptor(
  payload: DataView<ArrayBuffer>,
  at: number,
  { extended }: Agreement,
): StatusExtent {
  const extent = extended
    ? {
        length: NbdBlockDescriptorExt.length.get(payload, at),
        flags: NbdBlockDescriptorExt.statusLo.get(payload, at),
      }
    : {
        length: NbdBlockDescriptor.length.get(payload, at),
        flags: NbdBlockDescriptor.statusFlags.get(payload, at),
      };
  if (extent.length === 0) throw violation("tells the status of no bytes");
  return extent;
}
