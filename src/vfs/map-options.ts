/**
 * What of a file is mapped, and how.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
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
   * `write`: it may be stored to. All of the range is made at once, unless `lazy` or `private`:
   * holes are allocated, and what was never written is zeroed, so that no store can fail for want
   * of room.
   */
  readonly access?: "read" | "write";
  /**
   * What leads to the bytes is durable before they can be stored to, so that `flush` is a matter of
   * cache lines alone (MAP_SYNC).
   */
  readonly sync?: boolean;
  /**
   * Pages are made one by one, at the first store to each, as mmap(2) does it: a store may then be
   * ENOSPC. `bytes` makes all of them when it is asked for first.
   */
  readonly lazy?: boolean;
  /**
   * Stores make a copy of their page, and never reach the file (MAP_PRIVATE): the file has to be
   * open for reading only. There are no `bytes` then.
   */
  readonly private?: boolean;
  /** MAP_POPULATE: the faults of all pages are taken at once, for loads or for stores as well. */
  readonly populate?: "read" | "write";
  /**
   * Maps 2 MiB at once where file, memory and device are aligned so. Linux always tries; here a
   * byte that is stored in such a page is 2 MiB to be written back, so it has to be asked for.
   */
  readonly huge?: boolean;
}

const READ_OR_WRITE: ReadonlySet<unknown> = new Set(["read", "write"]);
const KINDS: Readonly<Record<keyof MapOptions, "number" | "boolean" | "word">> = {
  offset: "number",
  length: "number",
  revocable: "boolean",
  access: "word",
  sync: "boolean",
  lazy: "boolean",
  private: "boolean",
  populate: "word",
  huge: "boolean",
};

/** Options of callers without types. @throws EINVAL for one that is none, or of another type */
export function assertMapOptions(path: string, options: unknown): asserts options is MapOptions {
  const refuse = (detail: string): never => {
    throw new DaxError("EINVAL", { syscall: "mmap", path, detail });
  };
  if (typeof options !== "object" || options === null) refuse(`options: ${String(options)}`);
  for (const [key, given] of Object.entries(options as object)) {
    if (given === undefined) continue;
    if (!Object.hasOwn(KINDS, key)) {
      refuse(`${key}: no such option; there are ${Object.keys(KINDS).join(", ")}`);
    }
    const kind = KINDS[key as keyof MapOptions];
    const words = kind === "word" ? "there is read, write" : `it is a ${kind}`;
    const fits = kind === "word" ? READ_OR_WRITE.has(given) : typeof given === kind;
    if (!fits)
      refuse(`${key}: ${typeof given === "string" ? `"${given}"` : String(given)}; ${words}`);
  }
}

/** A mapped file, as a {@link Mapping} needs it. */
export interface MappedFile {
  readonly inode: Inode;
  readonly mount: Mount;
  readonly path: string;
}
