/**
 * Holes in place of blocks that hold zeros: what `fallocate -d` does.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { OpenFile } from "../vfs/open-file.ts";

/** Holes are looked for in these units, or in blocks where they are larger. */
const UNIT = 4096;
const PIECE = 1 << 20;

/** A run of zeros. */
interface Zeros {
  start: number;
  stop: number;
}

/** Punches holes into the data of a range; returns how many bytes they are long. @throws EIO */
export function digHoles(file: OpenFile, start: number, length: number): number {
  const unit = Math.max(UNIT, file.inode.filesystem.statfs().blockSize);
  const stop = Math.min(file.inode.size, start + length);
  const buffer = new Uint8Array(Math.max(PIECE, unit));
  const run: Zeros = { start: 0, stop: 0 };
  let dug = 0;
  for (let at = Math.ceil(start / unit) * unit; at < stop;) {
    const data = dataFrom(file, at);
    if (data === undefined || data >= stop) break;
    at = data - (data % unit);
    const count = file.pread(buffer, at);
    if (count === 0) break;
    for (let from = 0; from < count; from += unit) {
      const block = buffer.subarray(from, Math.min(count, from + unit));
      // The end of the file cuts its last block, that of the range takes part of none.
      const whole = at + from + unit <= stop || stop === file.inode.size;
      if (!whole || block.some((byte) => byte !== 0)) continue;
      if (run.stop !== at + from) dug += punch(file, run, at + from);
      run.stop = at + from + unit;
    }
    at += Math.ceil(count / unit) * unit;
  }
  return dug + punch(file, run, 0);
}

/** Ends a run, and starts another. */
function punch(file: OpenFile, run: Zeros, next: number): number {
  const { start, stop } = run;
  run.start = next;
  if (stop <= start) return 0;
  file.fallocate("punch", start, stop - start, true);
  return Math.min(stop, file.inode.size) - start;
}

function dataFrom(file: OpenFile, at: number): number | undefined {
  try {
    return file.seek(at, "data");
  } catch (error) {
    if (isDaxError(error, "ENXIO")) return undefined;
    throw error;
  }
}
