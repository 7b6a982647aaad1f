/**
 * What of a file is mapped, and how.
 *
 * @module
 */
import type { Inode } from "./filesystem.ts";
import type { Mount } from "./mounts.ts";

/** What to map. */
export interface MapOptions {
  /** Bytes from the start of the file; 0 unless given. No alignment is asked. */
  readonly offset?: number;
  /** Bytes; to the end of the file unless given. */
  readonly length?: number;
  /**
   * Makes `bytes` an array of its own even where an alias of the media would do, so that `revoke`
   * can detach it. Needs media that can be mapped a second time.
   */
  readonly revocable?: boolean;
  /**
   * `write`: stores go to the file. All of the range is made at once: holes are allocated, and
   * what was never written is zeroed, so that no store can fail for want of room.
   */
  readonly access?: "read" | "write";
  /**
   * What leads to the bytes is durable before the mapping exists, so that `flush` is a matter of
   * cache lines alone (MAP_SYNC).
   */
  readonly sync?: boolean;
}

/** A mapped file, as a {@link Mapping} needs it. */
export interface MappedFile {
  readonly inode: Inode;
  readonly mount: Mount;
  readonly path: string;
}
