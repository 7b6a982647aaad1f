/**
 * From a fresh connection to a chosen export, from the client's side.
 *
 * @module
 */
import {
  NBD_EXPORT_NAME_ZEROES,
  NBD_FLAG_C_FIXED_NEWSTYLE,
  NBD_FLAG_C_NO_ZEROES,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_EXPORT,
  NBD_INFO_NAME,
  NBD_MAGIC_HI,
  NBD_MAGIC_LO,
  NBD_OLDSTYLE_MAGIC_HI,
  NBD_OLDSTYLE_MAGIC_LO,
  NBD_OPTS_MAGIC_HI,
  NBD_OPTS_MAGIC_LO,
  NBD_OPT_ABORT,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_EXTENDED_HEADERS,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_UNSUP,
  NBD_REP_INFO,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
  NbdExportNameReply,
  NbdInfoBlockSize,
  NbdInfoExport,
  NbdServerHello,
} from "../format/nbd.ts";
import { DaxError } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";
import { messageOf, optionError, violation } from "./client-errors.ts";
import { askOption, encodeOption, hex, infoData, metaData } from "./client-options.ts";
import { type Talk, fill, send, take } from "./talk.ts";
import type { NbdUriTls } from "./uri.ts";

/** The largest payload of one request where the server does not say. */
const DEFAULT_PAYLOAD = 2 ** 25;
const LARGEST_MINIMUM = 65_536;

/** Which sizes requests must respect, in bytes. */
export interface ClientBlockSizes {
  /** Offsets and lengths are multiples of it; a power of two up to 64 KiB. */
  readonly minimum: number;
  readonly preferred: number;
  /** The longest READ or WRITE. */
  readonly maximum: number;
}

/** What a server says of an export. */
export interface ExportInfo {
  /** Bytes. */
  readonly size: number;
  /** NBD_FLAG_* of transmission. */
  readonly flags: number;
  readonly blockSizes: ClientBlockSizes;
  /** Undefined where the server did not say. */
  readonly advertised: ClientBlockSizes | undefined;
  readonly canonicalName: string | undefined;
  readonly description: string | undefined;
}

/** What client and server agreed on. */
export interface Agreement extends ExportInfo {
  readonly exportName: string;
  readonly structured: boolean;
  readonly extended: boolean;
  /** The names of the selected metadata contexts by their ids. */
  readonly contexts: ReadonlyMap<number, string>;
}

/** What a client wants. */
export interface ClientWishes {
  readonly exportName: string;
  /** TLS must be agreed on. */
  readonly tls?: NbdUriTls;
  /** Contexts for block status; `base:allocation` unless told otherwise. */
  readonly contexts?: readonly string[];
  /** False: replies of 16 bytes, and no block status. */
  readonly structured?: boolean;
  /** False: no lengths of 64 bits. */
  readonly extended?: boolean;
}

/** What the server's first words said. */
export interface Greeting {
  readonly fixed: boolean;
  readonly noZeroes: boolean;
}

/**
 * Hears the server's first words and answers them.
 * @throws EPROTO for what is no NBD server, ENOTSUP for one of the oldstyle
 */
export function* greet(): Talk<Greeting> {
  const hello = yield* take(sizeof(NbdServerHello));
  const words = [0, 4, 8, 12].map((at) => hello.getUint32(at));
  if (words[0] !== NBD_MAGIC_HI || words[1] !== NBD_MAGIC_LO) {
    throw violation(`opens with ${words.slice(0, 2).map(hex).join("")}: no NBD server`);
  }
  if (words[2] === NBD_OLDSTYLE_MAGIC_HI && words[3] === NBD_OLDSTYLE_MAGIC_LO) {
    throw new DaxError("ENOTSUP", {
      syscall: "connect",
      detail: "the server speaks the oldstyle of before 2012; only the newstyle is known",
    });
  }
  if (words[2] !== NBD_OPTS_MAGIC_HI || words[3] !== NBD_OPTS_MAGIC_LO) {
    throw violation(`goes on with ${words.slice(2).map(hex).join("")}`);
  }
  const flags = NbdServerHello.handshakeFlags.get(hello, 0);
  const fixed = (flags & NBD_FLAG_FIXED_NEWSTYLE) !== 0;
  const noZeroes = (flags & NBD_FLAG_NO_ZEROES) !== 0;
  const answer = new Uint8Array(4);
  answer[3] = (fixed ? NBD_FLAG_C_FIXED_NEWSTYLE : 0) | (noZeroes ? NBD_FLAG_C_NO_ZEROES : 0);
  yield* send(answer);
  return { fixed, noZeroes };
}

/**
 * Agrees on as much as both know and enters transmission.
 * @throws ENOENT when there is no such export, EACCES, ENOTSUP for TLS that the server has not,
 *   EPROTO and whatever else it says
 */
