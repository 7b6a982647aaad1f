/**
 * A mapped file as an export: the kernel copies between sockets and its pages, and what passes
 * through this process is copied by routines that survive a page that is gone. The same object is
 * made in every thread from one {@link StoreShare}.
 *
 * The mapping is the fast way and the descriptor the exact one: where a page cannot be touched, the
 * call is made again by `pread` or `pwrite`, whose errors say why (EIO, ENOSPC).
 *
 * @module
 */
import { assert, DaxError } from "../../lib/errno.ts";
import type {
  DirectMemory,
  NbdStore,
  StoreAbilities,
  StoreBlockSizes,
  StoreExtent,
  ZeroFlags,
} from "../../nbd/store.ts";
import { addressOf, MS_SYNC } from "../libc.unsafe.ts";
import { type CacheControl, cacheControl } from "../machine-code.unsafe.ts";
import type { FileMedia } from "../media-file.ts";
import type { MappedRun, MappedShare, SharedMapping } from "../shares.ts";
import { systemError } from "../system-error.ts";
import { DataRun, shareDataRun } from "./data-run.ts";
import { type FaultSafe, faultSafe, faultSafePage } from "./fault-safe.unsafe.ts";
import { type FileCalls, fileCalls, MADV_WILLNEED } from "./file-calls.unsafe.ts";
import { checkPresent, fileExtents, holeAt } from "./file-extents.ts";
import { punch, zeroRange } from "./file-space.ts";

/** All that a thread needs to serve the store: plain data. */
export interface StoreShare {
  readonly mapped: MappedShare;
  /** Where the routines that survive faults lie; undefined where there are none. */
  readonly faultSafe: number | undefined;
  /** See {@link DataRun}. */
  readonly dataRun: SharedArrayBuffer;
}

const EINTR = 4;
const EFBIG = 27;
const EDQUOT = 122;
/** Smaller arrays move with the heap. */
const SMALLEST_PINNED = 256;
const ZEROS = new Uint8Array(65536);

/** See the module. */
export class MappedStore implements NbdStore {
  readonly size: number;
  readonly readOnly: boolean;
  readonly blockSizes: StoreBlockSizes = { minimum: 1, preferred: 4096 };
  readonly abilities: StoreAbilities;
  readonly direct: DirectMemory;
  /** For another thread's store. */
  readonly share: StoreShare;
  readonly #file: MappedShare;
  readonly #calls: FileCalls;
  readonly #safe: FaultSafe | undefined;
  /** Lines are written back with each write; a flush has nothing left to do then. */
  readonly #lines: CacheControl | undefined;
  readonly #first: MappedRun;
  readonly #dataRun: DataRun;
  /** What was put last, and where it lies: mostly the transport's staging. */
  #source: Uint8Array | undefined;
  #sourceAt = 0;

  constructor(share: StoreShare) {
    const { mapped } = share;
    this.share = share;
    this.#file = mapped;
    this.size = mapped.size;
    this.readOnly = mapped.readOnly;
    const writable = !mapped.readOnly;
    this.abilities = { trim: writable, fastZero: writable, cache: true, multiConnection: true };
    this.#calls = fileCalls();
    this.#safe = share.faultSafe === undefined ? undefined : faultSafe(share.faultSafe);
    this.#lines = mapped.cacheControl === undefined ? undefined : cacheControl();
    const [first] = mapped.runs;
    assert(first !== undefined, "a mapping has at least one run");
    this.#first = first;
    this.#dataRun = new DataRun(share.dataRun);
    this.direct = {
      addressOf: (offset, length) => this.#addressOf(offset, length),
      landed: (offset, length) => this.#written(offset, length),
      put: (offset, bytes, start, length) => this.#put(offset, bytes, start, length),
    };
  }

