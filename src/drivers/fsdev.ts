/**
 * fsdev: device-dax for filesystems. It gives a device of several ranges the operations that a
 * filesystem needs, and no mapping of its own.
 *
 * The first attempt in Linux (an RFC of December 2023) handed out physical addresses, looked up a
 * whole request where its first page was meant, took -1 for an address and counted pages as bytes.
 * Here each range is served as pmem serves its one, and found by its recorded page; a request ends
 * where its range does, and every caller loops.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import {
  type AccessMode,
  type DaxHolder,
  type DaxOperations,
  type DaxSpan,
  PAGE_SIZE,
  type PagePiece,
} from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import type { Media, StitchPiece, Stitched } from "../media/media.ts";
import { rangeAt } from "./dax-ranges.ts";
import type { ServedRange } from "./served-range.ts";

/**
 * How memory of several ranges is shown:
 * - `linear`: each range where it lies; translations end with it;
 * - `stitched`: all ranges mapped behind each other, as vmap does: translations go on across them.
 *   It takes media that can join pieces, which files of the host can.
 */
export type Addressing = "linear" | "stitched";

/** Operations over the ranges of one device. */
export class FsdevOperations implements DaxOperations {
  declare readonly flush?: (pgoff: number, start: number, length: number) => void;
  readonly #ranges: readonly ServedRange[];
  readonly #media: Media;
  readonly #joined: Joined | undefined;

  /**
   * `ranges` are in the order of their pages.
   * @throws EOPNOTSUPP when stitched and the media cannot join them, what the media throws
   */
  constructor(name: string, ranges: readonly ServedRange[], addressing: Addressing = "linear") {
    this.#ranges = ranges;
    this.#media = (ranges[0] as ServedRange).memory.media;
    this.#joined = addressing === "stitched" ? join(name, ranges, this.#media) : undefined;
    if (ranges.some(({ memory }) => memory.hasCache)) {
      this.flush = (pgoff, start, length) => {
        for (const part of this.#parts(pgoff * PAGE_SIZE + start, length)) {
          part.range.operations.flush?.(0, part.at, part.length);
        }
      };
    }
  }

  directAccess(pgoff: number, pages: number, mode: AccessMode): DaxSpan {
    const range = this.#at(pgoff);
    const within = pgoff - range.pgoff;
    // Each range answers for its own pages only.
    const left = range.length / PAGE_SIZE - within;
    const span = range.operations.directAccess(within, pages, mode);
    if (this.#joined === undefined || span.pages < left) return span;
    return this.#acrossRanges(pgoff, pages, span, mode);
  }

  zeroPageRange(pgoff: number, pages: number): void {
    for (const { range, at, length } of this.#parts(pgoff * PAGE_SIZE, pages * PAGE_SIZE)) {
      range.operations.zeroPageRange(at / PAGE_SIZE, length / PAGE_SIZE);
    }
  }

  recoveryWrite(pgoff: number, start: number, source: Uint8Array): number {
    let done = 0;
    for (const { range, at, length } of this.#parts(pgoff * PAGE_SIZE + start, source.length)) {
      const part = source.subarray(done, done + length);
      const written = range.operations.recoveryWrite(0, at, part);
      done += written;
      if (written < length) break;
    }
    return done;
  }

  copyFromIter(pgoff: number, start: number, sources: readonly Uint8Array[]): number {
    let at = pgoff * PAGE_SIZE + start;
    const first = at;
    for (const source of sources) {
      let done = 0;
      for (const part of this.#parts(at, source.length)) {
        const bytes = source.subarray(done, done + part.length);
        done += part.range.operations.copyFromIter(0, part.at, [bytes]);
      }
      at += done;
    }
    return at - first;
  }

  fence(): void {
    this.#media.fence();
  }

  checkFault(): void {
    this.#media.checkFault?.();
  }

  stitch(pieces: readonly PagePiece[], writable: boolean): Stitched | undefined {
    const all: StitchPiece[] = [];
    for (const piece of pieces) {
      if ("hole" in piece) all.push(piece);
      else all.push(...this.#piecesOf(piece.pgoff, piece.pages));
    }
    return this.#media.stitch?.(all, writable);
  }

  /** Ends the joined mapping, if there is one. */
  release(): void {
    this.#joined?.mapping.release();
  }

  *#piecesOf(pgoff: number, pages: number): Generator<StitchPiece> {
    for (const { range, at, length } of this.#parts(pgoff * PAGE_SIZE, pages * PAGE_SIZE)) {
      // Poison is refused here as it is to everybody.
      for (let done = 0; done < length;) {
        const left = (length - done) / PAGE_SIZE;
        const span = range.operations.directAccess((at + done) / PAGE_SIZE, left, "access");
        done += span.pages * PAGE_SIZE;
      }
      yield { start: range.memory.start + at, length };
    }
  }

  /** The same memory in the joined mapping, which goes on where the range ends. */
  #acrossRanges(pgoff: number, pages: number, first: DaxSpan, mode: AccessMode): DaxSpan {
    const { memory } = this.#joined as Joined;
    let found = first.pages;
    while (found < pages && pgoff + found < memory.byteLength / PAGE_SIZE) {
      const range = this.#at(pgoff + found);
      const within = pgoff + found - range.pgoff;
      const left = range.length / PAGE_SIZE - within;
      const poisoned = range.poison.first(within * PAGE_SIZE, left * PAGE_SIZE) !== undefined;
      // What is poisoned answers for itself, when somebody asks there.
      if (poisoned) break;
      const span = range.operations.directAccess(within, Math.min(left, pages - found), mode);
      found += span.pages;
    }
    return { memory, start: pgoff * PAGE_SIZE, pages: found, pfn: first.pfn };
  }

