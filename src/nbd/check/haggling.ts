/**
 * The handshake as checks need it: each step by itself, and what a server is, found out first.
 *
 * @module
 */
import {
  NBD_FLAG_C_FIXED_NEWSTYLE,
  NBD_FLAG_C_NO_ZEROES,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_MAGIC_HI,
  NBD_MAGIC_LO,
  NBD_OPTS_MAGIC_HI,
  NBD_OPTS_MAGIC_LO,
  NBD_OPT_EXTENDED_HEADERS,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_UNSUP,
  NBD_REP_FLAG_ERROR,
  NBD_REP_INFO,
  NbdServerHello,
} from "../../format/nbd.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { optionError } from "../client-errors.ts";
import { type Agreement, type ClientWishes, exportInfo, negotiate } from "../client-handshake.ts";
import { type OptionOutcome, askOption, hex, infoData, metaData } from "../client-options.ts";
import { send, take } from "../talk.ts";
import { type CheckContext, type CheckTalk, Peer, type ServerFacts } from "./check.ts";

/** A name that nobody gives an export. */
export const UNKNOWN_EXPORT = "daxkit nbd-check: no such export";
/** An option that nobody defined. */
export const UNKNOWN_OPTION = 0x7e11_a5ed;
export const NO_DATA = new Uint8Array(0);

/** Hears the greeting and tells the handshake flags. @throws EPROTO for other magics */
export function* hello(peer: Peer): CheckTalk<number> {
  const view = yield* peer.hold(take(sizeof(NbdServerHello)));
  const words = [0, 4, 8, 12].map((at) => view.getUint32(at));
  const wanted = [NBD_MAGIC_HI, NBD_MAGIC_LO, NBD_OPTS_MAGIC_HI, NBD_OPTS_MAGIC_LO];
  if (words.some((value, i) => value !== wanted[i])) {
    const detail = `the server opens with ${words.map(hex).join(" ")}`;
    throw new DaxError("EPROTO", { syscall: "connect", detail });
  }
  return NbdServerHello.handshakeFlags.get(view, 0);
}

/** 32 bits, big-endian. */
export function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** A connection on which options can be haggled over. */
export function* haggle(context: Pick<CheckContext, "tls">, wanted?: number): CheckTalk<Peer> {
  const peer = yield* Peer.open();
  const offered = yield* hello(peer);
  const fixed = (offered & NBD_FLAG_FIXED_NEWSTYLE) === 0 ? 0 : NBD_FLAG_C_FIXED_NEWSTYLE;
  const zeroes = (offered & NBD_FLAG_NO_ZEROES) === 0 ? 0 : NBD_FLAG_C_NO_ZEROES;
  yield* peer.hold(send(word(wanted ?? fixed | zeroes)));
  if (context.tls !== undefined) {
    const { final, message } = yield* ask(peer, NBD_OPT_STARTTLS);
    if (final !== NBD_REP_ACK) throw optionError(final, message);
    yield { kind: "ask", wire: peer.wire, ask: { kind: "secure", options: context.tls } };
  }
  return peer;
}

/** Sends an option and hears its replies. */
export function* ask(
  peer: Peer,
  option: number,
  data: Uint8Array = NO_DATA,
): CheckTalk<OptionOutcome> {
  return yield* peer.hold(askOption(option, data));
}

/** INFO or GO, as the server answers it. */
export function* askInfo(
  peer: Peer,
  option: number,
  name: string,
  requests: readonly number[] = [],
): CheckTalk<OptionOutcome> {
  return yield* ask(peer, option, infoData(name, requests));
}

/** Whether an option's final reply is an error. */
export function refused({ final }: OptionOutcome): boolean {
  return final >= NBD_REP_FLAG_ERROR;
}

/** What INFO or GO told, by type. */
export function infosOf({ replies }: OptionOutcome): ReadonlyMap<number, DataView<ArrayBuffer>> {
  const infos = replies.filter(({ type, data }) => type === NBD_REP_INFO && data.byteLength >= 2);
  return new Map(infos.map(({ data }) => [data.getUint16(0), data]));
}