  read(offset: number, target: Uint8Array): void {
    const address = this.#addressOf(offset, target.length);
    if (address !== 0 && this.#safe?.load(target, address) === true) return;
    for (let done = 0; done < target.length;) {
      const rest = target.subarray(done);
      const got = this.#calls.pread(this.#file.fd, rest, rest.length, offset + done);
      if (got > 0) done += got;
      else if (got === 0) checkPresent(this.#calls, this.#file, "pread", offset + target.length);
      else this.#failed("pread", offset + done);
    }
  }

  write(offset: number, source: Uint8Array): void {
    const address = this.#addressOf(offset, source.length);
    if (address === 0 || this.#safe?.store(address, source) !== true) {
      this.#writeByCall(offset, source);
    }
    this.#written(offset, source.length);
  }

  #put(offset: number, bytes: Uint8Array, start: number, length: number): boolean {
    const address = this.#addressOf(offset, length);
    if (address === 0 || this.#safe === undefined || bytes.length < SMALLEST_PINNED) return false;
    if (bytes !== this.#source) {
      this.#source = bytes;
      this.#sourceAt = addressOf(bytes);
    }
    if (!this.#safe.copy(address, this.#sourceAt + start, length)) return false;
    this.#written(offset, length);
    return true;
  }

  persist(offset: number, length: number): void {
    // Lines left the caches with each write.
    if (this.#file.durability === "msync") this.#msync(offset, length);
    // What was cut off the file is gone, and msync does not say so.
    checkPresent(this.#calls, this.#file, "msync", offset + length);
  }

  flush(): void {
    // Lines left the caches with each write, whichever thread made it; tmpfs keeps nothing.
    if (this.#file.durability === "msync" && !this.readOnly) {
      if (this.#calls.fdatasync(this.#file.fd) === -1) this.#failed("fdatasync", 0);
    }
    checkPresent(this.#calls, this.#file, "fdatasync", this.size);
  }

  writeZeroes(offset: number, length: number, flags: ZeroFlags): void {
    checkPresent(this.#calls, this.#file, "fallocate", offset + length);
    const { fd, kind } = this.#file;
    // A device that cannot unmap zeroes by writing: the kernel does not say that it is slow.
    const quick = kind === "file" || !flags.fast;
    const done =
      (!flags.noHole && punch(this.#calls, fd, offset, length)) ||
      (quick && zeroRange(this.#calls, fd, offset, length));
    if (done) {
      this.#dataRun.forget();
      this.#written(offset, length);
      return;
    }
    if (flags.fast) {
      const detail = "zeroes have to be written here";
      throw new DaxError("ENOTSUP", { syscall: "fallocate", path: this.#file.path, detail });
    }
    for (let at = 0; at < length; at += ZEROS.length) {
      this.write(offset + at, ZEROS.subarray(0, Math.min(ZEROS.length, length - at)));
    }
  }

  trim(offset: number, length: number): void {
    checkPresent(this.#calls, this.#file, "fallocate", offset + length);
    if (!punch(this.#calls, this.#file.fd, offset, length)) return;
    this.#dataRun.forget();
    this.#written(offset, length);
  }

  cache(offset: number, length: number): void {
    this.#runs(offset, length, (address, bytes) => {
      const within = address % this.#file.pageSize;
      // Advice: a refusal is no error.
      this.#calls.madvise(address - within, bytes + within, MADV_WILLNEED);
    });
  }

  allocation(offset: number, length: number): Iterable<StoreExtent> {
    return fileExtents(this.#calls, this.#file, offset, length, this.#dataRun);
  }

  holeAt(offset: number, length: number): number {
    return holeAt(this.#calls, this.#file, offset, length);
  }

  #addressOf(offset: number, length: number): number {
    const { start, length: bytes, address } = this.#first;
    if (offset + length <= bytes) return address + (offset - start);
    const run = this.#runAt(offset);
    const within = offset - run.start;
    return within + length <= run.length ? run.address + within : 0;
  }

  #runAt(offset: number): MappedRun {
    const { runs } = this.#file;
    let low = 0;
    for (let high = runs.length - 1; low < high;) {
      const middle = (low + high + 1) >>> 1;
      if (runs[middle]!.start <= offset) low = middle;
      else high = middle - 1;
    }
    return runs[low]!;
  }

  #runs(offset: number, length: number, each: (address: number, bytes: number) => void): void {
    for (let at = offset; at < offset + length;) {
      const run = this.#runAt(at);
      const bytes = Math.min(offset + length, run.start + run.length) - at;
      each(run.address + (at - run.start), bytes);
      at += bytes;
    }
  }

  /** What follows every write, whoever copied. */
  #written(offset: number, length: number): void {
    if (this.#lines !== undefined) this.#writeBack(offset, length);
  }

  #writeBack(offset: number, length: number): void {
    this.#runs(offset, length, (address, bytes) => {
      if (this.#safe === undefined) {
        this.#lines?.flush(address, bytes);
        this.#lines?.drain();
      } else if (!this.#safe.writeBack(address, bytes)) {
        const detail = `a page at offset ${offset} or after is gone`;
        throw new DaxError("EIO", { syscall: "flush", path: this.#file.path, detail });
      }
    });
  }

  #msync(offset: number, length: number): void {
    this.#runs(offset, length, (address, bytes) => {
      const within = address % this.#file.pageSize;
      if (this.#calls.msync(address - within, bytes + within, MS_SYNC) === -1) {
        this.#failed("msync", offset);
      }
    });
  }

  /** The exact way: says ENOSPC on a full disk, and never makes a file longer that was cut. */
  #writeByCall(offset: number, source: Uint8Array): void {
    checkPresent(this.#calls, this.#file, "pwrite", offset + source.length);
    for (let done = 0; done < source.length;) {
      const rest = source.subarray(done);
      const put = this.#calls.pwrite(this.#file.fd, rest, rest.length, offset + done);
      if (put > 0) done += put;
      else this.#failed("pwrite", offset + done);
    }
    // Metadata of a synchronous mapping is kept by faults on it, not by a call.
    if (this.#lines !== undefined) this.#calls.fdatasync(this.#file.fd);
  }

  /** Throws what the last call failed with; returns when it is to be made again. */
  #failed(syscall: string, offset: number): void {
    const errno = this.#calls.errno();
    if (errno === EINTR) return;
    const context = { syscall, path: this.#file.path, detail: `at offset ${offset}` };
    if (errno === EDQUOT || errno === EFBIG) throw new DaxError("ENOSPC", context);
    throw systemError(errno, context);
  }
}

/** A store in the thread that holds the media. */
export interface OpenStore {
  readonly store: MappedStore;
  /** Gives the mapping back, after every engine that serves it was closed. Idempotent. */
  release(): void;
}

/** Serves a file media by its pages; undefined where it is not mapped. */
export function shareStore(media: FileMedia): OpenStore | undefined {
  const shared: SharedMapping | undefined = media.share?.();
  if (shared === undefined) return undefined;
  const dataRun = shareDataRun();
  const store = new MappedStore({ mapped: shared.share, faultSafe: faultSafePage(), dataRun });
  return { store, release: () => shared.release() };
}
