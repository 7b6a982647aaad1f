/**
 * open(2): from Node's flags to what the tree does.
 *
 * @module
 */
import { constants } from "node:fs";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { OpenOptions } from "../../vfs/opening.ts";
import type { Context } from "./context.ts";
import type { PathArgument } from "./paths.ts";

const { O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_SYNC, O_DSYNC } = constants;
/** Flags of Linux that Node has no names for, in the numbers of its generic ABI. */
const O_ACCMODE = 0o3;
const O_PATH = 0o10000000;
const TMPFILE = 0o20000000;

const ACCESS = ["read", "write", "readwrite", "readwrite"] as const;

/** What a file is made with unless told otherwise. */
export const NEW_FILE_MODE = 0o666;

/** Flags that mean something here; the others (O_NOCTTY, O_DIRECT …) are let pass. */
const MEANT =
  O_ACCMODE |
  O_CREAT |
  O_EXCL |
  O_TRUNC |
  O_APPEND |
  O_NOFOLLOW |
  O_DIRECTORY |
  O_SYNC |
  O_DSYNC |
  TMPFILE |
  O_PATH;

const known = new Map<number, OpenOptions>();

/** How the last file of a facade was opened. */
export interface LastOpened {
  readonly flags: number;
  readonly mode: number;
  readonly umask: number;
  readonly options: OpenOptions;
}

/** The flags of open(2) in words; programs use a few combinations, over and over. */
function wordsOf(flags: number): OpenOptions {
  const meant = flags & MEANT;
  let words = known.get(meant);
  if (words === undefined) known.set(meant, (words = inWords(meant)));
  return words;
}

function inWords(flags: number): OpenOptions {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  return {
    access: ACCESS[flags & O_ACCMODE] ?? "read",
    create: has(O_CREAT),
    exclusive: has(O_CREAT) && has(O_EXCL),
    truncate: has(O_TRUNC),
    append: has(O_APPEND),
    noFollow: has(O_NOFOLLOW),
    directory: has(O_DIRECTORY) && !has(TMPFILE),
    unnamed: has(TMPFILE),
    path: has(O_PATH),
    ...((flags & O_SYNC) === O_SYNC ? { sync: "all" } : has(O_DSYNC) ? { sync: "data" } : {}),
  };
}

/** Opens a file. @throws what the kernel gives */
export function openFile(
  context: Context,
  path: PathArgument,
  flags: number,
  mode = NEW_FILE_MODE,
): OpenFile {
  const { tree } = context;
  const umask = (flags & (O_CREAT | TMPFILE)) === 0 ? 0 : context.umask;
  const { last } = context.opened;
  const again = last !== undefined && last.flags === flags && last.mode === mode;
  if (again && last.umask === umask) return tree.open(path.path, last.options);
  const options = { ...wordsOf(flags), mode, umask, ...context.by("open") };
  // Files are opened in the same way over and over; where relative paths start may change.
  if (!context.moves) context.opened.last = { flags, mode, umask, options };
  return tree.open(path.path, options);
}