/**
 * Finds out what a server is.
 * @throws EPROTO for what is no NBD server, ENOENT for an export that is not there, EACCES where
 *   TLS is demanded, ENOTSUP for a server without the fixed newstyle
 */
export function* gatherFacts(at: Omit<CheckContext, "facts">): CheckTalk<ServerFacts> {
  const first = yield* Peer.open();
  const handshakeFlags = yield* hello(first);
  yield* first.shut();
  if ((handshakeFlags & NBD_FLAG_FIXED_NEWSTYLE) === 0) {
    const detail = "the server knows no fixed newstyle, and nothing can be asked of it";
    throw new DaxError("ENOTSUP", { syscall: "connect", detail });
  }
  const structured = yield* knows(at, NBD_OPT_STRUCTURED_REPLY);
  const extended = yield* knows(at, NBD_OPT_EXTENDED_HEADERS);
  const plain = yield* entered(at, { structured: false });
  const full = structured ? yield* entered(at, { extended: false, contexts: [] }) : plain;
  const { go, anyName } = yield* namesOf(at);
  return {
    handshakeFlags,
    go,
    structured,
    extended,
    contexts: structured ? yield* contextsOf(at) : [],
    info: full,
    plainFlags: plain.flags,
    extendedFlags: extended ? (yield* entered(at, {})).flags : undefined,
    anyName,
    listed: yield* listOf(at),
  };
}

type At = Omit<CheckContext, "facts">;

function* knows(at: At, option: number): CheckTalk<boolean> {
  const peer = yield* haggle(at);
  const { final } = yield* ask(peer, option);
  yield* peer.shut();
  return final === NBD_REP_ACK;
}

function* entered({ exportName, tls }: At, more: Partial<ClientWishes>): CheckTalk<Agreement> {
  const peer = yield* Peer.open();
  const wishes = { exportName, ...more };
  const agreement = yield* peer.hold(negotiate(tls === undefined ? wishes : { ...wishes, tls }));
  yield* peer.shut();
  return agreement;
}

function* namesOf(at: At): CheckTalk<{ go: boolean; anyName: boolean }> {
  const peer = yield* haggle(at);
  const known = yield* peer.hold(exportInfo(NBD_OPT_INFO, at.exportName));
  if (known === undefined) {
    const { final } = yield* askInfo(peer, NBD_OPT_GO, UNKNOWN_EXPORT);
    yield* peer.shut();
    return { go: final !== NBD_REP_ERR_UNSUP, anyName: final === NBD_REP_ACK };
  }
  const { final } = yield* askInfo(peer, NBD_OPT_INFO, UNKNOWN_EXPORT);
  yield* peer.shut();
  return { go: true, anyName: final === NBD_REP_ACK };
}

function* contextsOf(at: At): CheckTalk<readonly string[]> {
  const peer = yield* haggle(at);
  yield* ask(peer, NBD_OPT_STRUCTURED_REPLY);
  const data = metaData(at.exportName, []);
  const { replies, final } = yield* ask(peer, NBD_OPT_LIST_META_CONTEXT, data);
  yield* peer.shut();
  if (final !== NBD_REP_ACK) return [];
  return replies.map((reply) => decodeUtf8(new Uint8Array(reply.data.buffer).subarray(4)));
}

function* listOf(at: At): CheckTalk<readonly string[] | undefined> {
  const peer = yield* haggle(at);
  try {
    const { replies, final } = yield* ask(peer, NBD_OPT_LIST);
    if (final !== NBD_REP_ACK) return undefined;
    return replies.map(({ data }) => {
      const length = data.byteLength < 4 ? 0 : Math.min(data.getUint32(0), data.byteLength - 4);
      return decodeUtf8(new Uint8Array(data.buffer, Math.min(4, data.byteLength), length));
    });
  } catch (error) {
    // What is wrong with the list is for the checks of it to say.
    if (isDaxError(error)) return undefined;
    throw error;
  } finally {
    yield* peer.shut();
  }
}
