/**
 * Views of an open file: its bytes as they lie in the media, without a copy, and what was learnt of
 * where they lie.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { daxRead } from "../dax/file-io.ts";
import { DaxError } from "../lib/errno.ts";
import { aliasOf, isPlain } from "../lib/memory.ts";
import { type FileRun, runsOf } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";
import { makePages } from "./mapped-pages.ts";
import { RunIndex } from "./run-index.ts";

/** Holes have no media to show: their views are private zeros, at most so many bytes at once. */
const HOLE_VIEW_BYTES = 65_536;

/** What was translated of one file; forgotten when the file's bytes may lie elsewhere. */
export class FileViews {
  readonly #inode: Inode;
  /** Whether what is shown may be stored to. */
  readonly #writable: boolean;
  readonly #runs = new RunIndex();
  /** What the inode said of its mapping when this was learnt. */
  #generation: number | undefined;
  #viewed = false;
  // The run that the last view was in, as plain memory: file bytes [from, to) lie at `base`.
  #buffer: ArrayBufferLike | undefined;
  #device: DaxDevice | undefined;
  #from = 0;
  #to = 0;
  #base = 0;

  constructor(inode: Inode, writable = false) {
    this.#inode = inode;
    this.#writable = writable;
    this.#generation = inode.mapGeneration;
  }

  /** Whether memory of the media was handed out, which cannot be taken back. */
  get handedOut(): boolean {
    return this.#viewed;
  }

  /** The bytes where the last view was, or nothing when they have to be looked for. */
  again(offset: number, length: number): Uint8Array | undefined {
    const last = offset + length;
    if (
      offset >= this.#from &&
      last <= this.#to &&
      length >= 0 &&
      this.#device?.alive === true &&
      this.#generation === this.#inode.mapGeneration &&
      last <= this.#inode.size
    ) {
      const at = this.#base + (offset - this.#from);
      return new Uint8Array(this.#buffer as ArrayBufferLike, at, length);
    }
    return undefined;
  }

  /** The bytes from `offset`, as many as are contiguous. @throws EHWPOISON, ENXIO, EUCLEAN */
  at(offset: number, length: number): Uint8Array {
    const { size, mapGeneration } = this.#inode;
    if (this.#device?.alive === false || this.#generation !== mapGeneration) this.forget();
    this.#generation = mapGeneration;
    if (length === 0 || offset >= size) return new Uint8Array(0);
    const run = this.#runs.find(offset) ?? this.#translate(offset);
    return this.#show(run, offset, Math.min(length, size - offset));
  }

  /** Forgets everything. */
  forget(): void {
    this.#runs.clear();
    this.#buffer = undefined;
    this.#device = undefined;
    this.#to = 0;
  }

  /** Translates the whole run that holds `offset`, not just what was asked: more will be asked. */
  #translate(offset: number): FileRun {
    const inode = this.#inode;
    const map = inode.iomapBegin(offset, inode.size - offset, "report");
    for (const start of [map.offset, offset]) {
      const [run] = runsOf(inode, start, inode.size - start);
      // A short translation, or poison, may stop in front of what was asked.
      if (run === undefined || run.offset + run.length <= offset) continue;
      if (run.memory !== undefined) {
        // Only the filesystem knows that these blocks are a file's, and none of its own.
        if (this.#writable) makePages(inode, run.offset, run.length);
        this.#runs.add(run);
      }
      return run;
    }
    throw new DaxError("EUCLEAN", { syscall: "mmap" });
  }

  #show(run: FileRun, offset: number, asked: number): Uint8Array {
    const within = offset - run.offset;
    const length = Math.min(asked, run.length - within);
    const { absence, memory, start } = run;
    if (memory === undefined) {
      if (absence?.code === "EHWPOISON") throw absence;
      const copy = new Uint8Array(Math.min(length, HOLE_VIEW_BYTES));
      return copy.subarray(0, daxRead(this.#inode, copy, offset));
    }
    this.#viewed = true;
    if (!isPlain(memory)) return aliasOf(memory, start + within, length);
    this.#buffer = memory.buffer;
    this.#base = memory.byteOffset + start;
    this.#from = run.offset;
    this.#to = run.offset + run.length;
    this.#device = run.device;
    return new Uint8Array(memory.buffer, this.#base + within, length);
  }
}
