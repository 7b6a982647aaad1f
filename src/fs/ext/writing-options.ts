/**
 * Options of ext4(5) that mean something to a mount for writing.
 *
 * @module
 */
import { EXT4_ERRORS_PANIC, EXT4_ERRORS_RO } from "../../format/ext-superblock.ts";
import { DaxError } from "../../lib/errno.ts";
import type { MultiMountOptions } from "./multi-mount.ts";
import type { Superblock } from "./superblock.ts";

/** What happens when the image turns out to be damaged; `panic` is `remount-ro` here. */
export type OnErrors = "continue" | "remount-ro" | "panic";

/** When data are durable: before the metadata that lead to them, or whenever. */
export type DataMode = "ordered" | "writeback";

/** What a mount for writing may be told. */
export interface ExtWriteOptions {
  /** Mount for writing; for reading unless given. */
  readonly write?: boolean;
  /** Seconds after which the next operation commits what was done before; 5 unless given, 0 too. */
  readonly commit?: number;
  /** `ordered` unless given. */
  readonly data?: DataMode;
  /** What the superblock says unless given. */
  readonly errors?: OnErrors;
  /**
   * Whether data stay in memory, and get their blocks when they are written out (`delalloc`), as
   * Linux does unless told otherwise; here it is off unless given. Without dax what is written to
   * blocks that exist stays there as well. See `delayed-writes.ts` for what writes them out.
   */
  readonly delalloc?: boolean;
  /**
   * With `delalloc`: what is allocated for a program that does not sync (`auto_da_alloc`) stays an
   * unwritten extent until its contents are synced, and its file's size does not wait for that. In
   * Linux, where this is the default, contents and a transaction that says so follow within
   * milliseconds, or after a commit (`ext4_convert_unwritten_extents`). Off unless given.
   */
  readonly dioreadNolock?: boolean;
  /**
   * With `dioreadNolock`: each write is met by the flusher at once, which is not done with it: the
   * blocks are there, unwritten, and so is the size, and the contents are on their way. For whoever
   * wants to see what a commit in that moment leaves. Off unless given.
   */
  readonly flusherAtWork?: boolean;
  /** Accepted: blocks are allocated at once, unless `delalloc`. */
  readonly nodelalloc?: boolean;
  /**
   * Each step is a transaction of its own that is committed at once, as if the journal's timer came
   * round behind every one of them. For whoever wants to see what such commits leave.
   */
  readonly commitSteps?: boolean;
  /**
   * On ext2, fsync writes what belongs to the file, as in Linux, and not all that waits: its names
   * are its directory's. Off unless given; it means nothing where there is a journal.
   */
  readonly ownSyncs?: boolean;
  /** What multi-mount protection needs of the machine, where the image has it. */
  readonly multiMount?: Pick<MultiMountOptions, "nodename" | "wait">;
}

/** The same, proved, with nothing missing. */
export interface WritingOptions {
  /** Seconds. */
  readonly commit: number;
  readonly ordered: boolean;
  readonly errors: OnErrors;
  readonly delalloc: boolean;
  readonly dioreadNolock: boolean;
  readonly flusherAtWork: boolean;
  readonly commitSteps: boolean;
  readonly ownSyncs: boolean;
}

/** `JBD2_DEFAULT_MAX_COMMIT_AGE`. */
const COMMIT_SECONDS = 5;
const DATA_MODES: ReadonlySet<unknown> = new Set(["ordered", "writeback"]);
const ON_ERRORS: ReadonlySet<unknown> = new Set(["continue", "remount-ro", "panic"]);

/** @throws EINVAL for a value that is none, ENOTSUP for `data=journal` */
export function writingOptions(
  { errors: stored }: Pick<Superblock, "errors">,
  options: ExtWriteOptions,
): WritingOptions {
  const { commit = COMMIT_SECONDS, data = "ordered", errors } = options;
  const { delalloc = false, nodelalloc = false, commitSteps = false, ownSyncs = false } = options;
  const { dioreadNolock = false, flusherAtWork = false } = options;
  if (delalloc && nodelalloc) refuse("EINVAL", "delalloc and nodelalloc; give one of them");
  if (!(Number.isFinite(commit) && commit >= 0)) refuse("EINVAL", `commit=${commit}; seconds`);
  if ((data as string) === "journal") {
    refuse("ENOTSUP", "data=journal; use data=ordered, or fsync what has to be durable");
  }
  if (!DATA_MODES.has(data)) refuse("EINVAL", `data=${data}; it is ordered or writeback`);
  if (errors !== undefined && !ON_ERRORS.has(errors)) {
    refuse("EINVAL", `errors=${errors}; it is continue, remount-ro or panic`);
  }
  return {
    commit: commit === 0 ? COMMIT_SECONDS : commit,
    ordered: data === "ordered",
    errors: errors ?? storedErrors(stored),
    delalloc,
    dioreadNolock,
    flusherAtWork,
    commitSteps,
    ownSyncs,
  };
}

function storedErrors(stored: number): OnErrors {
  if (stored === EXT4_ERRORS_RO) return "remount-ro";
  return stored === EXT4_ERRORS_PANIC ? "panic" : "continue";
}

function refuse(code: "EINVAL" | "ENOTSUP", detail: string): never {
  throw new DaxError(code, { syscall: "mount", detail });
}
