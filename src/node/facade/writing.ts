/**
 * Operations that would write: the filesystem is mounted read-only, so each fails, with the error
 * that the kernel gives first: what is wrong with the path before EROFS.
 *
 * @module
 */
import { constants } from "node:fs";
import { type ErrnoCode, isDaxError } from "../../lib/errno.ts";
import { isDirectory, isRegular } from "../../vfs/modes.ts";
import type { Location } from "../../vfs/mounts.ts";
import {
  checkBoolean,
  checkDescriptor,
  checkInteger,
  flagsOf,
  invalidType,
  invalidValue,
  isView,
  modeOf,
  optionsOf,
} from "./arguments.ts";
import { type Context, onPath, refusal } from "./context.ts";
import { openFile } from "./opening.ts";
import { type Operation, type OperationTable, operation } from "./operation.ts";
import { type PathArgument, parentOf, pathOf } from "./paths.ts";

const { O_RDWR } = constants;

/** A call that changes what a path names; the path must name something. */
function changes(
  syscall: string,
  follow: boolean,
  check: (args: readonly unknown[]) => void,
): Operation {
  return operation((context, args) => {
    const path = pathOf(args[0]);
    check(args);
    return () => onPath(path, syscall, () => refuseChange(context, path, syscall, follow));
  });
}

function refuseChange(
  context: Context,
  path: PathArgument,
  syscall: string,
  follow: boolean,
): never {
  context.tree.locate(path.path, { syscall, follow });
  throw refusal("EROFS", syscall, path);
}

/** A call on an open descriptor, which was opened for reading as all are. */
function onDescriptor(
  syscall: string,
  code: ErrnoCode | undefined,
  check: (args: readonly unknown[]) => void = ignore,
): Operation {
  return operation((context, args) => {
    const fd = checkDescriptor(args[0]);
    check(args);
    return () => {
      context.file(fd, syscall);
      if (code !== undefined) throw refusal(code, syscall);
    };
  });
}

function ignore(): void {}

/** Where a name would be made or removed: its directory must be there, and be one. */
function locateParent(context: Context, path: PathArgument, syscall: string): Location {
  if (path.path === "") throw refusal("ENOENT", syscall, path);
  return onPath(path, syscall, () => {
    const parent = context.tree.locate(parentOf(path.path), { syscall });
    if (!isDirectory(parent.inode.mode)) throw refusal("ENOTDIR", syscall, path);
    return parent;
  });
}

/** mkdir, symlink, link: EEXIST wins over EROFS, and a slash asks for a directory. */
function refuseNew(context: Context, path: PathArgument, syscall: string): never {
  const parent = locateParent(context, path, syscall);
  const odd = oddLast(path.path);
  const name = path.path.replace(/\/+$/u, "").split("/").at(-1) as string;
  const taken =
    odd !== undefined || onPath(path, syscall, () => isTaken(context, parent, name, syscall));
  if (taken) throw refusal("EEXIST", syscall, path);
  const directory = path.path.endsWith("/") && syscall !== "mkdir";
  throw refusal(directory ? "ENOENT" : "EROFS", syscall, path);
}

function isTaken(context: Context, from: Location, name: string, syscall: string): boolean {
  try {
    context.tree.locate(name, { syscall, follow: false, from });
    return true;
  } catch (error) {
    if (isDaxError(error, "ENOENT")) return false;
    throw error;
  }
}

/** The last part of a path when it is no name that could be removed. */
function oddLast(path: string): "" | "." | ".." | undefined {
  const last = path.replace(/\/+$/u, "").split("/").at(-1);
  return last === "" || last === "." || last === ".." ? last : undefined;
}

function refuseUnlink(context: Context, path: PathArgument): never {
  locateParent(context, path, "unlink");
  throw refusal(oddLast(path.path) === undefined ? "EROFS" : "EISDIR", "unlink", path);
}

function refuseRmdir(context: Context, path: PathArgument): never {
  locateParent(context, path, "rmdir");
  const codes = { "": "EBUSY", ".": "EINVAL", "..": "ENOTEMPTY" } as const;
  const odd = oddLast(path.path);
  throw refusal(odd === undefined ? "EROFS" : codes[odd], "rmdir", path);
}

