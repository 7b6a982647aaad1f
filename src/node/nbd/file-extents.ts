/**
 * What a file really holds: data and holes by SEEK_DATA and SEEK_HOLE, and space that was set aside
 * and reads as zeros by FIEMAP, since to the former that is a hole.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { StoreExtent } from "../../nbd/store.ts";
import { SEEK_END } from "../libc.unsafe.ts";
import { systemError } from "../system-error.ts";
import type { DataRun } from "./data-run.ts";
import { type FileCalls, SEEK_DATA, SEEK_HOLE } from "./file-calls.unsafe.ts";
import { reservedExtents } from "./file-reserved.ts";

/** More extents than this are one of data: that is always a safe answer, and time is bounded. */
const MOST_EXTENTS = 4096;
const ENXIO = 6;

/** Of a file or device that is served. */
export interface ServedFile {
  readonly path: string;
  readonly fd: number;
  readonly size: number;
}

/** The bytes that the file has now: others may have cut it, and that is EIO for what is gone. */
export function checkPresent(
  calls: FileCalls,
  { path, fd, size }: ServedFile,
  syscall: string,
  stop: number,
): void {
  const present = calls.lseek(fd, 0, SEEK_END);
  if (present >= stop) return;
  const cut = `the file was cut to ${present} of ${size} bytes behind our back`;
  const detail = present === -1 ? `errno ${calls.errno()}` : cut;
  throw new DaxError("EIO", { syscall, path, detail });
}

/**
 * The runs of a range in order; the last one may reach beyond it. `run`: where data ends is not
 * looked for each time.
 * @throws EIO where the file was cut
 */
export function* fileExtents(
  calls: FileCalls,
  file: ServedFile,
  offset: number,
  length: number,
  run?: DataRun,
): Generator<StoreExtent, void> {
  const stop = offset + length;
  checkPresent(calls, file, "lseek", stop);
  let at = offset;
  for (let count = 0; at < stop && count < MOST_EXTENTS; count++) {
    const data = seek(calls, file, at, SEEK_DATA);
    const hole = data > at;
    const next = Math.min(file.size, hole ? data : stopOfData(calls, file, at, run));
    if (next <= at) break;
    if (hole) yield* reservedExtents(calls, file, at, Math.min(next, stop) - at);
    else yield { length: next - at, hole: false, zero: false };
    at = hole ? Math.min(next, stop) : next;
  }
  if (at < stop) yield { length: stop - at, hole: false, zero: false };
}

function stopOfData(calls: FileCalls, file: ServedFile, at: number, run?: DataRun): number {
  const find = (): number => seek(calls, file, at, SEEK_HOLE);
  return run === undefined ? find() : run.stopAfter(at, find);
}

/** How many bytes from `offset` on, up to `length`, are a hole; 0 for data, or where in doubt. */
export function holeAt(calls: FileCalls, file: ServedFile, offset: number, length: number): number {
  const data = calls.lseek(file.fd, offset, SEEK_DATA);
  if (data !== -1) return Math.min(length, data - offset);
  // No data from here on: all hole, unless the file was cut.
  if (calls.errno() !== ENXIO) return 0;
  return calls.lseek(file.fd, 0, SEEK_END) >= offset + length ? length : 0;
}

/** Where data or a hole begins, at or after `at`: the end where there is none. */
function seek(calls: FileCalls, file: ServedFile, at: number, whence: number): number {
  const found = calls.lseek(file.fd, at, whence);
  if (found !== -1) return found;
  const errno = calls.errno();
  if (errno === ENXIO) return file.size;
  // Devices and file systems that do not tell: everything is data.
  if (errno === 22 || errno === 95) return whence === SEEK_DATA ? at : file.size;
  throw systemError(errno, { syscall: "lseek", path: file.path });
}
