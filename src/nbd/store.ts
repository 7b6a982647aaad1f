/**
 * What an export serves: bytes with the abilities that NBD can ask for. A store is a mapping, a
 * block device or any media; the session below the wire knows nothing else.
 *
 * @module
 */

/** Sizes that requests must respect, in bytes: powers of two (`NBD_INFO_BLOCK_SIZE`). */
export interface StoreBlockSizes {
  /** Offsets and lengths are multiples of it; 1 to 64 KiB. */
  readonly minimum: number;
  /** What is served without read-modify-write; at least 512 and `minimum`. */
  readonly preferred: number;
}

/** What the store can do besides reading; a read-only store answers none of the writing ones. */
export interface StoreAbilities {
  /** `trim` gives space back, or forgets contents. */
  readonly trim: boolean;
  /** `writeZeroes` with `fast` can succeed for ranges of any length without writing each byte. */
  readonly fastZero: boolean;
  /** `cache` does something. */
  readonly cache: boolean;
  /** Whether a flush on one connection covers what others have been told is written. */
  readonly multiConnection: boolean;
}

/** How `writeZeroes` must go about it. */
export interface ZeroFlags {
  /** Space stays allocated (`NBD_CMD_FLAG_NO_HOLE`). */
  readonly noHole: boolean;
  /** Fails with ENOTSUP, at once, where it would be no faster than writing. */
  readonly fast: boolean;
}

/** A run of bytes of one allocation state, as `base:allocation` tells it. */
export interface StoreExtent {
  /** Bytes, more than 0. */
  readonly length: number;
  /** Nothing is allocated. */
  readonly hole: boolean;
  /** Reads as zeros. */
  readonly zero: boolean;
}

/**
 * Bytes at addresses of this process, for transports that let the kernel copy between a socket and
 * the media itself. Both methods are called for ranges inside the store only.
 */
export interface DirectMemory {
  /**
   * The address of byte `offset` when `length` bytes lie there in one piece and may be touched by
   * the kernel now, else 0. A fault is then the kernel's EFAULT and no signal.
   */
  addressOf(offset: number, length: number): number;
  /** The kernel put bytes there: what `write` does after its copy (write-back, dirty marks). */
  landed(offset: number, length: number): void;
  /**
   * As `write` of bytes `[start, start + length)` of `bytes`, without a view of them; false where
   * that cannot be done, and nothing counts as written then. For payload that was received together
   * with others.
   */
  put?(offset: number, bytes: Uint8Array, start: number, length: number): boolean;
}

/**
 * What an export serves. Ranges are checked by the session before it calls: whole, inside, aligned
 * to `blockSizes.minimum`, and more than 0 bytes. All calls are synchronous. A write that comes in
 * parts is passed on in parts: of any length where the minimum is 1, of 256 KiB elsewhere.
 *
 * Errors are `DaxError`: EIO (poison, vanished file, failing device), ENOSPC (full disk or tmpfs
 * under a sparse file), EROFS, ENOTSUP, ENXIO (device removed). The session maps them to what the
 * wire knows.
 */
export interface NbdStore {
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes;
  readonly abilities: StoreAbilities;
  /** Fills `target` from `offset`: all of it, or throws. */
  read(offset: number, target: Uint8Array): void;
  /** Writes all of `source`, visible to every reader when it returns. */
  write(offset: number, source: Uint8Array): void;
  /**
   * As `write` and `persist` of the range in one request, for a FUA write. Present where the store
   * has something to gain from it.
   */
  writeThrough?(offset: number, source: Uint8Array): void;
  /** What was written to the range before is durable when it returns, as the media means it. */
  persist(offset: number, length: number): void;
  /** As `persist` for all of the store, whoever wrote it. */
  flush(): void;
  /** The range reads as zeros afterwards. @throws ENOTSUP for `fast` where it is not */
  writeZeroes(offset: number, length: number, flags: ZeroFlags): void;
  /** The range is not needed: space may be given back; what it reads as is not said. */
  trim(offset: number, length: number): void;
  /** The range will be read soon. */
  cache(offset: number, length: number): void;
  /**
   * What the media really holds of the range, in order. Lazy: the caller stops when it has enough.
   * The lengths add up to `length` or more, or to less where finding out would take long: at least
   * one extent.
   */
  allocation(offset: number, length: number): Iterable<StoreExtent>;
  /**
   * How many bytes from `offset` on, up to `length`, are a hole, which reads as zeros; 0 where
   * there is data. Present where it costs next to nothing against reading 32 KiB: it is asked for
   * every larger read of a client that knows structured replies. Never throws.
   */
  holeAt?(offset: number, length: number): number;
  /** Present where the kernel may copy straight to and from the media. */
  readonly direct?: DirectMemory;
}
