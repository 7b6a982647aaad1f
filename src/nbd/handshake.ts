/**
 * The handshake: fixed newstyle, option by option. It looks at exports without touching them, and
 * ends with the terms under which transmission begins.
 *
 * @module
 */
import {
  NBD_EXPORT_NAME_ZEROES,
  NBD_FLAG_BLOCK_STATUS_PAYLOAD,
  NBD_FLAG_C_FIXED_NEWSTYLE,
  NBD_FLAG_C_NO_ZEROES,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_NAME,
  NBD_MAGIC_HI,
  NBD_MAGIC_LO,
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
  NBD_REP_ERR_BLOCK_SIZE_REQD,
  NBD_REP_ERR_EXT_HEADER_REQD,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_POLICY,
  NBD_REP_ERR_SHUTDOWN,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
  NbdClientFlags,
  NbdExportNameReply,
  NbdOption,
  NbdServerHello,
} from "../format/nbd.ts";
import { DaxError } from "../lib/errno.ts";
import { fill } from "../lib/memory.ts";
import type { ExportDirectory, NbdExport } from "./export.ts";
import { listContexts, selectContexts } from "./meta-contexts.ts";
import { decodeContextRequest, decodeInfoRequest, decodeName } from "./option-data.ts";
import { OptionReplies, SERVER_REPLY_BYTES } from "./option-replies.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import { exportSize, transmissionFlags } from "./request-rules.ts";
import type { SessionTerms } from "./session-contract.ts";

/** Whether TLS is refused, offered, or a must (NOTLS, SELECTIVETLS and FORCEDTLS). */
export type TlsMode = "off" | "allowed" | "required";

const HELLO_BYTES = 18;
const CLIENT_FLAGS_BYTES = 4;
const OPTION_BYTES = 16;
/** Bytes of an option's data that are looked at. */
const MOST_DATA = 64 * 1024;
/** Bytes of data that are passed over; more than that is taken for an attack. */
const MOST_PASSED_OVER = 32 * 1024 * 1024;
/** What a client that asks for no block sizes can be expected to keep to, in bytes. */
const ASSUMED_BLOCK = 512;

/** How it ended. */
export interface Agreement {
  readonly export: NbdExport;
  readonly terms: SessionTerms;
}

/** See the module. */
export class Handshake {
  /** Nothing more is received. */
  ended = false;
  /** STARTTLS was acknowledged: TLS is next. */
  wantsTls = false;
  /** Options are refused with SHUTDOWN. */
  stopping = false;
  fault: DaxError | undefined;
  /** Set when transmission begins. */
  agreement: Agreement | undefined;
  readonly #directory: ExportDirectory;
  readonly #tls: TlsMode;
  readonly #queue: ReplyQueue;
  readonly #replies: OptionReplies;
  #clientFlags = -1;
  #secure = false;
  #form: SessionTerms["replies"] = "simple";
  /** What SET_META_CONTEXT chose, and for which name. */
  #contexts: { readonly name: string; readonly names: readonly string[] } | undefined;
  /** Exports of a list that are told already. */
  #listed = 0;
  /** Bytes of an oversized option that are still to be passed over. */
  #skip = 0;

  constructor(directory: ExportDirectory, tls: TlsMode, queue: ReplyQueue) {
    this.#directory = directory;
    this.#tls = tls;
    this.#queue = queue;
    this.#replies = new OptionReplies(queue);
    this.#greet();
  }

  /** TLS is up: nothing that was agreed on before counts. */
  secured(): void {
    this.#secure = true;
    this.wantsTls = false;
    this.#form = "simple";
    this.#contexts = undefined;
  }

  /** See `ServerSession.receive`. */
  receive(bytes: Uint8Array, start: number, stop: number): number {
    let at = start;
    while (!this.#isOver() && !this.#queue.full) {
      const used = this.#step(bytes, at, stop);
      if (used === 0) break;
      at += used;
    }
    return at - start;
  }

