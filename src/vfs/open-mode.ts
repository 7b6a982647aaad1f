/**
 * How a file is open.
 *
 * @module
 */
import type { Credentials } from "./permissions.ts";

/** How a file is open; for reading unless told otherwise. */
export interface OpenMode {
  /** `none` (O_PATH): a place, for attributes and as a start of paths. */
  readonly access?: "read" | "write" | "readwrite" | "none";
  /** Every write goes to the end (O_APPEND). */
  readonly append?: boolean;
  /** Every write is durable before it returns: with all (O_SYNC), or what reads it (O_DSYNC). */
  readonly sync?: "all" | "data" | undefined;
  /** On whose behalf; nothing is checked unless given. */
  readonly credentials?: Credentials | undefined;
  /** False for a file that may never have a name (O_TMPFILE with O_EXCL). */
  readonly linkable?: boolean;
}
