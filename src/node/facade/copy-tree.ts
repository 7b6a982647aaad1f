/**
 * `cp`: Node's own walk over a file or a tree, above the calls of the volume. What it refuses, in
 * which order and in which words, is what Node 20 does.
 *
 * The walk is a generator that yields what a filter answered, so that one text serves the
 * synchronous flavour and the others, whose filters may be promises.
 *
 * @module
 */
import { dirname, isAbsolute, join, resolve } from "node:path/posix";
import { Errno, type ErrnoCode, isDaxError } from "../../lib/errno.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import { S_IFMT, isDirectory, isSymlink } from "../../vfs/modes.ts";
import { isSameFile } from "../../vfs/watches.ts";
import {
  type Function_,
  checkBoolean,
  checkFunction,
  checkInteger,
  cpErrorOf,
  incompatible,
  invalidReturn,
  invalidType,
  plainOptions,
} from "./arguments.ts";
import { type Context, onPath, onPaths } from "./context.ts";
import { copyFileAt } from "./copy-file.ts";
import { makeDirectories } from "./naming.ts";
import { type Flavour, type Operation, operation } from "./operation.ts";
import { type PathArgument, pathOf, shownPath } from "./paths.ts";

const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;
const DIRECTORY_MODE = 0o777;

interface CopyOptions {
  readonly dereference: boolean;
  readonly errorOnExist: boolean;
  readonly filter: Function_ | undefined;
  readonly force: boolean;
  readonly preserveTimestamps: boolean;
  readonly recursive: boolean;
  readonly verbatimSymlinks: boolean;
  readonly mode: number;
}

/** Filters' answers go out, and what became of them comes back. */
type Steps<T> = Generator<unknown, T, unknown>;

/** @throws ERR_INVALID_ARG_TYPE, ERR_INCOMPATIBLE_OPTION_PAIR */
function copyOptions(given: unknown): CopyOptions {
  if (given === null) throw invalidType("options", "of type object", given);
  const options = plainOptions(given);
  const flag = (name: string, fallback: boolean): boolean =>
    checkBoolean(options[name] ?? fallback, `options.${name}`);
  const found = {
    dereference: flag("dereference", false),
    errorOnExist: flag("errorOnExist", false),
    force: flag("force", true),
    preserveTimestamps: flag("preserveTimestamps", false),
    recursive: flag("recursive", false),
    verbatimSymlinks: flag("verbatimSymlinks", false),
    mode: checkInteger(options["mode"] ?? 0, "mode", 0, 7),
  };
  if (found.dereference && found.verbatimSymlinks) {
    throw incompatible("dereference", "verbatimSymlinks");
  }
  const { filter } = options;
  if (filter !== undefined) checkFunction(filter, "options.filter");
  return { ...found, filter };
}

function failed(
  code: string,
  prefix: string,
  [kind, message, path]: readonly [ErrnoCode, string, string],
): Error {
  const errno = Errno[kind][0];
  return cpErrorOf(code, prefix, { code: kind, message, path, syscall: "cp", errno });
}

function invalid(message: string, path: string): Error {
  return failed("ERR_FS_CP_EINVAL", "Invalid src or dest", ["EINVAL", message, path]);
}

/** True when `inner` is `outer` or below it, by their words alone; both are absolute. */
function isBelow(outer: string, inner: string): boolean {
  const [above, below] = [outer, inner].map((path) => path.split("/"));
  return (above as string[]).every((part, i) => part === "" || part === below?.[i]);
}

function named(path: string): PathArgument {
  return { path, shown: shownPath(path), bytes: false };
}

/** One copy of a tree. */
class TreeCopy {
  readonly #context: Context;
  readonly #options: CopyOptions;
  readonly #flavour: Flavour;

  constructor(context: Context, options: CopyOptions, flavour: Flavour) {
    this.#context = context;
    this.#options = options;
    this.#flavour = flavour;
  }

