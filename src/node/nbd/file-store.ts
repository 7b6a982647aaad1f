/**
 * A file as an export without mapping: each request is a call of the kernel's, so that errors are
 * exact and nothing stays in memory. For processes that cannot make foreign calls.
 *
 * @module
 */
import { fdatasyncSync, readSync, writeSync } from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import type {
  NbdStore,
  StoreAbilities,
  StoreBlockSizes,
  StoreExtent,
  ZeroFlags,
} from "../../nbd/store.ts";
import { type MediaFile, presentBytes } from "../media-file.ts";
import { typed } from "../system-error.ts";

const ZEROS = new Uint8Array(65_536);
/** Zeros are looked for in blocks of so many bytes, read so many at a time. */
const BLOCK_BYTES = 4096;
const LOOK_BYTES = 65_536;
/** Bytes that one question is worth looking at; the answer ends there. */
const MOST_LOOKED_AT = 8 * 1024 * 1024;

/**
 * See the module. Methods throw EIO where the file was cut behind our back, and never make it
 * longer again; ENOSPC on a full disk; EIO and whatever else the kernel says.
 */
export class FileStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes = { minimum: 1, preferred: 4096 };
  /** Node has no call that gives space back, or that zeroes without writing. */
  readonly abilities: StoreAbilities = {
    trim: false,
    fastZero: false,
    cache: false,
    multiConnection: true,
  };
  readonly #file: MediaFile;

  /** @param file open as long as the store is used */
  constructor(file: MediaFile) {
    this.#file = file;
    this.size = file.size;
    this.readOnly = file.readOnly;
  }

  read(offset: number, target: Uint8Array): void {
    const { fd, path } = this.#file;
    for (let done = 0; done < target.length;) {
      const run = target.length - done;
      const got = typed(path, () => readSync(fd, target, done, run, offset + done));
      if (got === 0) this.#cut("read", offset + done);
      done += got;
    }
  }

  write(offset: number, source: Uint8Array): void {
    this.#checkPresent("write", offset + source.length);
    const { fd, path } = this.#file;
    for (let done = 0; done < source.length;) {
      const run = source.length - done;
      done += typed(path, () => writeSync(fd, source, done, run, offset + done));
    }
  }

  /** Node can only make all of a file durable. */
  persist(offset: number, length: number): void {
    this.#persist(offset + length);
  }

  flush(): void {
    this.#persist(this.size);
  }

  writeZeroes(offset: number, length: number, _flags: ZeroFlags): void {
    for (let at = 0; at < length; at += ZEROS.length) {
      this.write(offset + at, ZEROS.subarray(0, Math.min(ZEROS.length, length - at)));
    }
  }

  /** Nothing: the file keeps what it holds. */
  trim(): void {}

  cache(): void {}

  /** Node cannot ask for holes; what is told is which blocks hold nothing but zeros. */
  *allocation(offset: number, length: number): Generator<StoreExtent, void> {
    const stop = Math.min(offset + length, offset + MOST_LOOKED_AT);
    const bytes = new Uint8Array(Math.min(LOOK_BYTES, stop - offset));
    for (let at = offset; at < stop;) {
      const look = bytes.subarray(0, Math.min(bytes.length, stop - at));
      this.read(at, look);
      for (let from = 0; from < look.length; from += BLOCK_BYTES) {
        const block = look.subarray(from, from + BLOCK_BYTES);
        yield { length: block.length, hole: false, zero: isZero(block) };
      }
      at += look.length;
    }
  }

  #persist(stop: number): void {
    if (!this.readOnly) typed(this.#file.path, () => fdatasyncSync(this.#file.fd));
    this.#checkPresent("fdatasync", stop);
  }

  /** Writing beyond the end would make a file of which a part is lost look whole. */
  #checkPresent(syscall: string, stop: number): void {
    const present = presentBytes(this.#file, this.size);
    if (present < stop) this.#cut(syscall, present);
  }

  #cut(syscall: string, present: number): never {
    throw new DaxError("EIO", {
      syscall,
      path: this.#file.path,
      detail: `it ends at ${present} of ${this.size} bytes: it was cut behind our back`,
    });
  }
}

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}
