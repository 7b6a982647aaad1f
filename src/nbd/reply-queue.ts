/**
 * What a session has to say, as pieces that a transport gathers into one system call: headers lie
 * in an arena, payloads in the store itself or in scratch memory. Pieces are numbers in columns, so
 * that queueing a reply allocates nothing.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";

/** The piece lies in `arena`: `at` is an index into it. */
export const PIECE_ARENA = 0;
/** The piece lies in the store: `at` is an offset, and `store.direct` gave an address for it. */
export const PIECE_STORE = 1;
/** The piece lies in `scratch`: `at` is an index into it. */
export const PIECE_SCRATCH = 2;

/** Enough for what one `sendmsg` takes (IOV_MAX is 1024). */
const MOST_PIECES = 1000;
const ARENA_BYTES = 64 * 1024;
/** A transport sends when so much waits. */
export const FULL_BYTES = 1 << 20;
/** And when so much work was done for what waits: some milliseconds of it. */
export const FULL_EFFORT: number = 16 << 20;

/** One piece, where it is not a row of columns. */
export interface Piece {
  readonly kind: number;
  readonly at: number;
  readonly length: number;
}

/** What a queue writes in while it holds something. */
interface Sheet {
  readonly arena: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly kinds: Uint8Array;
  readonly at: Float64Array;
  readonly lengths: Float64Array;
}

function makeSheet(arena: Uint8Array<ArrayBuffer>): Sheet {
  return {
    arena,
    view: new DataView(arena.buffer, arena.byteOffset, arena.byteLength),
    kinds: new Uint8Array(MOST_PIECES),
    at: new Float64Array(MOST_PIECES),
    lengths: new Float64Array(MOST_PIECES),
  };
}

const NOTHING = new Uint8Array(0);
const NO_SHEET: Sheet = {
  arena: NOTHING,
  view: new DataView(NOTHING.buffer),
  kinds: NOTHING,
  at: new Float64Array(0),
  lengths: new Float64Array(0),
};
/** Of queues that hold nothing: ten thousand quiet connections must not cost a gigabyte. */
const spareSheets: Sheet[] = [];
const spareScratch: Uint8Array<ArrayBuffer>[] = [];
const MOST_SPARES = 4;

/** See the module. Its memory is borrowed: references to it end with `clear`. */
export class ReplyQueue {
  /** Headers and small replies. */
  arena: Uint8Array<ArrayBuffer> = NO_SHEET.arena;
  view: DataView<ArrayBuffer> = NO_SHEET.view;
  /** Payload that was read from the store; grows for one large reply and is given back after it. */
  scratch: Uint8Array<ArrayBuffer>;
  /**
   * So many bytes at the front were looked at when a send was refused: parts of replies, perhaps,
   * and nothing in the store.
   */
  verbatim = 0;
  /**
   * Work that the replies so far took and do not show, in bytes that were zeroed or looked at; it
   * only grows. Transports that share a thread let others have their turn by it.
   */
  effort = 0;
  /** How many pieces wait. */
  count = 0;
  /** How many bytes they are together. */
  bytes = 0;
  kinds: Uint8Array = NO_SHEET.kinds;
  /** Index or offset of each piece. */
  at: Float64Array = NO_SHEET.at;
  lengths: Float64Array = NO_SHEET.lengths;
  readonly #own: Sheet | undefined;
  readonly #arenaBytes: number;
  #sheet: Sheet | undefined;
  #arenaUsed = 0;
  #scratchUsed = 0;
  /** `effort` when all was sent last. */
  #settledEffort = 0;

  /** @param arena kept for good; without it one is borrowed while there is something to say */
  constructor(arena?: Uint8Array<ArrayBuffer>) {
    this.scratch = NOTHING;
    this.#arenaBytes = arena?.length ?? ARENA_BYTES;
    this.#own = arena === undefined ? undefined : makeSheet(arena);
  }

  /** Whether it must be sent before more is asked of the session. */
  get full(): boolean {
    return (
      this.bytes >= FULL_BYTES ||
      this.count > MOST_PIECES - 8 ||
      this.effort - this.#settledEffort >= FULL_EFFORT ||
      this.#arenaUsed > this.#arenaBytes - 1024
    );
  }

  /** Whether `length` more bytes of arena are left. */
  hasArena(length: number): boolean {
    return this.#arenaUsed + length <= this.#arenaBytes;
  }