  *run(from: string, to: string): Steps<void> {
    const pair = yield* this.#check(from, to);
    if (pair === undefined) return;
    this.#checkAbove(from, pair.source, to);
    const above = dirname(to);
    if (this.#stat(above) === undefined) {
      makeDirectories(this.#context, named(above), DIRECTORY_MODE, this.#flavour);
    }
    yield* this.#copy(from, to, pair.target);
  }

  /** What is there on both sides; undefined when the filter wants none of it. */
  *#check(
    from: string,
    to: string,
  ): Steps<{ source: Inode; target: Inode | undefined } | undefined> {
    const { filter } = this.#options;
    if (filter !== undefined) {
      const wanted = yield filter(shownPath(from), shownPath(to));
      if (!wanted) return undefined;
    }
    const source = this.#look(from);
    const target = this.#lookIfThere(to);
    if (target !== undefined) this.#checkPair(from, source, to, target);
    if (isDirectory(source.mode) && isBelow(this.#whole(from), this.#whole(to)))
      throw this.#intoItself(from, to);
    return { source, target };
  }

  #checkPair(from: string, source: Inode, to: string, target: Inode): void {
    if (isSameFile(source, target)) throw invalid("src and dest cannot be the same", shownPath(to));
    const [fromDirectory, toDirectory] = [isDirectory(source.mode), isDirectory(target.mode)];
    if (fromDirectory === toDirectory) return;
    const [what, other] = fromDirectory
      ? ["non-directory", "directory"]
      : ["directory", "non-directory"];
    const text = `cannot overwrite ${what} ${shownPath(to)} with ${other} ${shownPath(from)}`;
    throw failed(
      fromDirectory ? "ERR_FS_CP_DIR_TO_NON_DIR" : "ERR_FS_CP_NON_DIR_TO_DIR",
      `Cannot overwrite ${what} with ${other}`,
      [fromDirectory ? "EISDIR" : "ENOTDIR", text, shownPath(to)],
    );
  }

  #intoItself(from: string, to: string): Error {
    const text = `cannot copy ${shownPath(from)} to a subdirectory of self ${shownPath(to)}`;
    return invalid(text, shownPath(to));
  }

