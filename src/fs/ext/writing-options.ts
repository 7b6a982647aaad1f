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
  /** Accepted: blocks are always allocated at once. */
  readonly nodelalloc?: boolean;
  /** What multi-mount protection needs of the machine, where the image has it. */
  readonly multiMount?: Pick<MultiMountOptions, "nodename" | "wait">;
}

/** The same, proved, with nothing missing. */
export interface WritingOptions {
  /** Seconds. */
  readonly commit: number;
  readonly ordered: boolean;
  readonly errors: OnErrors;
}

/** `JBD2_DEFAULT_MAX_COMMIT_AGE`. */
const COMMIT_SECONDS = 5;
const DATA_MODES: ReadonlySet<unknown> = new Set(["ordered", "writeback"]);
const ON_ERRORS: ReadonlySet<unknown> = new Set(["continue", "remount-ro", "panic"]);

/** @throws EINVAL for a value that is none, ENOTSUP for `data=journal` */
export function writingOptions(
  { errors: stored }: Pick<Superblock, "errors">,
  { commit = COMMIT_SECONDS, data = "ordered", errors }: ExtWriteOptions,
): WritingOptions {
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
  };
}

function storedErrors(stored: number): OnErrors {
  if (stored === EXT4_ERRORS_RO) return "remount-ro";
  return stored === EXT4_ERRORS_PANIC ? "panic" : "continue";
}

function refuse(code: "EINVAL" | "ENOTSUP", detail: string): never {
  throw new DaxError(code, { syscall: "mount", detail });
}
