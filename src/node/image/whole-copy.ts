/**
 * Whole images to and from NBD exports: every byte, holes as holes.
 *
 * @module
 */
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import {
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_WRITE_ZEROES,
  NBD_STATE_ZERO,
} from "../../format/nbd.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { isNbdUri } from "../../nbd/uri.ts";
import { closeUnlocked } from "../file-lock.ts";
import { libc } from "../libc.unsafe.ts";
import { type MediaFile, openMediaFile } from "../media-file.ts";
import { NbdConnection } from "../nbd/client-media.ts";
import { typed } from "../system-error.ts";

/** Bytes read at once. */
const CHUNK_BYTES = 4 * 2 ** 20;
/** Zeros shorter than this are written like other bytes. */
const ZERO_BYTES = 32_768;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;

/** What is told of a copy while it is made. */
export interface WholeCopyOptions {
  /** How far it is, in bytes. */
  readonly onBytes?: (done: number, total: number) => void;
  /** Something that the user should know; the copy is whole all the same. */
  readonly onWarning?: (text: string) => void;
}

/** What was copied, in bytes. */
export interface WholeCopySummary {
  readonly size: number;
  /** Of these, sent or stored as they are. */
  readonly written: number;
  /** Of these, made zeros without sending them. */
  readonly zeroes: number;
}

interface Run {
  readonly start: number;
  readonly length: number;
  /** Reads as zeros. */
  readonly zero: boolean;
}

interface Source {
  readonly size: number;
  /** Reads are multiples of it. */
  readonly blockBytes: number;
  /** In order, and all of it. */
  runs(): Iterable<Run>;
  read(offset: number, target: Uint8Array): void;
  close(): void;
}

interface Target {
  /** Writes are multiples of it, but for the last. */
  readonly blockBytes: number;
  write(offset: number, source: Uint8Array): void;
  zero(offset: number, length: number): void;
  /** All of it is there, and durable where the target can promise that. */
  finish(): void;
  /** After `finish`, or instead of it. */
  close(whole: boolean): void;
}

/**
 * Copies a whole image: a file, a block device or an export, to an export or to a new file.
 * @throws ENOSPC for an export that is too small and EROFS for one that is read-only, before
 *   anything is written; EEXIST for a file that is there; EIO and what else either side says. A
 *   file that was not completed is removed
 */
export function copyWhole(
  from: string,
  to: string,
  options: WholeCopyOptions = {},
): WholeCopySummary {
  const source = isNbdUri(from) ? new ExportSource(from) : new FileSource(from);
  try {
    const target = isNbdUri(to)
      ? new ExportTarget(to, source.size, options)
      : new FileTarget(to, source.size);
    let whole = false;
    try {
      const summary = copy(source, target, options);
      target.finish();
      whole = true;
      return summary;
    } finally {
      target.close(whole);
    }
  } finally {
    source.close();
  }
}

function copy(source: Source, target: Target, options: WholeCopyOptions): WholeCopySummary {
  const { size } = source;
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, size));
  const granule = Math.max(ZERO_BYTES, source.blockBytes, target.blockBytes);
  let zeroes = 0;
  for (const run of chunks(aligned(source.runs(), granule, size))) {
    const bytes = buffer.subarray(0, run.zero ? 0 : run.length);
    if (!run.zero) source.read(run.start, bytes);
    for (const piece of run.zero ? [run] : zeroRuns(bytes, run.start, granule)) {
      if (piece.zero) {
        target.zero(piece.start, piece.length);
        zeroes += piece.length;
      } else {
        const at = piece.start - run.start;
        target.write(piece.start, bytes.subarray(at, at + piece.length));
      }
    }
    options.onBytes?.(run.start + run.length, size);
  }
  return { size, written: size - zeroes, zeroes };
}

