/**
 * How `flush` works on a mapping, and what it may promise.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Durability } from "../media/media.ts";
import { type CacheControl, cacheControl } from "./machine-code.unsafe.ts";
import type { MediaFile, OpenFileOptions } from "./media-file.ts";

/** What `flush` does and promises. */
export interface FlushMethod {
  readonly durability: Durability;
  /** Set where lines are written back. */
  readonly cache: CacheControl | undefined;
  /** Whether pages are written by msync. */
  readonly pages: boolean;
}

/**
 * Chooses. Cache lines count as durable only where the mapping is `synchronous` and the
 * instructions reach memory that lasts; tmpfs is never durable.
 * @throws ENOTSUP when cache-line write-back is demanded and there is none
 */
export function flushMethod(
  file: MediaFile,
  synchronous: boolean,
  options: OpenFileOptions,
): FlushMethod {
  const wanted = options.flush ?? "auto";
  const durability: Durability = file.inRam ? "volatile" : "msync";
  const nothing = { durability, cache: undefined, pages: false };
  if (file.readOnly) return nothing;
  if (wanted === "cache-line") return demanded(file, synchronous);
  if (wanted === "auto" && file.inRam) return nothing;
  const cache = wanted === "auto" && synchronous ? cacheControl() : undefined;
  if (cache?.persistent === true) return { durability: "cache-line", cache, pages: false };
  return { durability, cache: undefined, pages: true };
}

function demanded(file: MediaFile, synchronous: boolean): FlushMethod {
  const cache = cacheControl();
  if (cache === undefined) {
    throw new DaxError("ENOTSUP", {
      syscall: "open",
      path: file.path,
      detail: "no cache-line write-back here: executable pages are refused, and no libpmem",
    });
  }
  const durable = synchronous && cache.persistent;
  return { durability: durable ? "cache-line" : "volatile", cache, pages: false };
}