export function* negotiate(wishes: ClientWishes): Talk<Agreement> {
  const greeting = yield* greet();
  const { exportName } = wishes;
  if (!greeting.fixed) {
    if (wishes.tls !== undefined) throw noTls("the server speaks no fixed newstyle");
    const info = yield* exportByName(exportName, greeting);
    return { ...info, exportName, structured: false, extended: false, contexts: new Map() };
  }
  if (wishes.tls !== undefined) yield* secure(wishes.tls);
  const { extended, structured } = yield* replyStyle(wishes);
  const names = wishes.contexts ?? ["base:allocation"];
  const contexts =
    structured && names.length > 0 ? yield* setContexts(exportName, names) : new Map();
  const info = yield* exportInfo(NBD_OPT_GO, exportName);
  const chosen = info ?? (yield* exportByName(exportName, greeting));
  return { ...chosen, exportName, structured, extended, contexts };
}

function noTls(detail: string): DaxError {
  return new DaxError("ENOTSUP", { syscall: "connect", detail: `TLS is demanded; ${detail}` });
}

function* secure(options: NbdUriTls): Talk<void> {
  const { final, message } = yield* askOption(NBD_OPT_STARTTLS, new Uint8Array(0));
  if (final !== NBD_REP_ACK) throw noTls(optionError(final, message).message);
  yield { kind: "secure", options };
}

function* replyStyle(wishes: ClientWishes): Talk<{ structured: boolean; extended: boolean }> {
  if (wishes.structured === false) return { structured: false, extended: false };
  if (wishes.extended !== false && (yield* agrees(NBD_OPT_EXTENDED_HEADERS))) {
    return { structured: true, extended: true };
  }
  return { structured: yield* agrees(NBD_OPT_STRUCTURED_REPLY), extended: false };
}

function* agrees(option: number): Talk<boolean> {
  const { final, message } = yield* askOption(option, new Uint8Array(0));
  if (final === NBD_REP_ACK) return true;
  const error = optionError(final, message);
  if (error.code === "ESHUTDOWN" || error.code === "EACCES") throw error;
  return false;
}

/** Selects contexts; a server that has none of them, or no contexts at all, answers for none. */
function* setContexts(
  exportName: string,
  names: readonly string[],
): Talk<ReadonlyMap<number, string>> {
  const data = metaData(exportName, names);
  const { replies, final } = yield* askOption(NBD_OPT_SET_META_CONTEXT, data);
  const contexts = new Map<number, string>();
  if (final !== NBD_REP_ACK) return contexts;
  for (const { type, data: reply } of replies) {
    if (type !== NBD_REP_META_CONTEXT || reply.byteLength < 4) {
      throw violation(`answers SET_META_CONTEXT with reply ${type} of ${reply.byteLength} bytes`);
    }
    contexts.set(reply.getUint32(0), decodeUtf8(new Uint8Array(reply.buffer, 4)));
  }
  return contexts;
}

/**
 * INFO or GO; undefined where the server does not know the option.
 * @throws ENOENT, EACCES, EPROTO and what else the server says
 */
export function* exportInfo(option: number, name: string): Talk<ExportInfo | undefined> {
  const wanted = [NBD_INFO_BLOCK_SIZE, NBD_INFO_NAME, NBD_INFO_DESCRIPTION];
  const { replies, final, message } = yield* askOption(option, infoData(name, wanted));
  if (final === NBD_REP_ERR_UNSUP) return undefined;
  if (final !== NBD_REP_ACK) throw optionError(final, message);
  const told = new Map<number, DataView<ArrayBuffer>>();
  for (const { type, data } of replies) {
    if (type !== NBD_REP_INFO || data.byteLength < 2) {
      throw violation(`answers INFO with reply ${type} of ${data.byteLength} bytes`);
    }
    told.set(data.getUint16(0), data);
  }
  const sized = told.get(NBD_INFO_EXPORT);
  if (sized?.byteLength !== sizeof(NbdInfoExport)) throw violation("does not say the size");
  const advertised = blockSizesOf(told.get(NBD_INFO_BLOCK_SIZE));
  return {
    size: checkedSize(NbdInfoExport.size.get(sized, 0)),
    flags: NbdInfoExport.transmissionFlags.get(sized, 0),
    blockSizes: advertised ?? { minimum: 1, preferred: 4096, maximum: DEFAULT_PAYLOAD },
    advertised,
    canonicalName: textOf(told.get(NBD_INFO_NAME)),
    description: textOf(told.get(NBD_INFO_DESCRIPTION)),
  };
}

function textOf(data: DataView<ArrayBuffer> | undefined): string | undefined {
  return data === undefined ? undefined : decodeUtf8(new Uint8Array(data.buffer, 2));
}

