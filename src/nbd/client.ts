/**
 * An NBD client without sockets: handshake, commands, and replies in any order. Every method is a
 * talk (see `talk.ts`); a server that breaks the protocol ends it with EPROTO and is not asked
 * again.
 *
 * @module
 */
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_EXTENDED_REQUEST_MAGIC,
  NBD_FLAG_READ_ONLY,
  NBD_REQUEST_MAGIC,
  NbdExtendedRequest,
  NbdRequest,
} from "../format/nbd.ts";
import { DaxError } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import { checkBounds } from "../media/bounds.ts";
import { type Agreement, type ClientWishes, negotiate } from "./client-handshake.ts";
import { takeMessage } from "./client-replies.ts";
import { Pending, type Request, type StatusExtent } from "./client-requests.ts";
import { type Talk, send } from "./talk.ts";

/** Bytes of one READ or WRITE where the server takes more: enough to be quick, and in flight. */
const PIECE_BYTES = 2 ** 20;
/** Requests in flight. */
const DEPTH = 8;
/** Bytes of one command without payload; a multiple of every block size. */
const RANGE_BYTES = 2 ** 30;

/** See the module. Made by `NbdClient.connect`. */
export class NbdClient {
  readonly agreement: Agreement;
  readonly #pendings = new Map<number, Pending>();
  #cookie = 0;
  #broken: DaxError | undefined;

  private constructor(agreement: Agreement) {
    this.agreement = agreement;
  }

  /** Greets, haggles and enters transmission. @throws as `negotiate` */
  static *connect(wishes: ClientWishes): Talk<NbdClient> {
    return new NbdClient(yield* negotiate(wishes));
  }

  get readOnly(): boolean {
    return (this.agreement.flags & NBD_FLAG_READ_ONLY) !== 0;
  }

  /** Whether all of the given NBD_FLAG_* were advertised. */
  has(flags: number): boolean {
    return (this.agreement.flags & flags) === flags;
  }