  #at(pgoff: number): ServedRange {
    const range = rangeAt(this.#ranges, pgoff);
    if (range !== undefined) return range;
    throw new DaxError("ERANGE", {
      syscall: "direct_access",
      detail: `page ${pgoff} lies in no range of the device`,
    });
  }

  /** The ranges that bytes lie in, with the bytes in each. @throws ERANGE in a hole */
  *#parts(
    offset: number,
    length: number,
  ): Generator<{ readonly range: ServedRange; readonly at: number; readonly length: number }> {
    for (let done = 0; done < length;) {
      const range = this.#at(Math.floor((offset + done) / PAGE_SIZE));
      const at = offset + done - range.pgoff * PAGE_SIZE;
      const run = Math.min(length - done, range.length - at);
      yield { range, at, length: run };
      done += run;
    }
  }
}

/** All ranges as one run of memory. */
interface Joined {
  readonly mapping: Stitched;
  readonly memory: DataView;
}

function join(name: string, ranges: readonly ServedRange[], media: Media): Joined {
  let pgoff = 0;
  for (const range of ranges) {
    if (range.pgoff !== pgoff) throw noStitch(name, `no range has page ${pgoff}`);
    pgoff += range.length / PAGE_SIZE;
  }
  const pieces = ranges.map(({ memory: { start, length } }) => ({ start, length }));
  const mapping = media.stitch?.(pieces, true);
  if (mapping === undefined) throw noStitch(name, "its media cannot join ranges");
  const { buffer, byteOffset, length } = mapping.bytes;
  return { mapping, memory: new DataView(buffer, byteOffset, length) };
}

function noStitch(name: string, why: string): DaxError {
  return new DaxError("EOPNOTSUPP", {
    syscall: "bind",
    path: name,
    detail: `${why}; use linear addressing, which every caller must be able to follow`,
  });
}

/** A device-dax instance, as far as a filesystem takes one. */
export interface FilesystemDax {
  readonly name: string;
  readonly driver: string | undefined;
  readonly dax: DaxDevice | undefined;
}

/**
 * Takes a device for a filesystem: the holder and what it is told by come together, in one step
 * (`fs_dax_get`).
 * @throws ENODEV for one that no driver serves, EOPNOTSUPP for one that serves no filesystems,
 *   EBUSY when another holder has it
 */
export function fsDaxGet(device: FilesystemDax, holder: DaxHolder): DaxDevice {
  const { name, driver, dax } = device;
  const refuse = (code: "ENODEV" | "EOPNOTSUPP", why: string): never => {
    const detail = `${why}; bind it to fsdev_dax first`;
    throw new DaxError(code, { syscall: "fs_dax_get", path: name, detail });
  };
  if (driver === undefined) return refuse("ENODEV", "no driver serves it");
  if (driver !== "fsdev_dax") return refuse("EOPNOTSUPP", `it is served by ${driver}`);
  if (dax?.alive !== true) return refuse("ENODEV", "it was removed");
  dax.claim(holder);
  return dax;
}

/** Gives a device back; only its own holder can. */
export function fsDaxPut(device: FilesystemDax, holder: DaxHolder): void {
  device.dax?.release(holder);
}