  #isOver(): boolean {
    return this.ended || this.wantsTls || this.agreement !== undefined;
  }

  #greet(): void {
    const at = this.#queue.header(HELLO_BYTES);
    const { view } = this.#queue;
    NbdServerHello.magicHi.set(view, at, NBD_MAGIC_HI);
    NbdServerHello.magicLo.set(view, at, NBD_MAGIC_LO);
    NbdServerHello.optsMagicHi.set(view, at, NBD_OPTS_MAGIC_HI);
    NbdServerHello.optsMagicLo.set(view, at, NBD_OPTS_MAGIC_LO);
    NbdServerHello.handshakeFlags.set(view, at, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
  }

  /** Uses what comes next; 0 when it is not all there, or the queue must be sent first. */
  #step(bytes: Uint8Array, at: number, stop: number): number {
    const have = stop - at;
    if (this.#skip > 0) {
      const run = Math.min(this.#skip, have);
      this.#skip -= run;
      return run;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, have);
    if (this.#clientFlags === -1) return this.#takeFlags(view);
    if (have < OPTION_BYTES) return 0;
    if (!this.#isOption(view)) {
      return this.#end("an option without its magic number; the client lost its place");
    }
    const length = NbdOption.length.get(view, 0);
    const option = NbdOption.option.get(view, 0);
    if (length > MOST_DATA) return this.#passOver(option, length);
    if (have < OPTION_BYTES + length) return 0;
    const from = at + OPTION_BYTES;
    const done = this.#answer(option, bytes.subarray(from, from + length));
    return done ? OPTION_BYTES + length : 0;
  }

  #takeFlags(view: DataView): number {
    if (view.byteLength < CLIENT_FLAGS_BYTES) return 0;
    const flags = NbdClientFlags.flags.get(view, 0);
    if ((flags & ~(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES)) !== 0) {
      return this.#end(`client flags 0x${flags.toString(16)}; only 1 and 2 are known`);
    }
    this.#clientFlags = flags;
    return CLIENT_FLAGS_BYTES;
  }

  #isOption(view: DataView): boolean {
    const magic = NbdOption.magicHi.get(view, 0) === NBD_OPTS_MAGIC_HI;
    return magic && NbdOption.magicLo.get(view, 0) === NBD_OPTS_MAGIC_LO;
  }

  /** An option too large to be looked at. The name of an export cannot be refused in words. */
  #passOver(option: number, length: number): number {
    if (option === NBD_OPT_EXPORT_NAME || length > MOST_PASSED_OVER) {
      return this.#end(`option ${option} has ${length} bytes; at most ${MOST_DATA} are looked at`);
    }
    this.#skip = length;
    if (option === NBD_OPT_SET_META_CONTEXT) this.#contexts = undefined;
    this.#replies.error(option, NBD_REP_ERR_TOO_BIG, `at most ${MOST_DATA} bytes`);
    return OPTION_BYTES;
  }

  /** False: come again once the queue was sent. */
  #answer(option: number, data: Uint8Array): boolean {
    if (!this.#replies.hasRoom) return false;
    if (option === NBD_OPT_ABORT) {
      this.#replies.ack(option);
      this.ended = true;
      return true;
    }
    if (this.stopping) return this.#refuse(option, NBD_REP_ERR_SHUTDOWN, "shutting down");
    if (this.#tls === "required" && !this.#secure && option !== NBD_OPT_STARTTLS) {
      return this.#refuse(option, NBD_REP_ERR_TLS_REQD, "ask for STARTTLS first");
    }
    return this.#perform(option, data);
  }

  #perform(option: number, data: Uint8Array): boolean {
    switch (option) {
      case NBD_OPT_EXPORT_NAME:
        return this.#exportName(data);
      case NBD_OPT_LIST:
        return this.#list(data);
      case NBD_OPT_STARTTLS:
        return this.#startTls(data);
      case NBD_OPT_INFO:
      case NBD_OPT_GO:
        return this.#info(option, data);
      case NBD_OPT_STRUCTURED_REPLY:
      case NBD_OPT_EXTENDED_HEADERS:
        return this.#chooseForm(option, data);
      case NBD_OPT_LIST_META_CONTEXT:
      case NBD_OPT_SET_META_CONTEXT:
        return this.#metaContext(option, data);
      default:
        return this.#refuse(option, NBD_REP_ERR_UNSUP, `option ${option} is not known`);
    }
  }

  #exportName(data: Uint8Array): boolean {
    const name = decodeName(data);
    const found = name === undefined ? undefined : this.#directory.find(name);
    if (found === undefined || name === undefined) {
      this.#end("EXPORT_NAME with a name that no export has");
    } else if (this.#form === "extended") {
      this.#end("EXPORT_NAME after EXTENDED_HEADERS, which the specification forbids");
    } else if (found.store.blockSizes.minimum > ASSUMED_BLOCK) {
      this.#end("EXPORT_NAME for an export whose block size must be asked for by GO");
    } else {
      this.#replyToName(found);
      this.#begin(found, name);
    }
    return true;
  }

  #replyToName({ store }: NbdExport): void {
    const zeroes = (this.#clientFlags & NBD_FLAG_C_NO_ZEROES) === 0 ? NBD_EXPORT_NAME_ZEROES : 0;
    const at = this.#queue.header(10 + zeroes);
    const { view } = this.#queue;
    NbdExportNameReply.size.set(view, at, exportSize(store));
    NbdExportNameReply.transmissionFlags.set(view, at, transmissionFlags(store, this.#form));
    fill(view, at + 10, zeroes, 0);
  }

  /** Lists may be longer than the queue: the option stays until all of it was told. */
  #list(data: Uint8Array): boolean {
    if (data.length > 0) {
      return this.#refuse(NBD_OPT_LIST, NBD_REP_ERR_INVALID, "LIST has no data");
    }
    const all = this.#directory.list();
    while (this.#listed < all.length) {
      if (!this.#queue.hasArena(2 * SERVER_REPLY_BYTES)) return false;
      this.#replies.server(all[this.#listed] as NbdExport);
      this.#listed++;
    }
    this.#listed = 0;
    this.#replies.ack(NBD_OPT_LIST);
    return true;
  }

  #startTls(data: Uint8Array): boolean {
    const option = NBD_OPT_STARTTLS;
    if (data.length > 0) return this.#refuse(option, NBD_REP_ERR_INVALID, "STARTTLS has no data");
    if (this.#secure) return this.#refuse(option, NBD_REP_ERR_INVALID, "TLS is up already");
    const fixed = (this.#clientFlags & NBD_FLAG_C_FIXED_NEWSTYLE) !== 0;
    if (this.#tls === "off" || !fixed) {
      return this.#refuse(option, NBD_REP_ERR_POLICY, "TLS is not on offer here");
    }
    this.#replies.ack(option);
    this.wantsTls = true;
    return true;
  }

  #info(option: number, data: Uint8Array): boolean {
    const request = decodeInfoRequest(data);
    if (request === undefined) {
      return this.#refuse(option, NBD_REP_ERR_INVALID, "its data are not a name and a list");
    }
    const { name, kinds } = request;
    const found = this.#directory.find(name);
    if (found === undefined) return this.#refuse(option, NBD_REP_ERR_UNKNOWN, "no such export");
    const { store } = found;
    const { minimum } = store.blockSizes;
    const asked = kinds.includes(NBD_INFO_BLOCK_SIZE);
    if (asked || minimum > 1) this.#replies.blockSize(option, store);
    if (!asked && minimum > ASSUMED_BLOCK) {
      return this.#refuse(option, NBD_REP_ERR_BLOCK_SIZE_REQD, `blocks have ${minimum} bytes`);
    }
    this.#replies.exportInfo(option, exportSize(store), this.#flagsFor(found, name));
    if (kinds.includes(NBD_INFO_NAME)) this.#replies.text(option, NBD_INFO_NAME, found.name);
    if (kinds.includes(NBD_INFO_DESCRIPTION) && found.description !== undefined) {
      this.#replies.text(option, NBD_INFO_DESCRIPTION, found.description);
    }
    this.#replies.ack(option);
    if (option === NBD_OPT_GO) this.#begin(found, name);
    return true;
  }

  #flagsFor(found: NbdExport, name: string): number {
    const flags = transmissionFlags(found.store, this.#form);
    const payload = this.#form === "extended" && this.#contextsFor(name).length > 0;
    return payload ? flags | NBD_FLAG_BLOCK_STATUS_PAYLOAD : flags;
  }

  #chooseForm(option: number, data: Uint8Array): boolean {
    if (data.length > 0) {
      return this.#refuse(option, NBD_REP_ERR_INVALID, `option ${option} has no data`);
    }
    if (option === NBD_OPT_EXTENDED_HEADERS) this.#form = "extended";
    else if (this.#form === "extended") {
      return this.#refuse(option, NBD_REP_ERR_EXT_HEADER_REQD, "extended headers are agreed on");
    } else this.#form = "structured";
    this.#replies.ack(option);
    return true;
  }

  #metaContext(option: number, data: Uint8Array): boolean {
    const sets = option === NBD_OPT_SET_META_CONTEXT;
    // Whatever becomes of this one, what an earlier one chose is gone.
    if (sets) this.#contexts = undefined;
    const request = decodeContextRequest(data);
    if (request === undefined) {
      return this.#refuse(option, NBD_REP_ERR_INVALID, "its data are not a name and queries");
    }
    if (sets && this.#form === "simple") {
      return this.#refuse(option, NBD_REP_ERR_INVALID, "ask for STRUCTURED_REPLY first");
    }
    const { name, queries } = request;
    const found = this.#directory.find(name);
    if (found === undefined) return this.#refuse(option, NBD_REP_ERR_UNKNOWN, "no such export");
    const names = sets ? selectContexts(found, queries) : listContexts(found, queries);
    for (const context of names) this.#replies.context(option, context, sets);
    this.#replies.ack(option);
    if (sets) this.#contexts = { name, names };
    return true;
  }

  /** Contexts count for the very name they were chosen for. */
  #contextsFor(name: string): readonly string[] {
    return this.#contexts?.name === name ? this.#contexts.names : [];
  }

  #begin(found: NbdExport, name: string): void {
    const terms = { replies: this.#form, contexts: this.#contextsFor(name) };
    this.agreement = { export: found, terms };
  }

  #refuse(option: number, error: number, text: string): boolean {
    // This one has no error: the connection has to end.
    if (option === NBD_OPT_EXPORT_NAME) this.#end(text);
    else this.#replies.error(option, error, text);
    return true;
  }

  /** Ends it, with nothing used. */
  #end(detail: string): 0 {
    this.fault = new DaxError("EBADMSG", { syscall: "nbd", detail });
    this.ended = true;
    return 0;
  }
}
