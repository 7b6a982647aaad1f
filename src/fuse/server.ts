/**
 * What a transport drives, and what it sends: the seam between the FUSE session, which knows no
 * descriptors, and `/dev/fuse`.
 *
 * @module
 */

/** Answers the requests of one connection, which is one mount. */
export interface FuseServer {
  /**
   * Where the transport puts a request: at least `max_write + 4096` bytes, the same memory for
   * life, so that its address may be taken once.
   */
  readonly request: Uint8Array<ArrayBuffer>;
  /** The answer to the last request. */
  readonly reply: FuseReply;
  /** True after FUSE_INIT was answered. */
  readonly ready: boolean;
  /**
   * Set by the transport: takes a notice (`FUSE_NOTIFY_*`), a complete frame with an out header
   * whose `unique` is 0. The memory is the transport's from then on. Notices are written in order,
   * one at a time, and never by the thread that answers: the kernel may wait in that write for a
   * request that only this thread can answer. ENOENT from the kernel is no error.
   */
  onNotice: ((frame: Uint8Array<ArrayBuffer>) => void) | undefined;
  /**
   * Answers the request in the first `length` bytes of `request`. What a request says never makes
   * it throw: the answer is an errno.
   * @throws EPROTO for a frame without a header, or whose length field is not `length`
   */
  answer(length: number): void;
  /**
   * The kernel could not read a piece of the reply (EFAULT): the media shrank or are poisoned. The
   * reply is EIO from now on, without pieces, for the same request.
   */
  spoiled(): void;
  /**
   * The connection is gone, unmounted or aborted: all handles are closed and all nodes forgotten,
   * so that nothing keeps the volume busy. Idempotent.
   */
  end(): void;
}

/** A reply: a head of its own, and file bytes where they lie. */
export interface FuseReply {
  /**
   * The out header and what follows it: at least `max_write + 4096` bytes, the same memory for
   * life. The header's `len` counts the pieces, too.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many of `bytes` are sent; 0 for a request without an answer, such as FUSE_FORGET. */
  length: number;
  /** File bytes that are sent behind `bytes`, aliases of the media. */
  readonly pieces: Uint8Array[];
  /** How many of `pieces` count. */
  pieceCount: number;
}