/** Runs that start and end on granules: what shares one with data is data. */
function* aligned(runs: Iterable<Run>, granule: number, size: number): Generator<Run, void> {
  let at = 0;
  for (const { start, length, zero } of runs) {
    if (!zero) continue;
    const from = Math.max(at, Math.ceil(start / granule) * granule);
    const stop = start + length;
    const to = stop === size ? stop : Math.floor(stop / granule) * granule;
    if (to <= from) continue;
    if (from > at) yield { start: at, length: from - at, zero: false };
    yield { start: from, length: to - from, zero: true };
    at = to;
  }
  if (at < size) yield { start: at, length: size - at, zero: false };
}

/** Data in pieces that fit the buffer. */
function* chunks(runs: Iterable<Run>): Generator<Run, void> {
  for (const run of runs) {
    const piece = run.zero ? run.length : CHUNK_BYTES;
    for (let done = 0; done < run.length; done += piece) {
      const length = Math.min(piece, run.length - done);
      yield { start: run.start + done, length, zero: run.zero };
    }
  }
}

function* zeroRuns(bytes: Uint8Array, start: number, granule: number): Generator<Run, void> {
  let from = 0;
  let zero: boolean | undefined;
  for (let at = 0; at < bytes.length; at += granule) {
    const now = isZero(bytes.subarray(at, at + granule));
    if (zero !== undefined && now !== zero) {
      yield { start: start + from, length: at - from, zero };
      from = at;
    }
    zero = now;
  }
  yield { start: start + from, length: bytes.length - from, zero: zero ?? false };
}

const ZEROS = Buffer.alloc(65_536);

function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0) return false;
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

/** A file of this machine, or a block device. */
export class FileSource implements Source {
  readonly blockBytes = 1;
  readonly #file: MediaFile;

  constructor(path: string) {
    this.#file = openMediaFile(path, { readOnly: true });
  }

  get size(): number {
    return this.#file.size;
  }

  *runs(): Generator<Run, void> {
    const { fd, size } = this.#file;
    const c = libc();
    for (let at = 0; at < size;) {
      // A failure is the end of the data, or a file system without holes: then all of it is data.
      const found = c === undefined ? at : c.lseek(fd, at, SEEK_DATA);
      const data = found >= 0 ? found : c?.errno() === ENXIO ? size : at;
      if (data > at) yield { start: at, length: Math.min(data, size) - at, zero: true };
      const end = c === undefined || found < 0 ? size : c.lseek(fd, data, SEEK_HOLE);
      const stop = end > data ? Math.min(end, size) : size;
      if (data < size) yield { start: data, length: stop - data, zero: false };
      at = Math.max(stop, data);
    }
  }

  read(offset: number, target: Uint8Array): void {
    const { fd, path } = this.#file;
    for (let done = 0; done < target.length;) {
      const count = typed(path, () =>
        readSync(fd, target, done, target.length - done, offset + done),
      );
      if (count === 0) {
        const detail = `it ends at ${offset + done} now: it was cut while it was copied`;
        throw new DaxError("EIO", { syscall: "read", path, detail });
      }
      done += count;
    }
  }

  close(): void {
    closeUnlocked(this.#file.fd);
  }
}

class ExportSource implements Source {
  readonly size: number;
  readonly blockBytes: number;
  readonly #connection: NbdConnection;

