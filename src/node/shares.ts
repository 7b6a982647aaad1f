/**
 * Mappings lent out: the addresses of a mapped file, for threads that cannot hold its windows.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Durability } from "../media/media.ts";

/** A mapped file, as other threads of this process reach it: plain data. */
export interface MappedShare {
  readonly path: string;
  readonly kind: "file" | "device";
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
  readonly pageSize: number;
  readonly readOnly: boolean;
  readonly durability: Durability;
  /** What writes cache lines back, where that is what `durability` asks for. */
  readonly cacheControl: string | undefined;
  /** Where the bytes lie: in order, without gaps, covering `size`. */
  readonly runs: readonly MappedRun[];
}

/** Bytes `[start, start + length)` lie at `address`. */
export interface MappedRun {
  readonly start: number;
  readonly length: number;
  readonly address: number;
}

/** A share that is to be given back. */
export interface SharedMapping {
  readonly share: MappedShare;
  /** Nobody reaches for the addresses any more. Idempotent. */
  release(): void;
}

/** Who holds a mapping's addresses. */
export class Shares {
  #held = 0;

  /** Lends it out. */
  lend(share: MappedShare): SharedMapping {
    let held = true;
    this.#held++;
    return {
      share,
      release: () => {
        if (held) this.#held--;
        held = false;
      },
    };
  }

  /** @throws EBUSY while the mapping is lent out: unmapping it would end the process */
  checkNone(path: string): void {
    if (this.#held === 0) return;
    const detail = "its mapping is shared; close what serves it first";
    throw new DaxError("EBUSY", { syscall: "close", path, detail });
  }
}
