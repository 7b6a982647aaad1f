/**
 * The data of options: hostile, and looked at as a whole.
 *
 * @module
 */
import { NBD_MAX_STRING } from "../format/nbd.ts";
import { decodeUtf8 } from "../lib/utf8.ts";

/** An export's name, and what follows it. */
export interface InfoRequest {
  readonly name: string;
  /** Kinds of information. */
  readonly kinds: readonly number[];
}

/** An export's name, and queries for its contexts. */
export interface ContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

/** Reads numbers and strings one after the other; what is not there is `undefined`. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u16(): number | undefined {
    if (this.left < 2) return undefined;
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2);
  }

  u32(): number | undefined {
    if (this.left < 4) return undefined;
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  /** A length and a string. */
  string(): string | undefined {
    const length = this.u32();
    if (length === undefined || length > this.left) return undefined;
    this.#at += length;
    return decodeName(this.#bytes.subarray(this.#at - length, this.#at));
  }
}

/** A string of the wire; `undefined` where it breaks the rules: NUL, or more than 4 KiB. */
export function decodeName(bytes: Uint8Array): string | undefined {
  return bytes.length > NBD_MAX_STRING || bytes.includes(0) ? undefined : decodeUtf8(bytes);
}

/** The data of INFO and GO; `undefined` for what is none. */
export function decodeInfoRequest(bytes: Uint8Array): InfoRequest | undefined {
  const reader = new Reader(bytes);
  const name = reader.string();
  const count = reader.u16();
  if (name === undefined || count === undefined || reader.left !== count * 2) return undefined;
  return { name, kinds: Array.from({ length: count }, () => reader.u16() as number) };
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT; `undefined` for what is none. */
export function decodeContextRequest(bytes: Uint8Array): ContextRequest | undefined {
  const reader = new Reader(bytes);
  const name = reader.string();
  const count = reader.u32();
  // Each query takes four bytes at least: the count cannot lie about more than was sent.
  if (name === undefined || count === undefined || count * 4 > reader.left) return undefined;
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    const query = reader.string();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return reader.left === 0 ? { name, queries } : undefined;
}