  /** By inodes, since links may lead a target into its source. */
  #checkAbove(from: string, source: Inode, to: string): void {
    const home = this.#whole(dirname(from));
    for (let above = this.#whole(dirname(to)); above !== home && above !== "/";) {
      const inode = this.#stat(above);
      if (inode === undefined) return;
      if (isSameFile(source, inode)) throw this.#intoItself(from, to);
      above = dirname(above);
    }
  }

  *#copy(from: string, to: string, target: Inode | undefined): Steps<void> {
    const { mode } = this.#look(from);
    if (isDirectory(mode)) yield* this.#copyDirectory(from, to, mode, target);
    else if (isSymlink(mode)) this.#copyLink(from, to, target);
    else this.#copyFile(from, to, mode, target);
  }

  *#copyDirectory(from: string, to: string, mode: number, target: Inode | undefined): Steps<void> {
    const { recursive } = this.#options;
    if (!recursive) {
      const text = `${shownPath(from)} is a directory (not copied)`;
      const errno = this.#flavour === "sync" ? Errno.EINVAL[0] : Errno.EISDIR[0];
      const error = failed("ERR_FS_EISDIR", "Path is a directory", [
        "EISDIR",
        text,
        shownPath(from),
      ]);
      const { info } = error as Error & { info: object };
      throw Object.assign(error, { errno, info: { ...info, errno } });
    }
    if (target === undefined) this.#makeDirectory(to);
    const names = onPath(named(from), "opendir", () => [
      ...this.#context.tree.readdir(from, "opendir", this.#context.by("opendir")),
    ]);
    for (const { name } of names) {
      const [source, destination] = [join(from, name), join(to, name)];
      const pair = yield* this.#check(source, destination);
      if (pair !== undefined) yield* this.#copy(source, destination, pair.target);
    }
    if (target === undefined) this.#setMode(to, mode);
  }

  #copyFile(from: string, to: string, mode: number, target: Inode | undefined): void {
    const { force, errorOnExist, mode: flags, preserveTimestamps } = this.#options;
    const type = mode & S_IFMT;
    if (type === S_IFSOCK) throw this.#cannot("ERR_FS_CP_SOCKET", "a socket file", to);
    if (type === S_IFIFO) throw this.#cannot("ERR_FS_CP_FIFO_PIPE", "a FIFO pipe", to);
    if (target !== undefined) {
      if (!force && !errorOnExist) return;
      if (!force) {
        const shown = shownPath(to);
        const what = ["EEXIST", `${shown} already exists`, shown] as const;
        throw failed("ERR_FS_CP_EEXIST", "Target already exists", what);
      }
      this.#unlink(to);
    }
    onPaths(named(from), named(to), "copyfile", () => copyFileAt(this.#context, from, to, flags));
    if (preserveTimestamps) this.#copyTimes(from, to);
    this.#setMode(to, mode);
  }

  #cannot(code: string, what: string, to: string): Error {
    const text = `cannot copy ${what}: ${shownPath(to)}`;
    return failed(code, `Cannot copy ${what}`, ["EINVAL", text, shownPath(to)]);
  }

  #copyLink(from: string, to: string, target: Inode | undefined): void {
    const read = this.#readlink(from);
    const verbatim = this.#options.verbatimSymlinks || isAbsolute(read);
    const source = verbatim ? read : this.#whole(join(dirname(from), read));
    if (target !== undefined && isSymlink(target.mode)) {
      this.#checkLinks(from, source, to);
      this.#unlink(to);
    }
    onPaths(named(source), named(to), "symlink", () => {
      this.#context.tree.symlink(source, to, this.#context.by("symlink"));
    });
  }

  #checkLinks(from: string, source: string, to: string): void {
    const read = this.#readlink(to);
    const found = this.#whole(isAbsolute(read) ? read : join(dirname(to), read));
    if (isBelow(this.#whole(source), found)) throw this.#linkIntoItself(source, found, to);
    const looked = this.#flavour === "sync" ? to : from;
    const { mode } = onPath(named(looked), "stat", () =>
      this.#context.tree.stat(looked, this.#context.by("stat")),
    );
    if (!isDirectory(mode) || !isBelow(found, this.#whole(source))) return;
    const text = `cannot overwrite ${shownPath(found)} with ${shownPath(source)}`;
    const prefix = "Cannot overwrite symlink in subdirectory of self";
    const what = ["EINVAL", text, shownPath(to)] as const;
    throw failed("ERR_FS_CP_SYMLINK_TO_SUBDIRECTORY", prefix, what);
  }

  #linkIntoItself(source: string, found: string, to: string): Error {
    const text = `cannot copy ${shownPath(source)} to a subdirectory of self ${shownPath(found)}`;
    return invalid(text, shownPath(to));
  }

  #whole(path: string): string {
    return resolve(this.#context.workingDirectory, path);
  }

  #look(path: string): Inode {
    const syscall = this.#options.dereference ? "stat" : "lstat";
    return onPath(named(path), syscall, () =>
      this.#context.tree[syscall](path, this.#context.by(syscall)),
    );
  }

  #lookIfThere(path: string): Inode | undefined {
    try {
      return this.#look(path);
    } catch (error) {
      if (isDaxError(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  #stat(path: string): Inode | undefined {
    try {
      return onPath(named(path), "stat", () =>
        this.#context.tree.stat(path, this.#context.by("stat")),
      );
    } catch (error) {
      if (isDaxError(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  #readlink(path: string): string {
    return onPath(named(path), "readlink", () =>
      this.#context.tree.readlink(path, this.#context.by("readlink")),
    );
  }

  #unlink(path: string): void {
    const { tree } = this.#context;
    onPath(named(path), "unlink", () => tree.unlink(path, this.#context.by("unlink")));
  }

  #makeDirectory(path: string): void {
    const { tree, umask } = this.#context;
    const how = { mode: DIRECTORY_MODE, umask, ...this.#context.by("mkdir") };
    onPath(named(path), "mkdir", () => tree.mkdir(path, how));
  }

  #setMode(path: string, mode: number): void {
    const { tree } = this.#context;
    onPath(named(path), "chmod", () => tree.chmod(path, mode & 0o7777, this.#context.by("chmod")));
  }

  /** Through dates, as Node does: milliseconds are kept, what is below is not. */
  #copyTimes(from: string, to: string): void {
    const source = this.#stat(from);
    if (source === undefined) return;
    const { atime, mtime } = source.attributes();
    const cut = ({ sec, nsec }: typeof atime): typeof atime => ({
      sec,
      nsec: nsec - (nsec % 1_000_000),
    });
    const times = { atime: cut(atime), mtime: cut(mtime) };
    const { tree } = this.#context;
    onPath(named(to), "utime", () => tree.utimes(to, times, this.#context.by("utime")));
  }
}

function runNow(steps: Steps<void>): void {
  for (let step = steps.next(); step.done !== true; step = steps.next(step.value)) {
    if (step.value instanceof Promise) {
      throw invalidReturn("boolean", "filter", step.value);
    }
  }
}

async function runLater(steps: Steps<void>): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- one file after the other, as the filter says
  for (let step = steps.next(); step.done !== true; step = steps.next(await step.value));
}

/** `cp`. */
export const cp: Operation = operation((context, [source, destination, given], flavour) => {
  const options = copyOptions(given);
  const from = pathOf(source, "src");
  const to = pathOf(destination, "dest");
  return () => {
    const steps = new TreeCopy(context, options, flavour).run(from.path, to.path);
    return flavour === "sync" ? runNow(steps) : runLater(steps);
  };
});
