/**
 * Replies to options, encoded into the arena of a queue.
 *
 * @module
 */
import {
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_EXPORT,
  NBD_MAX_STRING,
  NBD_OPT_LIST,
  NBD_REP_ACK,
  NBD_REP_INFO,
  NBD_REP_MAGIC_HI,
  NBD_REP_MAGIC_LO,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
  NbdInfoBlockSize,
  NbdInfoExport,
  NbdOptionReply,
} from "../format/nbd.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import type { NbdExport } from "./export.ts";
import { contextId } from "./meta-contexts.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import { MAX_PAYLOAD } from "./request-rules.ts";
import type { NbdStore } from "./store.ts";
import { wireText } from "./wire-errors.ts";

const REPLY_BYTES = 20;
const INFO_EXPORT_BYTES = 12;
const INFO_BLOCK_SIZE_BYTES = 14;
/** Bytes of the longest REP_SERVER: a name and a description of 4 KiB each. */
export const SERVER_REPLY_BYTES = REPLY_BYTES + 4 + 2 * 4096;

/** No string on the wire is longer; a description may be, here. */
function stringOf(text: string): Uint8Array {
  return encodeUtf8(text).subarray(0, NBD_MAX_STRING);
}

/** See the module. */
export class OptionReplies {
  readonly #queue: ReplyQueue;

  constructor(queue: ReplyQueue) {
    this.#queue = queue;
  }

  /** Whether there is room for all the replies to any option but a list. */
  get hasRoom(): boolean {
    return this.#queue.hasArena(2 * SERVER_REPLY_BYTES);
  }

  ack(option: number): void {
    this.#reply(option, NBD_REP_ACK, 0);
  }

  /** With text for people. */
  error(option: number, type: number, text: string): void {
    const words = wireText(text);
    const at = this.#reply(option, type, words.length);
    this.#queue.arena.set(words, at);
  }

  /** One export of a list. */
  server({ name, description }: NbdExport): void {
    const [nameBytes, words] = [stringOf(name), stringOf(description ?? "")];
    const at = this.#reply(NBD_OPT_LIST, NBD_REP_SERVER, 4 + nameBytes.length + words.length);
    this.#queue.view.setUint32(at, nameBytes.length);
    this.#queue.arena.set(nameBytes, at + 4);
    this.#queue.arena.set(words, at + 4 + nameBytes.length);
  }

  /** Size and transmission flags. */
  exportInfo(option: number, size: number, flags: number): void {
    const at = this.#reply(option, NBD_REP_INFO, INFO_EXPORT_BYTES);
    const { view } = this.#queue;
    NbdInfoExport.type.set(view, at, NBD_INFO_EXPORT);
    NbdInfoExport.size.set(view, at, size);
    NbdInfoExport.transmissionFlags.set(view, at, flags);
  }

  blockSize(option: number, { blockSizes }: NbdStore): void {
    const at = this.#reply(option, NBD_REP_INFO, INFO_BLOCK_SIZE_BYTES);
    const { view } = this.#queue;
    NbdInfoBlockSize.type.set(view, at, NBD_INFO_BLOCK_SIZE);
    NbdInfoBlockSize.minimum.set(view, at, blockSizes.minimum);
    NbdInfoBlockSize.preferred.set(view, at, blockSizes.preferred);
    NbdInfoBlockSize.maximumPayload.set(view, at, MAX_PAYLOAD);
  }

  /** A name or a description. */
  text(option: number, kind: number, text: string): void {
    const words = stringOf(text);
    const at = this.#reply(option, NBD_REP_INFO, 2 + words.length);
    this.#queue.view.setUint16(at, kind);
    this.#queue.arena.set(words, at + 2);
  }

  /** A context; its id counts only where it is being selected. */
  context(option: number, name: string, selected: boolean): void {
    const words = encodeUtf8(name);
    const at = this.#reply(option, NBD_REP_META_CONTEXT, 4 + words.length);
    this.#queue.view.setUint32(at, selected ? contextId(name) : 0);
    this.#queue.arena.set(words, at + 4);
  }

  /** A header; returns where its data go. */
  #reply(option: number, type: number, length: number): number {
    const at = this.#queue.header(REPLY_BYTES + length);
    const { view } = this.#queue;
    NbdOptionReply.magicHi.set(view, at, NBD_REP_MAGIC_HI);
    NbdOptionReply.magicLo.set(view, at, NBD_REP_MAGIC_LO);
    NbdOptionReply.option.set(view, at, option);
    NbdOptionReply.type.set(view, at, type);
    NbdOptionReply.length.set(view, at, length);
    return at + REPLY_BYTES;
  }
}