  /**
   * Takes `length` bytes of the arena as the next piece; returns the index to encode at. `arena`
   * and `view` are right after the call, not before it.
   */
  header(length: number): number {
    const index = this.#arenaUsed;
    assert(this.hasArena(length), "the session leaves room for headers");
    this.#arenaUsed += length;
    if (this.#sheet === undefined) this.#open();
    const last = this.count - 1;
    // Headers that follow each other are one piece.
    if (last >= 0 && this.kinds[last] === PIECE_ARENA) {
      this.lengths[last] = (this.lengths[last] as number) + length;
      this.bytes += length;
    } else this.#push(PIECE_ARENA, index, length);
    return index;
  }

  /** The next piece is `length` bytes of the store. */
  store(offset: number, length: number): void {
    this.#push(PIECE_STORE, offset, length);
  }

  /** Takes `length` bytes of scratch as the next piece, to be filled by the caller. */
  payload(length: number): Uint8Array<ArrayBuffer> {
    const piece = this.reserve(length);
    this.commit(length);
    return piece;
  }

  /** Scratch memory for a payload that may yet fail: `commit` makes it the next piece. */
  reserve(length: number): Uint8Array<ArrayBuffer> {
    if (this.#scratchUsed + length > this.scratch.length) this.#grow(length);
    return this.scratch.subarray(this.#scratchUsed, this.#scratchUsed + length);
  }

  /** The first `length` bytes of what `reserve` gave are the next piece. */
  commit(length: number): void {
    this.#push(PIECE_SCRATCH, this.#scratchUsed, length);
    this.#scratchUsed += length;
  }

  /** As `commit`, but the piece is handed out and not queued. */
  take(length: number): Piece {
    const piece = { kind: PIECE_SCRATCH, at: this.#scratchUsed, length };
    this.#scratchUsed += length;
    return piece;
  }

  /** The pieces in order. */
  pieces(): Piece[] {
    return Array.from({ length: this.count }, (_, i) => ({
      kind: this.kinds[i] as number,
      at: this.at[i] as number,
      length: this.lengths[i] as number,
    }));
  }

  /** Holds these pieces from now on, but for the first `skip` bytes of them. */
  rewrite(pieces: readonly Piece[], skip: number, verbatim: number): void {
    this.count = 0;
    this.bytes = 0;
    this.verbatim = verbatim;
    let left = skip;
    for (const { kind, at, length } of pieces) {
      const cut = Math.min(left, length);
      left -= cut;
      if (cut < length) this.#push(kind, at + cut, length - cut);
    }
  }

  /** Everything was sent. */
  clear(): void {
    this.count = 0;
    this.bytes = 0;
    this.verbatim = 0;
    this.#settledEffort = this.effort;
    this.#arenaUsed = 0;
    this.#scratchUsed = 0;
    this.#giveBack();
  }

  #open(): void {
    this.#use(this.#own ?? spareSheets.pop() ?? makeSheet(new Uint8Array(ARENA_BYTES)));
  }

  #use(sheet: Sheet): void {
    this.#sheet = sheet;
    this.arena = sheet.arena;
    this.view = sheet.view;
    this.kinds = sheet.kinds;
    this.at = sheet.at;
    this.lengths = sheet.lengths;
  }

  /** Whoever comes next on this thread mostly gets the same memory again. */
  #giveBack(): void {
    const { scratch } = this;
    if (scratch.length === FULL_BYTES && spareScratch.length < MOST_SPARES) {
      spareScratch.push(scratch);
    }
    this.scratch = NOTHING;
    const sheet = this.#sheet;
    if (sheet === undefined || sheet === this.#own) return;
    if (spareSheets.length < MOST_SPARES) spareSheets.push(sheet);
    this.#use(NO_SHEET);
    this.#sheet = undefined;
  }

  #grow(length: number): void {
    const used = this.#scratchUsed;
    const wanted = Math.max(FULL_BYTES, used + length);
    const spare = wanted === FULL_BYTES ? spareScratch.pop() : undefined;
    const grown = spare ?? new Uint8Array(wanted);
    grown.set(this.scratch.subarray(0, used));
    this.scratch = grown;
  }

  #push(kind: number, at: number, length: number): void {
    const { count } = this;
    assert(count < MOST_PIECES, "the session sends before pieces run out");
    if (this.#sheet === undefined) this.#open();
    this.kinds[count] = kind;
    this.at[count] = at;
    this.lengths[count] = length;
    this.count = count + 1;
    this.bytes += length;
  }
}
