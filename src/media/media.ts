/**
 * Media: bytes that may outlive the process. The first of the four waists; it answers one question,
 * "the longest run of memory from here", and promises durability by `flush` and `fence`.
 *
 * @module
 */
import type { Memo } from "../lib/memo.ts";
import type { Memory } from "../lib/memory.ts";

/** A half-open run of bytes: `[start, start + length)`. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

/**
 * What survives a power cut, per range of a device (crash model, memory side):
 * - `adr`: what left the CPU caches, so stores must be flushed and fenced;
 * - `eadr`: every store, in program order (battery-backed caches); a flush does nothing;
 * - `volatile`: nothing.
 */
export type PersistenceDomain = "adr" | "eadr" | "volatile";

/** A range with one persistence domain. */
export interface DomainRange extends ByteRange {
  readonly domain: PersistenceDomain;
}

/**
 * How a range is mapped into the address space:
 * - `write-back`: stores stay in the cache until they are flushed or evicted (the default);
 * - `write-through`: every store is a store and a flush of its line, so a fence is all it needs;
 * - `write-combining`: stores go around the cache through a buffer that may drain in any order:
 *   they need a fence, and until then each atom may have arrived without the others;
 * - `uncached`: every store is durable when it is made, in program order.
 */
export type Caching = "write-back" | "write-through" | "write-combining" | "uncached";

/** A range that is mapped in some other way than write-back. */
export interface CachedRange extends ByteRange {
  readonly caching: Caching;
}

/**
 * What `flush` followed by `fence` reaches:
 * - `volatile`: nothing lasts (RAM, tmpfs);
 * - `cache-line`: write-back of cache lines is enough (a DAX mapping that granted MAP_SYNC);
 * - `msync`: the range is written by `msync` (an ordinary file behind a page cache);
 * - `fsync`: no mapping was possible: the range is written by `pwrite` and `fdatasync`, or by WRITE
 *   and FLUSH of NBD;
 * - `modelled`: whatever the crash model says of the range's domain.
 */
export type Durability = "volatile" | "cache-line" | "msync" | "fsync" | "modelled";

/** A run of media that can be addressed directly. */
export interface Window extends ByteRange {
  /** Byte `i` of `memory` is byte `start + i` of the media; `memory.byteLength === length`. */
  readonly memory: Memory;
}

/**
 * Bytes that may outlive the process.
 *
 * Every method throws ENXIO after `close`, EINVAL for offsets or lengths that are not unsigned safe
 * integers, and ERANGE for a range that leaves the media.
 */
export interface Media {
  /** Bytes. */
  readonly size: number;
  readonly durability: Durability;
  readonly readOnly: boolean;
  /** Remembers looks at it; absent but where the same programs run on it again and again. */
  readonly memo?: Memo | undefined;
  /** Sorted, disjoint, covering `[0, size)`. */
  readonly domains: readonly DomainRange[];
  /** Ranges that are not mapped write-back, a later entry before an earlier one; absent: none. */
  readonly caching?: readonly CachedRange[] | undefined;
  /**
   * The longest directly addressable run that holds `offset`; loads and stores go straight to it.
   * The same window object is returned for every offset inside it, so a caller may keep it until
   * `close`, and must expect the run to end before the media does (a view ends at 4 GiB).
   */
  window(offset: number): Window;
  /** Starts write-back of every cache line that the range touches; durable after `fence`. */
  flush(offset: number, length: number): void;
  /** Returns when everything flushed before is durable, as `durability` defines it. */
  fence(): void;
  /**
   * Copies `source` to `offset` around the cache: after the next `fence` it is durable without a
   * flush. Absent where the media knows no such store; then copy and flush.
   */
  copyNonTemporal?(offset: number, source: Uint8Array): void;
  /** Poisoned ranges, sorted and disjoint, as badblocks lists them; a new array after a change. */
  badRanges(): readonly ByteRange[];
  /**
   * Clears poison inside the range and returns how many bytes of it are now good. Caches may hold
   * the poison still: use `healMedia`, which invalidates them.
   */
  clearPoison(offset: number, length: number): number;
  /**
   * Drops the cache lines that the range touches, dirty ones written back first, so that the next
   * load meets the media. After poison was cleared, or a load would meet the poison in its cache.
   * Absent where no cache holds any.
   */
  invalidate?(offset: number, length: number): void;
  /**
   * Throws EIO when a load or store since the last call of any method met memory that was gone: a
   * file truncated behind our back, a full disk under a sparse file, a failing DIMM. What such
   * loads read was zeros. Absent where loads cannot fail. Costs a few nanoseconds: a copy out of a
   * window calls it afterwards, because a load itself cannot throw.
   */
  checkFault?(): void;
  /**
   * Aliases media: one contiguous array over the given pieces in their order, or `undefined` where
   * this media cannot join them (pieces that do not start and end on pages of the host, the end of
   * the last one excepted; media that is not mapped). Stores through a mapping that is not
   * `writable` are private to it: they reach neither the media nor any other window.
   * @throws EINVAL for no pieces, or a hole in a writable mapping (allocate it first), EROFS for a
   *   writable one of read-only media, ENOMEM when the process has no room for more mappings, EFBIG
   *   for more than one array can hold
   */
  stitch?(pieces: readonly StitchPiece[], writable: boolean): Stitched | undefined;
  /** Detaches every view and releases the file. Idempotent. */
  close(): void;
}

/** `length` bytes of zeros that no media backs: a hole of a sparse file. */
export interface Hole {
  readonly hole: true;
  readonly length: number;
}

/** What a stitched mapping shows at one place. */
export type StitchPiece = ByteRange | Hole;

/** Several pieces of media seen as one run of bytes. */
export interface Stitched {
  /** As long as the pieces together. */
  readonly bytes: Uint8Array;
  /**
   * Ends the mapping: `bytes` is detached (its length is 0 then), so that nothing can reach memory
   * that serves others. Idempotent; `Media.close` does it too.
   */
  release(): void;
}
