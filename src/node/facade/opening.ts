/**
 * open(2) on a filesystem that is mounted read-only: which error comes first, as the kernel orders
 * them.
 *
 * @module
 */
import { constants } from "node:fs";
import { type ErrnoCode, isDaxError } from "../../lib/errno.ts";
import { isDirectory, isRegular, isSymlink } from "../../vfs/modes.ts";
import type { Location } from "../../vfs/mounts.ts";
import { OpenFile } from "../../vfs/open-file.ts";
import { SYMLINK_MAX } from "../../vfs/path-walk.ts";
import { type Context, refusal } from "./context.ts";
import { type PathArgument, parentOf } from "./paths.ts";

const { O_ACCMODE = 3 } = constants as { O_ACCMODE?: number };
const { O_RDONLY, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW } = constants;

/** The place that open(2) with `flags` opens. @throws what the kernel gives, EROFS for writing */
export function openPlace(context: Context, path: PathArgument, flags: number): Location {
  const fail = (code: ErrnoCode): Error => refusal(code, "open", path);
  const create = (flags & O_CREAT) !== 0;
  const exclusive = create && (flags & O_EXCL) !== 0;
  const follow = (flags & O_NOFOLLOW) === 0 && !exclusive;
  if (create && path.path.endsWith("/")) {
    context.tree.locate(parentOf(path.path), { syscall: "open" });
    throw fail("EISDIR");
  }
  let place: Location;
  try {
    place = context.tree.locate(path.path, { syscall: "open", follow });
  } catch (error) {
    if (!create || !isDaxError(error, "ENOENT") || path.path === "") throw error;
    // The name is free: creating it fails on the way to its directory, or because of the mount.
    locateNewParent(context, path.path);
    throw fail("EROFS");
  }
  if (exclusive) throw fail("EEXIST");
  checkType(place.inode.mode, flags, fail);
  return place;
}

function checkType(mode: number, flags: number, fail: (code: ErrnoCode) => Error): void {
  if (isSymlink(mode)) throw fail("ELOOP");
  const directory = isDirectory(mode);
  const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
  if (directory && (writes || (flags & O_CREAT) !== 0)) throw fail("EISDIR");
  if (!directory && (flags & O_DIRECTORY) !== 0) throw fail("ENOTDIR");
  if (writes && isRegular(mode)) throw fail("EROFS");
  if (!directory && !isRegular(mode)) throw fail("ENXIO");
}

/** Finds the directory in which a free name would be made, dangling links followed. */
function locateNewParent(context: Context, path: string): void {
  const { tree } = context;
  let folder = tree.locate(parentOf(path), { syscall: "open" });
  let name = path.slice(path.lastIndexOf("/") + 1);
  for (let links = 0; links < SYMLINK_MAX; links++) {
    const link = folder.inode.lookup(name);
    if (link === undefined || !isSymlink(link.mode)) return;
    const target = link.readlink();
    folder = tree.locate(parentOf(target), { syscall: "open", from: folder });
    name = target.slice(target.lastIndexOf("/") + 1);
  }
}

/** Opens a file for reading. @throws as {@link openPlace} */
export function openFile(context: Context, path: PathArgument, flags: number): OpenFile {
  return new OpenFile(openPlace(context, path, flags));
}