function refuseMkdirs(context: Context, path: PathArgument): undefined {
  try {
    const { mode } = context.tree.stat(path.path, { syscall: "mkdir" });
    if (isDirectory(mode)) return undefined;
  } catch (error) {
    if (isDaxError(error, "ENOENT") && path.path !== "") throw refusal("EROFS", "mkdir", path);
    throw error;
  }
  throw refusal("EEXIST", "mkdir", path);
}

function refuseRm(context: Context, path: PathArgument, force: boolean, recursive: boolean): void {
  let mode: number;
  try {
    ({ mode } = context.tree.lstat(path.path, { syscall: "lstat" }));
  } catch (error) {
    if (force && isDaxError(error, "ENOENT")) return;
    throw error;
  }
  if (isDirectory(mode) && !recursive) {
    const message = `Path is a directory: rm returned EISDIR (is a directory) ${path.shown}`;
    throw Object.assign(new Error(message), {
      name: "SystemError",
      code: "ERR_FS_EISDIR",
      errno: 21,
      syscall: "rm",
      path: path.shown,
    });
  }
  throw refusal("EROFS", isDirectory(mode) ? "rmdir" : "unlink", path);
}

function refuseTwo(
  context: Context,
  syscall: string,
  from: PathArgument,
  to: PathArgument,
  check: (context: Context) => void,
): never {
  try {
    check(context);
  } catch (error) {
    if (isDaxError(error)) throw refusal(error.code, syscall, from, to);
    throw error;
  }
  throw refusal("EROFS", syscall, from, to);
}

function checkTimes([, atime, mtime]: readonly unknown[]): void {
  for (const time of [atime, mtime]) {
    const seconds = time instanceof Date ? time.getTime() : Number(time);
    if (Number.isNaN(seconds) || time === null || time === undefined) {
      throw invalidType("time", "of type number or an instance of Date", time);
    }
  }
}

function checkOwners([, uid, gid]: readonly unknown[]): void {
  checkInteger(uid, "uid", -1, 2 ** 32 - 1);
  checkInteger(gid, "gid", -1, 2 ** 32 - 1);
}

function checkMode([, mode]: readonly unknown[]): void {
  modeOf(mode);
}

/** writeFile and appendFile: they open first, and a descriptor is not open for writing. */
function writesFile(flag: string): Operation {
  const prepare: Operation["prepare"] = (context, [target, data, given]) => {
    const options = optionsOf(given);
    const flags = flagsOf(options.flag ?? flag);
    if (!isView(data) && typeof data !== "string") {
      throw invalidType(
        "data",
        "of type string or an instance of Buffer, TypedArray, or DataView",
        data,
      );
    }
    if (typeof target === "number") {
      const fd = checkDescriptor(target);
      return () => {
        context.file(fd, "write");
        throw refusal("EBADF", "write");
      };
    }
    const path = pathOf(target);
    return () => {
      onPath(path, "open", () => openFile(context, path, flags).close());
      throw refusal("EBADF", "write");
    };
  };
  return { onDescriptorToo: true, prepare };
}

const mkdir = operation((context, [value, given]) => {
  const options = typeof given === "object" && given !== null ? optionsOf(given) : {};
  const path = pathOf(value);
  const recursive = checkBoolean(options.recursive ?? false, "options.recursive");
  modeOf(typeof given === "object" ? options.mode : given, "mode", 0o777);
  return () => (recursive ? refuseMkdirs(context, path) : refuseNew(context, path, "mkdir"));
});

const copyFile = operation((context, [source, target]) => {
  const from = pathOf(source, "src");
  const to = pathOf(target, "dest");
  return () =>
    refuseTwo(context, "copyfile", from, to, () => {
      const { mode } = context.tree.stat(from.path);
      if (!isRegular(mode) && !isDirectory(mode)) throw refusal("ENXIO", "copyfile");
      openFile(context, to, constants.O_WRONLY | constants.O_CREAT).close();
    });
});

