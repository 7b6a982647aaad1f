/**
 * Operations that make, move and remove names.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { isDirectory } from "../../vfs/modes.ts";
import { checkBoolean, invalidLinkType, modeOf, optionsOf } from "./arguments.ts";
import { type Context, onPath, onPaths, refusal } from "./context.ts";
import { type Flavour, type Operation, type OperationTable, operation } from "./operation.ts";
import { type PathArgument, nameAs, pathOf, shownPath } from "./paths.ts";

const DIRECTORY_MODE = 0o777;
const PRIVATE_MODE = 0o700;
/** What mkstemp(3) puts into a name. */
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const RANDOM_LETTERS = 6;
/** Names tried before giving up: 62^6 of them are rarely taken. */
const MOST_TRIES = 100;

function mkdir(context: Context, path: string, mode: number): void {
  context.tree.mkdir(path, { mode, umask: context.umask, ...context.by("mkdir") });
}

/** The path without its last name, as libuv cuts it: at the last slash. */
function above(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? path : path.slice(0, slash);
}

/**
 * Makes a directory and those above it that are missing; returns the first one it made, in the
 * caller's own spelling. @throws EEXIST, ENOTDIR for what is there and no directory
 */
export function makeDirectories(
  context: Context,
  { path, shown }: PathArgument,
  mode: number,
  flavour: Flavour,
): string | undefined {
  let first: string | undefined;
  const waiting = [path];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    // Where Node is asked to wait, its error names the directory that could not be made.
    const blamed = flavour === "sync" ? shown : shownPath(next);
    onPath({ path: next, shown: blamed, bytes: false }, "mkdir", () => {
      if (makeOne(context, next, mode, waiting, flavour)) first ??= next;
    });
  }
  return first;
}

/** True when it was made; false when it is there, or waits for those above it. */
function makeOne(
  context: Context,
  path: string,
  mode: number,
  waiting: string[],
  flavour: Flavour,
): boolean {
  try {
    mkdir(context, path, mode);
    return true;
  } catch (error) {
    if (!isDaxError(error)) throw error;
    if (["EACCES", "ENOSPC", "ENOTDIR", "EPERM", "EROFS"].includes(error.code)) throw error;
    const parent = above(path);
    if (error.code !== "ENOENT") checkThere(context, path, waiting.length > 0, flavour);
    else if (parent === path || parent === "") throw error;
    else waiting.push(path, parent);
    return false;
  }
}

function checkThere(context: Context, path: string, inside: boolean, flavour: Flavour): void {
  let mode: number | undefined;
  try {
    ({ mode } = context.tree.stat(path, context.by("mkdir")));
  } catch (error) {
    if (!inside || flavour === "sync") throw error;
  }
  if (mode !== undefined && isDirectory(mode)) return;
  throw new DaxError(inside ? "ENOTDIR" : "EEXIST", { syscall: "mkdir" });
}

const makesDirectory = operation((context, [value, given], flavour) => {
  const options = typeof given === "object" && given !== null ? (given as Options) : {};
  const path = pathOf(value);
  const { recursive } = options;
  const deep = recursive !== undefined && checkBoolean(recursive, "options.recursive");
  const plain = typeof given === "number" || typeof given === "string" ? given : undefined;
  const mode = modeOf(plain ?? options.mode, "mode", DIRECTORY_MODE);
  if (!deep) return () => onPath(path, "mkdir", () => mkdir(context, path.path, mode));
  return () => {
    const first = makeDirectories(context, path, mode, flavour);
    return first === undefined ? undefined : shownPath(first);
  };
});

interface Options {
  readonly recursive?: unknown;
  readonly mode?: unknown;
}

function randomTail(): string {
  let tail = "";
  for (let i = 0; i < RANDOM_LETTERS; i++) tail += LETTERS[randomInt(LETTERS.length)];
  return tail;
}

/** A new directory of the caller's alone; its path. */
function makeTemporary(context: Context, prefix: PathArgument): string {
  const tail = "X".repeat(RANDOM_LETTERS);
  const named = { ...prefix, path: prefix.path + tail, shown: prefix.shown + tail };
  return onPath(named, "mkdtemp", () => {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const path = prefix.path + randomTail();
      try {
        context.tree.mkdir(path, { mode: PRIVATE_MODE, ...context.by("mkdtemp") });
        return path;
      } catch (error) {
        if (!isDaxError(error, "EEXIST")) throw error;
      }
    }
    throw refusal("EEXIST", "mkdtemp", named);
  });
}

const mkdtemp = operation((context, [value, given]) => {
  const { encoding } = optionsOf(given);
  const prefix = pathOf(value, "prefix");
  return () => nameAs(makeTemporary(context, prefix), encoding);
});

type TwoPaths = (context: Context, from: string, to: string) => void;

function betweenPaths(
  syscall: string,
  names: readonly [string, string],
  body: TwoPaths,
): Operation {
  return operation((context, [source, target]) => {
    const from = pathOf(source, names[0]);
    const to = pathOf(target, names[1]);
    return () => onPaths(from, to, syscall, () => body(context, from.path, to.path));
  });
}

const LINK_TYPES: ReadonlySet<unknown> = new Set(["dir", "file", "junction"]);

/** Linux has one kind of link; the others of Node's are checked and mean nothing. */
function checkLinkType(type: unknown, flavour: Flavour): void {
  if (typeof type !== "string" || LINK_TYPES.has(type)) return;
  if (flavour !== "promise" || type !== "") throw invalidLinkType(type);
}

const symlink = operation((context, [value, where, type], flavour) => {
  const target = pathOf(value, "target");
  const path = pathOf(where);
  checkLinkType(type, flavour);
  return () =>
    onPaths(target, path, "symlink", () => {
      context.tree.symlink(target.path, path.path, context.by("symlink"));
    });
});

/** What changes names. */
export const NAMING: OperationTable = {
  link: betweenPaths("link", ["existingPath", "newPath"], (context, from, to) => {
    context.tree.link(from, to, context.by("link"));
  }),
  mkdir: makesDirectory,
  mkdtemp,
  rename: betweenPaths("rename", ["oldPath", "newPath"], (context, from, to) => {
    context.tree.rename(from, to, context.by("rename"));
  }),
  symlink,
  unlink: operation((context, [value]) => {
    const path = pathOf(value);
    return () => onPath(path, "unlink", () => context.tree.unlink(path.path, context.by("unlink")));
  }),
};
