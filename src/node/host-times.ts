/**
 * Times of files of this machine, to the nanosecond: Node's own calls take seconds as one number,
 * which holds microseconds.
 *
 * @module
 */
import { lutimesSync } from "node:fs";
import type { Timespec } from "../lib/environment.ts";
import { decodeUtf8 } from "../lib/utf8.ts";
import { libc } from "./libc.unsafe.ts";
import { systemError } from "./system-error.ts";

const NUL = Buffer.alloc(1);
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

/** Sets both times; a link's are its own. @throws what utimensat says */
export function setHostTimes(path: Buffer, atime: Timespec, mtime: Timespec): void {
  const c = libc();
  if (c === undefined) {
    lutimesSync(path, seconds(atime), seconds(mtime));
    return;
  }
  const times = Buffer.alloc(32);
  for (const [at, { sec, nsec }] of [
    [0, atime],
    [16, mtime],
  ] as const) {
    times.writeBigInt64LE(BigInt(sec), at);
    times.writeBigInt64LE(BigInt(nsec), at + 8);
  }
  const file = Buffer.concat([path, NUL]);
  if (c.utimensat(AT_FDCWD, file, times, AT_SYMLINK_NOFOLLOW) === 0) return;
  throw systemError(c.errno(), { syscall: "utimensat", path: decodeUtf8(path) });
}

function seconds({ sec, nsec }: Timespec): number {
  return sec + nsec / 1e9;
}