const rename = operation((context, [source, target]) => {
  const from = pathOf(source, "oldPath");
  const to = pathOf(target, "newPath");
  return () =>
    refuseTwo(context, "rename", from, to, () => {
      const [old, next] = [from, to].map((path) => locateParent(context, path, "rename").mount);
      if (old !== next) throw refusal("EXDEV", "rename");
      const odd = [from, to].some(({ path }) => oddLast(path) !== undefined);
      if (odd) throw refusal("EBUSY", "rename");
    });
});

const link = operation((context, [source, target]) => {
  const from = pathOf(source, "existingPath");
  const to = pathOf(target, "newPath");
  return () =>
    refuseTwo(context, "link", from, to, () => {
      context.tree.lstat(from.path);
      refuseNew(context, to, "link");
    });
});

const symlink = operation((context, [value, where]) => {
  const target = pathOf(value, "target");
  const path = pathOf(where);
  return () =>
    refuseTwo(context, "symlink", target, path, () => {
      if (target.path === "") throw refusal("ENOENT", "symlink");
      refuseNew(context, path, "symlink");
    });
});

const mkdtemp = operation((context, [value]) => {
  const prefix = pathOf(value, "prefix");
  const tail = "X".repeat(6);
  const path = { ...prefix, path: prefix.path + tail, shown: prefix.shown + tail };
  return () => {
    locateParent(context, path, "mkdtemp");
    throw refusal("EROFS", "mkdtemp", path);
  };
});

/** truncate(path) is Node's own open for writing and a call on the descriptor. */
const truncate = operation((context, [value]) => {
  const path = pathOf(value);
  return () =>
    onPath(path, "open", () => {
      openFile(context, path, O_RDWR).close();
      throw refusal("EROFS", "open", path);
    });
});

const rm = operation((context, [value, given]) => {
  const path = pathOf(value);
  const { force, recursive } = optionsOf(given);
  return () => refuseRm(context, path, force === true, recursive === true);
});

const cp = operation((context, [source, target]) => {
  const from = pathOf(source, "src");
  const to = pathOf(target, "dest");
  return () => {
    onPath(from, "lstat", () => context.tree.lstat(from.path));
    throw refusal("EROFS", "cp", to);
  };
});

function checkLength([, length]: readonly unknown[]): void {
  if (length !== undefined && length !== null) checkInteger(length, "len");
}

function checkData([, data]: readonly unknown[]): void {
  if (typeof data !== "string" && !isView(data)) {
    const expected = "of type string or an instance of Buffer, TypedArray, or DataView";
    throw invalidType("buffer", expected, data);
  }
}

function checkVector([, list]: readonly unknown[]): void {
  if (Array.isArray(list) && list.every(isView)) return;
  throw invalidValue("buffers", list, "must be an array of ArrayBufferViews");
}

/** What writes, and is refused. */
export const WRITING: OperationTable = {
  appendFile: writesFile("a"),
  chmod: changes("chmod", true, checkMode),
  chown: changes("chown", true, checkOwners),
  copyFile,
  cp,
  fchmod: onDescriptor("fchmod", "EROFS", checkMode),
  fchown: onDescriptor("fchown", "EROFS", checkOwners),
  fdatasync: onDescriptor("fdatasync", undefined),
  fsync: onDescriptor("fsync", undefined),
  ftruncate: onDescriptor("ftruncate", "EINVAL", checkLength),
  futimes: onDescriptor("futime", "EROFS", checkTimes),
  lchown: changes("lchown", false, checkOwners),
  link,
  lutimes: changes("lutime", false, checkTimes),
  mkdir,
  mkdtemp,
  rename,
  rm,
  rmdir: operation((context, [value]) => {
    const path = pathOf(value);
    return () => refuseRmdir(context, path);
  }),
  symlink,
  truncate,
  unlink: operation((context, [value]) => {
    const path = pathOf(value);
    return () => refuseUnlink(context, path);
  }),
  utimes: changes("utime", true, checkTimes),
  write: onDescriptor("write", "EBADF", checkData),
  writeFile: writesFile("w"),
  writev: onDescriptor("write", "EBADF", checkVector),
};
