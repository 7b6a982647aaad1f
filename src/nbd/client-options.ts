/**
 * Option haggling from the client's side: an option goes out, its replies come back.
 *
 * @module
 */
import {
  NBD_MAX_STRING,
  NBD_OPTS_MAGIC_HI,
  NBD_OPTS_MAGIC_LO,
  NBD_REP_ACK,
  NBD_REP_FLAG_ERROR,
  NBD_REP_MAGIC_HI,
  NBD_REP_MAGIC_LO,
  NbdOption,
  NbdOptionReply,
} from "../format/nbd.ts";
import { DaxError } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { messageOf, violation } from "./client-errors.ts";
import { type Talk, send, take } from "./talk.ts";

/** Bytes of one reply's data: two strings and some numbers are the most that is defined. */
const LONGEST_REPLY = 4 * NBD_MAX_STRING;
/** Bytes of all replies to one option: an export list of a hundred thousand short names. */
const MOST_BYTES = 2 ** 23;

/** A reply that carries something. */
export interface OptionReply {
  readonly type: number;
  readonly data: DataView<ArrayBuffer>;
}

/** How the replies to an option ended. */
export interface OptionOutcome {
  readonly replies: readonly OptionReply[];
  /** NBD_REP_ACK or an error. */
  readonly final: number;
  /** What an error said. */
  readonly message: string;
}

/** An option as bytes. */
export function encodeOption(option: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(sizeof(NbdOption) + data.length);
  const view = new DataView(bytes.buffer);
  NbdOption.magicHi.set(view, 0, NBD_OPTS_MAGIC_HI);
  NbdOption.magicLo.set(view, 0, NBD_OPTS_MAGIC_LO);
  NbdOption.option.set(view, 0, option);
  NbdOption.length.set(view, 0, data.length);
  bytes.set(data, sizeof(NbdOption));
  return bytes;
}

/** The data of INFO and GO. */
export function infoData(name: string, requests: readonly number[]): Uint8Array {
  return joined([counted(name), be16(requests.length), ...requests.map(be16)]);
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function metaData(name: string, queries: readonly string[]): Uint8Array {
  return joined([counted(name), be32(queries.length), ...queries.map(counted)]);
}

/** Text behind its length of 32 bits. @throws EINVAL beyond what the protocol allows */
function counted(text: string): Uint8Array {
  const bytes = encodeUtf8(text);
  if (bytes.length > NBD_MAX_STRING) {
    throw new DaxError("EINVAL", {
      syscall: "connect",
      detail: `a string of ${bytes.length} bytes; NBD knows up to ${NBD_MAX_STRING}`,
    });
  }
  return joined([be32(bytes.length), bytes]);
}

function be16(value: number): Uint8Array {
  return Uint8Array.of((value >>> 8) & 255, value & 255);
}

function be32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** The pieces one after the other. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/**
 * Sends an option and collects its replies up to the final one.
 * @throws EPROTO for replies that are none, or are too large or too many
 */
export function* askOption(option: number, data: Uint8Array): Talk<OptionOutcome> {
  yield* send(encodeOption(option, data));
  const replies: OptionReply[] = [];
  for (let sum = 0; ;) {
    const reply = yield* takeReply(option);
    if (reply.type === NBD_REP_ACK) return { replies, final: reply.type, message: "" };
    if (reply.type >= NBD_REP_FLAG_ERROR) {
      const message = messageOf(new Uint8Array(reply.data.buffer));
      return { replies, final: reply.type, message };
    }
    // An empty reply must count as well, or a server could go on for ever.
    sum += sizeof(NbdOptionReply) + reply.data.byteLength;
    if (sum > MOST_BYTES) throw violation(`answers option ${option} without end`);
    replies.push(reply);
  }
}

function* takeReply(option: number): Talk<OptionReply> {
  const header = yield* take(sizeof(NbdOptionReply));
  const hi = NbdOptionReply.magicHi.get(header, 0);
  const lo = NbdOptionReply.magicLo.get(header, 0);
  if (hi !== NBD_REP_MAGIC_HI || lo !== NBD_REP_MAGIC_LO) {
    throw violation(`opens an option reply with ${hex(hi)}${hex(lo)}`);
  }
  const answered = NbdOptionReply.option.get(header, 0);
  if (answered !== option) throw violation(`answers option ${answered}, asked was ${option}`);
  const length = NbdOptionReply.length.get(header, 0);
  if (length > LONGEST_REPLY) throw violation(`sends an option reply of ${length} bytes`);
  return { type: NbdOptionReply.type.get(header, 0), data: yield* take(length) };
}

/** 32 bits as the specification writes them. */
export function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
