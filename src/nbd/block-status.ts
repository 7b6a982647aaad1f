/**
 * Answers to BLOCK_STATUS: a chunk for each context, in the form that was agreed on.
 *
 * @module
 */
import {
  NBD_CMD_FLAG_REQ_ONE,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_BLOCK_STATUS_EXT,
  NbdBlockDescriptor,
  NbdBlockDescriptorExt,
  NbdBlockStatusExt,
} from "../format/nbd.ts";
import type { NbdExport } from "./export.ts";
import { contextId, statusOf, type StatusExtent } from "./meta-contexts.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { Request } from "./request.ts";

/**
 * Extents in a chunk, at most: an answer may be shorter than the question, and this much is quick
 * to find and cheap to hold.
 */
const MOST_EXTENTS = 8192;
/** The longest extent in a compact chunk: whole blocks of any size below 4 GiB. */
const LONGEST_COMPACT = 0xffff_0000;

/** What is asked. */
export interface StatusQuestion {
  readonly target: NbdExport;
  /** Names of contexts, at least one. */
  readonly contexts: readonly string[];
  readonly offset: number;
  readonly length: number;
}

/**
 * Queues the whole reply, or throws what the store throws with nothing queued.
 * @throws DaxError of the store
 */
export function answerStatus(
  queue: ReplyQueue,
  writer: ReplyWriter,
  request: Request,
  question: StatusQuestion,
): void {
  const answers = question.contexts.map((name) => ({
    name,
    extents: gather(question, name, request, writer),
  }));
  for (const [i, { name, extents }] of answers.entries()) {
    const flags = i === answers.length - 1 ? NBD_REPLY_FLAG_DONE : 0;
    if (writer.form === "extended") writeExtended(queue, writer, request, flags, name, extents);
    else writeCompact(queue, writer, request, flags, name, extents);
  }
}

/** The extents of one context: neighbours of one status are joined, the last one is cut. */
function gather(
  { target, offset, length }: StatusQuestion,
  name: string,
  request: Request,
  writer: ReplyWriter,
): StatusExtent[] {
  const most = (request.flags & NBD_CMD_FLAG_REQ_ONE) === 0 ? MOST_EXTENTS : 1;
  const longest = writer.form === "extended" ? Number.MAX_SAFE_INTEGER : LONGEST_COMPACT;
  const found: { length: number; status: number }[] = [];
  let told = 0;
  for (const extent of statusOf(target, name, offset, length)) {
    const run = Math.min(extent.length, length - told);
    const last = found.at(-1);
    if (last?.status === extent.status) last.length += run;
    else if (found.length === most) break;
    else found.push({ length: run, status: extent.status });
    told += run;
    // An extent that is too long for its field is the last: the client asks again behind it.
    if (told >= length || (found.at(-1)?.length ?? 0) > longest) break;
  }
  const tail = found.at(-1);
  // A status of 0 claims nothing, and may always be given.
  if (tail === undefined) return [{ length: Math.min(length, longest), status: 0 }];
  tail.length = Math.min(tail.length, longest);
  return found;
}

function writeCompact(
  queue: ReplyQueue,
  writer: ReplyWriter,
  request: Request,
  flags: number,
  name: string,
  extents: readonly StatusExtent[],
): void {
  const length = 4 + extents.length * 8;
  writer.chunk(request, flags, NBD_REPLY_TYPE_BLOCK_STATUS, length);
  const bytes = queue.payload(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  view.setUint32(0, contextId(name));
  let at = 4;
  for (const extent of extents) {
    NbdBlockDescriptor.length.set(view, at, extent.length);
    NbdBlockDescriptor.statusFlags.set(view, at, extent.status);
    at += 8;
  }
}

function writeExtended(
  queue: ReplyQueue,
  writer: ReplyWriter,
  request: Request,
  flags: number,
  name: string,
  extents: readonly StatusExtent[],
): void {
  const length = 8 + extents.length * 16;
  writer.chunk(request, flags, NBD_REPLY_TYPE_BLOCK_STATUS_EXT, length);
  const bytes = queue.payload(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  NbdBlockStatusExt.contextId.set(view, 0, contextId(name));
  NbdBlockStatusExt.count.set(view, 0, extents.length);
  let at = 8;
  for (const extent of extents) {
    NbdBlockDescriptorExt.length.set(view, at, extent.length);
    NbdBlockDescriptorExt.statusHi.set(view, at, 0);
    NbdBlockDescriptorExt.statusLo.set(view, at, extent.status);
    at += 16;
  }
}