  /** Fills `target` from `offset`. @throws EIO and what else the server answers */
  *read(offset: number, target: Uint8Array, flags = 0): Talk<void> {
    this.#check("read", offset, target.length);
    yield* this.#each(offset, target.length, this.#piece, (at, length) => {
      const part = target.subarray(at - offset, at - offset + length);
      return { type: NBD_CMD_READ, flags, offset: at, length, target: part };
    });
  }

  /** Writes all of `source`. @throws EPERM, ENOSPC and what else the server answers */
  *write(offset: number, source: Uint8Array, flags = 0): Talk<void> {
    this.#check("write", offset, source.length);
    yield* this.#each(offset, source.length, this.#piece, (at, length) => {
      const payload = source.subarray(at - offset, at - offset + length);
      return { type: NBD_CMD_WRITE, flags, offset: at, length, payload };
    });
  }

  /** Makes a range read as zeros. @param piece bytes of one command, at most */
  *writeZeroes(offset: number, length: number, flags = 0, piece = RANGE_BYTES): Talk<void> {
    yield* this.#range(NBD_CMD_WRITE_ZEROES, flags, offset, length, piece);
  }

  /** Tells the server that nobody needs a range; what it reads as then is the server's affair. */
  *trim(offset: number, length: number, flags = 0): Talk<void> {
    yield* this.#range(NBD_CMD_TRIM, flags, offset, length, RANGE_BYTES);
  }

  /** Tells the server that a range will be read soon. */
  *cache(offset: number, length: number): Talk<void> {
    yield* this.#range(NBD_CMD_CACHE, 0, offset, length, RANGE_BYTES);
  }

  /** What was answered is durable. */
  *flush(): Talk<void> {
    const request = { type: NBD_CMD_FLUSH, flags: 0, offset: 0, length: 0 };
    yield* this.#exchange([request].values());
  }

  /**
   * What each selected context says from `offset` on: at least one extent, and no promise that they
   * reach to the end of the range.
   * @throws EINVAL when no context was agreed on
   */
  *blockStatus(
    offset: number,
    length: number,
    flags = 0,
  ): Talk<ReadonlyMap<string, readonly StatusExtent[]>> {
    this.#check("block_status", offset, length);
    if (this.agreement.contexts.size === 0) {
      throw new DaxError("EINVAL", {
        syscall: "block_status",
        detail: "no metadata context was agreed on",
      });
    }
    const status = new Map<string, readonly StatusExtent[]>();
    const cut = Math.min(length, RANGE_BYTES);
    const type = NBD_CMD_BLOCK_STATUS;
    yield* this.#exchange([{ type, flags, offset, length: cut, status }].values());
    return status;
  }

  /** Says goodbye; there is no answer. */
  *disconnect(): Talk<void> {
    if (this.#broken !== undefined) return;
    this.#broken = new DaxError("ENXIO", { syscall: "nbd", detail: "the client disconnected" });
    yield* send(this.#encode({ type: NBD_CMD_DISC, flags: 0, offset: 0, length: 0 }, 0));
  }

  get #piece(): number {
    const { minimum, maximum } = this.agreement.blockSizes;
    const most = Math.min(PIECE_BYTES, maximum);
    return most - (most % minimum);
  }

  #check(syscall: string, offset: number, length: number): void {
    checkBounds(syscall, this.agreement.size, offset, length);
    const { minimum } = this.agreement.blockSizes;
    if (length > 0 && offset % minimum === 0 && length % minimum === 0) return;
    throw new DaxError("EINVAL", {
      syscall,
      detail: `${length} bytes at ${offset}; give a positive multiple of ${minimum}`,
    });
  }

  *#range(type: number, flags: number, offset: number, length: number, piece: number): Talk<void> {
    this.#check("range", offset, length);
    yield* this.#each(offset, length, piece, (at, part) => ({
      type,
      flags,
      offset: at,
      length: part,
    }));
  }

  *#each(
    offset: number,
    length: number,
    piece: number,
    make: (at: number, length: number) => Request,
  ): Talk<void> {
    yield* this.#exchange(pieces(offset, length, piece, make));
  }

  /** Sends requests, a few in flight, and hears all replies. @throws the first error of any */
  *#exchange(requests: Iterator<Request>): Talk<void> {
    if (this.#broken !== undefined) throw this.#broken;
    let failed: DaxError | undefined;
    try {
      for (let next = requests.next(); ;) {
        while (next.done !== true && this.#pendings.size < DEPTH) {
          yield* this.#submit(next.value);
          next = requests.next();
        }
        if (this.#pendings.size === 0) break;
        const finished = yield* takeMessage(this.agreement, this.#pendings);
        if (finished === undefined) continue;
        this.#pendings.delete(finished.cookie);
        failed ??= finished.pending.error;
        if (failed !== undefined) next = { done: true, value: undefined };
      }
    } catch (error) {
      // The stream is somewhere inside a message: nothing after it can be understood.
      this.#broken = error as DaxError;
      this.#pendings.clear();
      throw error;
    }
    if (failed !== undefined) throw failed;
  }

  *#submit(request: Request): Talk<void> {
    const cookie = ++this.#cookie;
    this.#pendings.set(cookie, new Pending(request));
    const header = this.#encode(request, cookie);
    yield* request.payload === undefined ? send(header) : send(header, request.payload);
  }

  #encode(request: Request, cookie: number): Uint8Array {
    const { extended } = this.agreement;
    const layout = extended ? NbdExtendedRequest : NbdRequest;
    const bytes = new Uint8Array(sizeof(layout));
    const view = new DataView(bytes.buffer);
    const payload = extended && request.payload !== undefined ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
    layout.magic.set(view, 0, extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
    layout.flags.set(view, 0, request.flags | payload);
    layout.type.set(view, 0, request.type);
    layout.cookieHi.set(view, 0, Math.floor(cookie / 2 ** 32));
    layout.cookieLo.set(view, 0, cookie >>> 0);
    layout.offset.set(view, 0, request.offset);
    layout.length.set(view, 0, request.length);
    return bytes;
  }
}

function* pieces(
  offset: number,
  length: number,
  piece: number,
  make: (at: number, length: number) => Request,
): Generator<Request, void> {
  for (let at = offset; at < offset + length; at += piece) {
    yield make(at, Math.min(piece, offset + length - at));
  }
}
