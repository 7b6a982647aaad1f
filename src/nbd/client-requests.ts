/**
 * Requests that are under way, and what replies do to them.
 *
 * @module
 */
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
} from "../format/nbd.ts";
import type { DaxError } from "../lib/errno.ts";
import { RangeSet } from "../lib/range-set.ts";
import { commandError, violation } from "./client-errors.ts";

/** How calls are named in errors. */
const NAMES: Readonly<Record<number, string>> = {
  [NBD_CMD_READ]: "read",
  [NBD_CMD_WRITE]: "write",
  [NBD_CMD_FLUSH]: "flush",
  [NBD_CMD_TRIM]: "trim",
  [NBD_CMD_CACHE]: "cache",
  [NBD_CMD_WRITE_ZEROES]: "write_zeroes",
  [NBD_CMD_BLOCK_STATUS]: "block_status",
};

/** Pieces of a reply that is in pieces; a read can need one a byte, others have few. */
const MOST_ERRORS = 64;

/** One extent of a metadata context. */
export interface StatusExtent {
  /** Bytes. */
  readonly length: number;
  /** The low 32 bits of what the context says; `base:allocation` has NBD_STATE_HOLE and _ZERO. */
  readonly flags: number;
}

/** What is asked of a server. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** What a WRITE brings. */
  readonly payload?: Uint8Array;
  /** What a READ fills. */
  readonly target?: Uint8Array;
  /** What BLOCK_STATUS finds, by context. */
  readonly status?: Map<string, readonly StatusExtent[]>;
}

/** A request that was sent. */
export class Pending {
  readonly request: Request;
  #error: DaxError | undefined;
  #errors = 0;
  /** What of a READ came; a reply in one piece needs none. */
  #came: RangeSet | undefined;
  #whole = false;

  constructor(request: Request) {
    this.request = request;
  }

  get error(): DaxError | undefined {
    return this.#error;
  }

  /** The server says that it failed. @throws EPROTO for failures without end */
  fail(error: number, message: string): void {
    this.#errors++;
    if (this.#errors > MOST_ERRORS) throw violation("sends error chunks without end");
    const { type, offset, length } = this.request;
    const range = type === NBD_CMD_FLUSH ? "" : `${length} bytes at ${offset}`;
    this.#error ??= commandError(NAMES[type] ?? `command ${type}`, error, range, message);
  }

  /**
   * Where bytes at `offset` of the export belong.
   * @throws EPROTO for what was not asked for, or came before
   */
  place(offset: number, length: number): Uint8Array {
    const { target } = this.request;
    const at = offset - this.request.offset;
    if (target === undefined || !(at >= 0) || length === 0 || at + length > target.length) {
      throw violation(`sends ${length} bytes at ${offset} that were not asked for`);
    }
    if (this.#came === undefined && length === target.length && !this.#whole) this.#whole = true;
    else {
      this.#came ??= new RangeSet();
      const fresh = this.#whole ? 0 : this.#came.add(at, length);
      if (fresh !== length) throw violation(`sends bytes at ${offset} twice`);
    }
    return target.subarray(at, at + length);
  }

  /** The reply is complete. @throws EPROTO when it says success and is not all there */
  finish(): void {
    if (this.#error !== undefined) return;
    const { target, status, offset } = this.request;
    const came = this.#whole ? (target?.length ?? 0) : (this.#came?.total ?? 0);
    if (target !== undefined && came !== target.length) {
      throw violation(`sends ${came} of ${target.length} bytes at ${offset} and calls it all`);
    }
    if (status?.size === 0) throw violation(`tells nothing of the blocks at ${offset}`);
  }
}
