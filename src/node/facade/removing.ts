/**
 * `rm` and `rmdir`: Node's own walk over what is to go, above unlink(2) and rmdir(2).
 *
 * @module
 */
import { Errno, isDaxError } from "../../lib/errno.ts";
import { isDirectory } from "../../vfs/modes.ts";
import { compareNames } from "../../vfs/names.ts";
import { checkBoolean, checkInteger, invalidType, systemErrorOf } from "./arguments.ts";
import { type Context, onPath } from "./context.ts";
import { type Flavour, type OperationTable, operation } from "./operation.ts";
import { type PathArgument, pathOf, shownPath } from "./paths.ts";

/** What says that a directory has to be emptied first. */
const NOT_EMPTY = ["ENOTEMPTY", "EEXIST", "EPERM"] as const;

/** How to remove, checked. */
interface RemoveOptions {
  readonly recursive: boolean;
  readonly force: boolean;
}

/**
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; `retryDelay` and `maxRetries` are looked at and
 *   mean nothing: a call is one turn of the event loop, in which nobody else lets go of anything
 */
function removeOptions(given: unknown, forced: boolean): RemoveOptions {
  if (given === undefined) return { recursive: false, force: false };
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw invalidType("options", "of type object", given);
  }
  const { recursive = false, retryDelay = 100, maxRetries = 0, force = false } = given as Given;
  const deep = checkBoolean(recursive, "options.recursive");
  checkInteger(retryDelay, "options.retryDelay", 0, 2 ** 31 - 1);
  checkInteger(maxRetries, "options.maxRetries", 0, 2 ** 32 - 1);
  return { recursive: deep, force: forced && checkBoolean(force, "options.force") };
}

type Given = Readonly<Record<"recursive" | "retryDelay" | "maxRetries" | "force", unknown>>;

function named(path: string): PathArgument {
  return { path, shown: shownPath(path), bytes: false };
}

function rmdir(context: Context, path: PathArgument): void {
  onPath(path, "rmdir", () => context.tree.rmdir(path.path, context.by("rmdir")));
}

/** Removes a directory and all that is in it. */
function removeTree(context: Context, path: PathArgument): void {
  try {
    rmdir(context, path);
    return;
  } catch (error) {
    if (!isDaxError(error, ...NOT_EMPTY)) throw error;
  }
  const entries = onPath(path, "scandir", () => [
    ...context.tree.readdir(path.path, "scandir", context.by("scandir")),
  ]);
  // In Node's order, which shows where the path leads through what is being removed.
  const sorted = entries.toSorted((a, b) => compareNames(a.name, b.name));
  for (const { name } of sorted) removeAny(context, named(`${path.path}/${name}`));
  rmdir(context, path);
}

/** Removes whatever a path names; what is gone already is no error. */
function removeAny(context: Context, path: PathArgument): void {
  try {
    if (isDirectoryThere(context, path)) removeTree(context, path);
    else onPath(path, "unlink", () => context.tree.unlink(path.path, context.by("unlink")));
  } catch (error) {
    if (!isDaxError(error, "ENOENT")) throw error;
  }
}

/** What cannot be looked at is left to unlink(2) to refuse. */
function isDirectoryThere(context: Context, { path }: PathArgument): boolean {
  try {
    return isDirectory(context.tree.lstat(path, context.by("lstat")).mode);
  } catch (error) {
    if (!isDaxError(error) || error.code === "ENOENT") throw error;
    return false;
  }
}

function isDirectoryAt(context: Context, path: PathArgument, force: boolean): boolean | undefined {
  try {
    const inode = onPath(path, "lstat", () => context.tree.lstat(path.path, context.by("lstat")));
    return isDirectory(inode.mode);
  } catch (error) {
    if (force && isDaxError(error, "ENOENT")) return undefined;
    throw error;
  }
}

function isADirectory({ shown }: PathArgument): Error {
  return systemErrorOf("ERR_FS_EISDIR", "Path is a directory", {
    code: "EISDIR",
    message: "is a directory",
    path: shown,
    syscall: "rm",
    errno: Errno.EISDIR[0],
  });
}

function remove(
  context: Context,
  path: PathArgument,
  options: RemoveOptions,
  flavour: Flavour,
): void {
  const { recursive, force } = options;
  // Without a word about what is there only where nothing can be wrong with it.
  const looks = flavour !== "sync" || !force || !recursive;
  if (looks && isDirectoryAt(context, path, force) === true && !recursive) {
    throw isADirectory(path);
  }
  removeAny(context, path);
}

let warned = false;

function warnOfRecursion(): void {
  if (warned || process.noDeprecation === true) return;
  warned = true;
  const what = "fs.rmdir(path, { recursive: true })";
  const instead = "Use fs.rm(path, { recursive: true }) instead";
  process.emitWarning(
    `In future versions of Node.js, ${what} will be removed. ${instead}`,
    "DeprecationWarning",
    "DEP0147",
  );
}

/** `rmdir` that was told to be `rm`: what is no directory is left to rmdir(2) to refuse. */
function removeDirectory(context: Context, path: PathArgument, flavour: Flavour): void {
  const syscall = flavour === "promise" ? "stat" : "lstat";
  const { mode } = onPath(path, syscall, () =>
    context.tree[syscall](path.path, context.by(syscall)),
  );
  if (isDirectory(mode)) removeAny(context, path);
  else rmdir(context, path);
}

/** What removes. */
export const REMOVING: OperationTable = {
  rm: operation((context, [value, given], flavour) => {
    const path = pathOf(value);
    const options = removeOptions(given, true);
    return () => remove(context, path, options, flavour);
  }),
  rmdir: operation((context, [value, given], flavour) => {
    const path = pathOf(value);
    const { recursive } = removeOptions(given, false);
    if (!recursive) return () => rmdir(context, path);
    warnOfRecursion();
    return () => removeDirectory(context, path, flavour);
  }),
};