  constructor(uri: string) {
    this.#connection = NbdConnection.open(uri);
    const { size, blockSizes } = this.#connection.client.agreement;
    this.size = size;
    this.blockBytes = blockSizes.minimum;
    if (this.#connection.size === size) return;
    this.#connection.close();
    throw new DaxError("EINVAL", {
      syscall: "read",
      path: uri,
      detail: `its last bytes cannot be asked for: ${size} is no multiple of ${blockSizes.minimum}`,
    });
  }

  *runs(): Generator<Run, void> {
    const { client } = this.#connection;
    const known = [...client.agreement.contexts.values()].includes("base:allocation");
    for (let at = 0; at < this.size;) {
      const extents = known
        ? this.#connection.hold(client.blockStatus(at, this.size - at)).get("base:allocation")
        : undefined;
      if (extents === undefined) {
        yield { start: at, length: this.size - at, zero: false };
        return;
      }
      for (const { length, flags } of extents) {
        const run = Math.min(length, this.size - at);
        if (run > 0) yield { start: at, length: run, zero: (flags & NBD_STATE_ZERO) !== 0 };
        at += run;
      }
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#connection.hold(this.#connection.client.read(offset, target));
  }

  close(): void {
    this.#connection.close();
  }
}

class ExportTarget implements Target {
  readonly #connection: NbdConnection;

  /** @throws EROFS, ENOSPC */
  constructor(uri: string, size: number, { onWarning }: WholeCopyOptions) {
    this.#connection = NbdConnection.open(uri, {}, { contexts: [] });
    const { readOnly } = this.#connection.client;
    const room = this.#connection.size;
    if (!readOnly && room >= size) {
      const rest = room - size;
      if (rest > 0) onWarning?.(`${uri}: ${rest} bytes behind the image keep what they hold`);
      return;
    }
    this.#connection.close();
    throw new DaxError(readOnly ? "EROFS" : "ENOSPC", {
      syscall: "write",
      path: uri,
      detail: readOnly
        ? "the server exports it read-only; nothing was written"
        : `it has ${room} bytes and the image ${size}; nothing was written`,
    });
  }

  get blockBytes(): number {
    return this.#connection.client.agreement.blockSizes.minimum;
  }

  write(offset: number, source: Uint8Array): void {
    const { client } = this.#connection;
    const rest = source.length % this.blockBytes;
    const whole = source.length - rest;
    if (whole > 0) this.#connection.hold(client.write(offset, source.subarray(0, whole)));
    if (rest === 0) return;
    // The image ends inside a block: the rest of the block stays what it is.
    const block = new Uint8Array(this.blockBytes);
    this.#connection.hold(client.read(offset + whole, block));
    block.set(source.subarray(whole));
    this.#connection.hold(client.write(offset + whole, block));
  }

  zero(offset: number, length: number): void {
    const { client } = this.#connection;
    const rest = length % this.blockBytes;
    const whole = length - rest;
    if (!client.has(NBD_FLAG_SEND_WRITE_ZEROES)) this.#writeZeros(offset, whole);
    else if (whole > 0) this.#writeZeroes(offset, whole);
    if (rest > 0) this.write(offset + whole, new Uint8Array(rest));
  }

  finish(): void {
    const { client } = this.#connection;
    if (client.has(NBD_FLAG_SEND_FLUSH)) this.#connection.hold(client.flush());
  }

  close(): void {
    this.#connection.close();
  }

  #writeZeroes(offset: number, length: number): void {
    const { client } = this.#connection;
    try {
      this.#connection.hold(client.writeZeroes(offset, length));
    } catch (error) {
      // A server may find a long range too much for it; what it did of it is done again.
      if (!isDaxError(error, "EINVAL", "EOVERFLOW", "ENOTSUP", "ENOMEM")) throw error;
      this.#writeZeros(offset, length);
    }
  }

  #writeZeros(offset: number, length: number): void {
    const zeros = new Uint8Array(Math.min(length, CHUNK_BYTES));
    for (let done = 0; done < length; done += zeros.length) {
      const part = zeros.subarray(0, Math.min(zeros.length, length - done));
      this.#connection.hold(this.#connection.client.write(offset + done, part));
    }
  }
}

class FileTarget implements Target {
  readonly blockBytes = 1;
  readonly #path: string;
  readonly #fd: number;

  /** @throws EEXIST for what is there already, ENOSPC, EFBIG */
  constructor(path: string, size: number) {
    this.#path = path;
    this.#fd = typed(path, () => openSync(path, "wx", 0o666));
    try {
      typed(path, () => ftruncateSync(this.#fd, size));
    } catch (error) {
      this.close(false);
      throw error;
    }
  }

  write(offset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length;) {
      done += typed(this.#path, () =>
        writeSync(this.#fd, source, done, source.length - done, offset + done),
      );
    }
  }

  /** A new file is zeros. */
  zero(): void {}

  finish(): void {}

  close(whole: boolean): void {
    typed(this.#path, () => closeSync(this.#fd));
    // Half a copy would pass for a whole one: it has the size already.
    if (!whole) unlinkSync(this.#path);
  }
}
