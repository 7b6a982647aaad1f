/**
 * What the specification asks of a request before anything is done: which flags, which ranges, and
 * which error where it is not so.
 *
 * @module
 */
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_EOVERFLOW,
  NBD_EPERM,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
} from "../format/nbd.ts";
import type { Request } from "./request.ts";
import type { SessionTerms } from "./session-contract.ts";
import type { NbdStore } from "./store.ts";

/** Bytes of payload in one request or reply: advertised, and the specification's default. */
export const MAX_PAYLOAD = 32 * 1024 * 1024;

/** Bytes that clients are told of: what whole blocks make up. */
export function exportSize({ size, blockSizes }: NbdStore): number {
  return size - (size % blockSizes.minimum);
}

/** What is on offer, as clients are told. DF exists where replies come in chunks. */
export function transmissionFlags(store: NbdStore, form: SessionTerms["replies"]): number {
  const { abilities, readOnly } = store;
  let flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH;
  if (form !== "simple") flags |= NBD_FLAG_SEND_DF;
  if (abilities.cache) flags |= NBD_FLAG_SEND_CACHE;
  if (abilities.multiConnection || readOnly) flags |= NBD_FLAG_CAN_MULTI_CONN;
  if (readOnly) return flags | NBD_FLAG_READ_ONLY;
  flags |= NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
  return abilities.trim ? flags | NBD_FLAG_SEND_TRIM : flags;
}

/** Looks requests over. */
export class RequestRules {
  readonly size: number;
  readonly #readOnly: boolean;
  readonly #minimum: number;
  /** Flags that each command may carry; absent for commands that are not on offer. */
  readonly #flags: Int32Array;
  readonly #extended: boolean;
  readonly #chunked: boolean;

  constructor(store: NbdStore, terms: SessionTerms) {
    const offered = transmissionFlags(store, terms.replies);
    this.size = exportSize(store);
    this.#readOnly = store.readOnly;
    this.#minimum = store.blockSizes.minimum;
    this.#chunked = terms.replies !== "simple";
    this.#extended = terms.replies === "extended";
    this.#flags = allowedFlags(offered, terms);
  }

  /** The error that a request deserves, or 0. `length` is that of the effect. */
  check(request: Request, length: number): number {
    const { type, flags, offset } = request;
    const allowed = type < this.#flags.length ? (this.#flags[type] as number) : -1;
    const { size } = this;
    if (allowed === -1) return NBD_EINVAL;
    if (this.#readOnly && writes(type)) return NBD_EPERM;
    if ((flags & ~allowed) !== 0) return NBD_EINVAL;
    if (type === NBD_CMD_FLUSH) return offset === 0 && length === 0 ? 0 : NBD_EINVAL;
    if (length === 0) return NBD_EINVAL;
    if (type === NBD_CMD_WRITE && this.#extended && (flags & NBD_CMD_FLAG_PAYLOAD_LEN) === 0) {
      return NBD_EINVAL;
    }
    if (length > MAX_PAYLOAD && hasPayload(type)) {
      const error = this.#tooLong(type, flags);
      if (error !== 0) return error;
    }
    if (offset > size || length > size - offset) {
      return type === NBD_CMD_WRITE || type === NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL;
    }
    const minimum = this.#minimum;
    if (minimum !== 1 && (offset % minimum !== 0 || length % minimum !== 0)) return NBD_EINVAL;
    return 0;
  }

  /** Why {@link check} said no, in words. */
  explain(request: Request, length: number): string {
    const { type, flags, offset } = request;
    const allowed = type < this.#flags.length ? (this.#flags[type] as number) : -1;
    if (allowed === -1) return `command ${type} is not on offer here`;
    if (this.#readOnly && writes(type)) return "the export is read-only";
    const unknown = flags & ~allowed;
    if (unknown !== 0) return `flags 0x${unknown.toString(16)} mean nothing to command ${type}`;
    if (type === NBD_CMD_FLUSH) return `a flush has no range; this one has ${offset}+${length}`;
    if (length === 0) return "a length of 0 asks for nothing";
    if (type === NBD_CMD_WRITE && this.#extended && (flags & NBD_CMD_FLAG_PAYLOAD_LEN) === 0) {
      return "a write needs the flag PAYLOAD_LEN once headers are extended";
    }
    if (length > MAX_PAYLOAD && hasPayload(type) && this.#tooLong(type, flags) !== 0) {
      return `${length} bytes are more than ${MAX_PAYLOAD}, the largest payload`;
    }
    if (offset > this.size || length > this.size - offset) {
      return `${offset}+${length} leaves the export of ${this.size} bytes`;
    }
    return `${offset}+${length} is not made of whole blocks of ${this.#minimum} bytes`;
  }

  /** A read in chunks can have any length; EOVERFLOW is for those that must not be split. */
  #tooLong(type: number, flags: number): number {
    if (type !== NBD_CMD_READ || !this.#chunked) return NBD_EINVAL;
    return (flags & NBD_CMD_FLAG_DF) === 0 ? 0 : NBD_EOVERFLOW;
  }
}

function writes(type: number): boolean {
  return type === NBD_CMD_WRITE || type === NBD_CMD_TRIM || type === NBD_CMD_WRITE_ZEROES;
}

function hasPayload(type: number): boolean {
  return type === NBD_CMD_READ || type === NBD_CMD_WRITE;
}

/** FUA is allowed with every command once it is offered, whatever it means there. */
function allowedFlags(offered: number, terms: SessionTerms): Int32Array {
  const allowed = new Int32Array(NBD_CMD_BLOCK_STATUS + 1).fill(-1);
  const fua = (offered & NBD_FLAG_SEND_FUA) === 0 ? 0 : NBD_CMD_FLAG_FUA;
  const payload = terms.replies === "extended" ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
  const df = (offered & NBD_FLAG_SEND_DF) === 0 ? 0 : NBD_CMD_FLAG_DF;
  allowed[NBD_CMD_READ] = fua | df;
  allowed[NBD_CMD_WRITE] = fua | payload;
  allowed[NBD_CMD_FLUSH] = fua;
  allowed[NBD_CMD_WRITE_ZEROES] = fua | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
  // A read-only export offers no trim, and still says EPERM and not EINVAL to one.
  const trims = (offered & (NBD_FLAG_SEND_TRIM | NBD_FLAG_READ_ONLY)) !== 0;
  if (trims) allowed[NBD_CMD_TRIM] = fua;
  if ((offered & NBD_FLAG_SEND_CACHE) !== 0) allowed[NBD_CMD_CACHE] = fua;
  if (terms.contexts.length > 0) {
    allowed[NBD_CMD_BLOCK_STATUS] = fua | NBD_CMD_FLAG_REQ_ONE | payload;
  }
  return allowed;
}
