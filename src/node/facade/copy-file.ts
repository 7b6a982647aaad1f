/**
 * `copyFile`: one file's bytes and mode into another, as libuv copies.
 *
 * @module
 */
import { constants } from "node:fs";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import { isSameFile } from "../../vfs/watches.ts";
import { type Context, onPaths } from "./context.ts";
import { type Operation, operation } from "./operation.ts";
import { pathOf } from "./paths.ts";

const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
/** Bytes that are copied at once. */
const PIECE = 2 ** 20;

/** COPYFILE_*; Node's own words for what is none. */
export function copyModeOf(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number") {
    const error = new TypeError("mode must be int32 or null/undefined");
    throw Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" });
  }
  const mode = Math.trunc(value);
  if (mode >= 0 && mode <= 7) return mode;
  const error = new RangeError("mode is out of range: >= 0 && <= 7");
  throw Object.assign(error, { code: "ERR_OUT_OF_RANGE" });
}

/** Copies what has data; what is a hole in the source becomes one, or zeros at the end. */
function copyBytes(source: OpenFile, target: OpenFile): void {
  const { size } = source.inode;
  const piece = new Uint8Array(Math.min(PIECE, Math.max(size, 1)));
  for (let at = 0; at < size;) {
    const start = nextData(source, at);
    if (start === undefined) break;
    const count = source.pread(piece, start);
    if (count === 0) break;
    for (let done = 0; done < count;) {
      done += target.pwrite(piece.subarray(done, count), start + done);
    }
    at = start + count;
  }
  if (target.inode.size < size) target.truncate(size);
}

function nextData(source: OpenFile, at: number): number | undefined {
  try {
    return source.seek(at, "data");
  } catch (error) {
    if (isDaxError(error, "ENXIO")) return undefined;
    throw error;
  }
}

function fill(source: OpenFile, target: OpenFile, flags: number): void {
  target.change({ mode: source.inode.mode & 0o7777 });
  // ext shares no blocks between files.
  if ((flags & COPYFILE_FICLONE_FORCE) !== 0) throw new DaxError("ENOTSUP");
  if (target.inode.size > 0) target.truncate(0);
  if (source.isDirectory) throw new DaxError("EISDIR", { syscall: "copyfile" });
  copyBytes(source, target);
}

/** Copies a file; what could not be copied whole is removed. @throws as the kernel */
export function copyFileAt(context: Context, from: string, to: string, flags: number): void {
  const { tree } = context;
  const how = context.by("copyfile");
  const source = tree.open(from, how);
  try {
    const mode = source.inode.mode & 0o7777;
    const making = { create: true, exclusive: (flags & COPYFILE_EXCL) !== 0, mode };
    const { umask } = context;
    const target = tree.open(to, { access: "write", ...making, umask, ...how });
    try {
      if (isSameFile(source.inode, target.inode)) return;
      try {
        fill(source, target, flags);
      } catch (error) {
        tree.unlink(to, how);
        throw error;
      }
    } finally {
      target.close();
    }
  } finally {
    source.close();
  }
}

/** `copyFile`. */
export const copyFile: Operation = operation((context, [source, destination, mode]) => {
  const from = pathOf(source, "src");
  const to = pathOf(destination, "dest");
  const flags = copyModeOf(mode);
  return () => onPaths(from, to, "copyfile", () => copyFileAt(context, from.path, to.path, flags));
});
