/**
 * Seeded streams of calls on the contents of files: the same calls for us, for a naive model, and
 * for a kernel.
 */
import type { Prng } from "../../src/lib/prng.ts";
import type { FallocateMode } from "../../src/vfs/writing.ts";

/** A file by its path, or by the slot that it is open in, with or without a name. */
export type At = string | number;

/** `FS_IMMUTABLE_FL`, `FS_APPEND_FL`. */
export type Protection = 0 | 0x10 | 0x20;

/** One call. Files that are append-only are opened with O_APPEND, whatever the call. */
export type DataCall =
  /** Gives how many bytes were written. What is written tells its place, and has no zeros. */
  | {
      readonly op: "write";
      readonly at: At;
      readonly offset: number;
      readonly length: number;
      readonly seed: number;
    }
  | { readonly op: "append"; readonly at: At; readonly length: number; readonly seed: number }
  /** Gives how many bytes there were, and their CRC. */
  | { readonly op: "read"; readonly at: At; readonly offset: number; readonly length: number }
  | { readonly op: "truncate"; readonly at: At; readonly size: number }
  | {
      readonly op: "fallocate";
      readonly at: At;
      readonly mode: FallocateMode;
      readonly offset: number;
      readonly length: number;
      readonly keepSize: boolean;
    }
  /** Gives where data and holes start behind a place. */
  | { readonly op: "seek"; readonly at: At; readonly offset: number }
  /** Gives which blocks there are, behind the end too, and what of them is unwritten. */
  | { readonly op: "extents"; readonly at: At }
  | { readonly op: "protect"; readonly at: At; readonly flags: Protection }
  /** fsync(2). */
  | { readonly op: "sync"; readonly at: At };

/** What streams may do. */
export interface DataStreamOptions {
  /** Bytes of a block, and of a cluster. */
  readonly blockSize: number;
  readonly clusterSize: number;
  /** Bytes that files have, about. */
  readonly most: number;
  /** Places that only sparse files reach, or none at all. */
  readonly far: boolean;
  /** Files that must not change, or only grow. */
  readonly protect: boolean;
}

const MODES: readonly FallocateMode[] = ["allocate", "punch", "zero", "collapse", "insert"];

/** Places around what has 31, 32 and 43 bits, and where files end. */
const FAR = [2 ** 31, 2 ** 32, 2 ** 41, 2 ** 42 - 4096, 2 ** 44 - 4096, 2 ** 44];

/** Before all of these. */
const NEAR = 2 ** 30;

/** `length` bytes that a seed stands for. */
export function contentsOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((seed + i) % 251) + 1;
  return bytes;
}

/** A stream of calls on files that `file` names. */
export class DataStream {
  readonly #dice: Prng;
  readonly #file: () => At;
  readonly #options: DataStreamOptions;

  constructor(dice: Prng, file: () => At, options: DataStreamOptions) {
    this.#dice = dice;
    this.#file = file;
    this.#options = options;
  }

  /** The next call. */
  next(): DataCall {
    const dice = this.#dice;
    const at = this.#file();
    switch (dice.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return {
          op: "write",
          at,
          offset: this.#place(),
          length: this.#length(),
          seed: this.#seed(),
        };
      case 5:
        return { op: "append", at, length: this.#length(), seed: this.#seed() };
      case 6:
      case 7:
      case 8:
        return {
          op: "read",
          at,
          offset: this.#place(),
          length: 1 + dice.below(this.#options.most),
        };
      case 9:
      case 10:
        return { op: "truncate", at, size: this.#place() };
      case 11:
        if (dice.below(2) === 0) return { op: "extents", at };
        return { op: "seek", at, offset: this.#place() };
      case 12:
        if (this.#options.protect && dice.below(3) === 0) {
          return { op: "protect", at, flags: dice.pick([0, 0, 0, 0x10, 0x20] as const) };
        }
        return { op: "sync", at };
      default:
        return this.#fallocate(at);
    }
  }

  #fallocate(at: At): DataCall {
    const dice = this.#dice;
    const mode = dice.pick(MODES);
    const shifts = mode === "collapse" || mode === "insert";
    const whole = shifts ? dice.below(8) > 0 : dice.below(3) === 0;
    const wanted = mode === "punch" || dice.below(shifts ? 20 : 2) === 0;
    const [offset, length] = [this.#place(), this.#length()];
    // Blocks far behind the end make `insert` fail, and Linux then has enlarged the file already.
    const keepSize = wanted && (mode === "punch" || shifts || offset < NEAR);
    if (!whole) return { op: "fallocate", at, mode, offset, length, keepSize };
    const unit = this.#options.clusterSize;
    return {
      op: "fallocate",
      at,
      mode,
      offset: Math.floor(offset / unit) * unit,
      length: Math.ceil(length / unit) * unit,
      keepSize,
    };
  }

  #seed(): number {
    return this.#dice.below(251);
  }

  #place(): number {
    const dice = this.#dice;
    const { blockSize, most, far } = this.#options;
    switch (dice.below(8)) {
      case 0:
        return dice.below(200);
      case 1:
        return dice.below(Math.ceil(most / blockSize)) * blockSize;
      case 2:
        return Math.max(0, dice.below(Math.ceil(most / blockSize)) * blockSize + dice.below(9) - 4);
      case 3:
        if (far && dice.below(4) === 0) return dice.pick(FAR) + dice.below(9) - 4;
        return dice.below(10 * blockSize);
      default:
        return dice.below(most);
    }
  }

  #length(): number {
    const dice = this.#dice;
    const { blockSize, most } = this.#options;
    switch (dice.below(5)) {
      case 0:
        return 1 + dice.below(200);
      case 1:
        return (1 + dice.below(8)) * blockSize;
      case 2:
        return 1 + dice.below(Math.ceil(most / 2));
      default:
        return 1 + dice.below(4 * blockSize);
    }
  }
}