function checkedSize(size: number): number {
  if (Number.isSafeInteger(size)) return size;
  throw new DaxError("EOVERFLOW", {
    syscall: "connect",
    detail: `the export has ${size} bytes; less than 2^53 can be reached`,
  });
}

function blockSizesOf(data: DataView<ArrayBuffer> | undefined): ClientBlockSizes | undefined {
  if (data === undefined) return undefined;
  if (data.byteLength !== sizeof(NbdInfoBlockSize)) {
    throw violation(`tells block sizes in ${data.byteLength} bytes`);
  }
  const minimum = NbdInfoBlockSize.minimum.get(data, 0);
  const preferred = NbdInfoBlockSize.preferred.get(data, 0);
  const payload = NbdInfoBlockSize.maximumPayload.get(data, 0);
  if (!isPower(minimum) || minimum > LARGEST_MINIMUM || !isPower(preferred) || payload < minimum) {
    throw violation(`advertises block sizes ${minimum}, ${preferred}, ${payload}`);
  }
  const maximum = Math.min(payload, DEFAULT_PAYLOAD);
  return { minimum, preferred, maximum: maximum - (maximum % minimum) };
}

function isPower(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

/** EXPORT_NAME: an unknown export ends the connection. */
function* exportByName(name: string, { noZeroes }: Greeting): Talk<ExportInfo> {
  yield* send(encodeOption(NBD_OPT_EXPORT_NAME, encodeUtf8(name)));
  const reply = yield* take(sizeof(NbdExportNameReply));
  if (!noZeroes) yield* fill(new Uint8Array(NBD_EXPORT_NAME_ZEROES));
  return {
    size: checkedSize(NbdExportNameReply.size.get(reply, 0)),
    flags: NbdExportNameReply.transmissionFlags.get(reply, 0),
    blockSizes: { minimum: 1, preferred: 4096, maximum: DEFAULT_PAYLOAD },
    advertised: undefined,
    canonicalName: undefined,
    description: undefined,
  };
}

/** An export as LIST tells it. */
export interface ListedExport {
  readonly name: string;
  readonly description: string;
}

/**
 * Lists the exports of a server and leaves it.
 * @throws EACCES, ENOTSUP where it does not tell; EPROTO
 */
export function* listExports(tls?: NbdUriTls): Talk<readonly ListedExport[]> {
  const { fixed } = yield* greet();
  if (!fixed) throw optionError(NBD_REP_ERR_UNSUP, "");
  if (tls !== undefined) yield* secure(tls);
  const { replies, final, message } = yield* askOption(NBD_OPT_LIST, new Uint8Array(0));
  if (final !== NBD_REP_ACK) throw optionError(final, message);
  const listed = replies.map(({ type, data }) => {
    const length = data.byteLength < 4 ? Infinity : data.getUint32(0);
    if (type !== NBD_REP_SERVER || length > data.byteLength - 4) {
      throw violation(`answers LIST with reply ${type} of ${data.byteLength} bytes`);
    }
    const name = decodeUtf8(new Uint8Array(data.buffer, 4, length));
    return { name, description: messageOf(new Uint8Array(data.buffer, 4 + length)) };
  });
  yield* send(encodeOption(NBD_OPT_ABORT, new Uint8Array(0)));
  return listed;
}

/**
 * What a server says of an export, and which metadata contexts it has, without taking it.
 * @throws as {@link negotiate}; ENOTSUP for a server without INFO
 */
export function* describeExport(
  exportName: string,
  tls?: NbdUriTls,
): Talk<ExportInfo & { readonly contexts: readonly string[] }> {
  const { fixed } = yield* greet();
  if (!fixed) throw optionError(NBD_REP_ERR_UNSUP, "");
  if (tls !== undefined) yield* secure(tls);
  const structured = yield* agrees(NBD_OPT_STRUCTURED_REPLY);
  const info = yield* exportInfo(NBD_OPT_INFO, exportName);
  if (info === undefined) throw optionError(NBD_REP_ERR_UNSUP, "");
  const contexts = structured ? yield* listContexts(exportName) : [];
  yield* send(encodeOption(NBD_OPT_ABORT, new Uint8Array(0)));
  return { ...info, contexts };
}

function* listContexts(exportName: string): Talk<readonly string[]> {
  const data = metaData(exportName, []);
  const { replies, final } = yield* askOption(NBD_OPT_LIST_META_CONTEXT, data);
  if (final !== NBD_REP_ACK) return [];
  return replies.map(({ type, data: reply }) => {
    if (type !== NBD_REP_META_CONTEXT || reply.byteLength < 4) {
      throw violation(`answers LIST_META_CONTEXT with reply ${type}`);
    }
    return decodeUtf8(new Uint8Array(reply.buffer, 4));
  });
}
