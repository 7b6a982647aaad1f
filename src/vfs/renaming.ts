/**
 * Names that move, in the order in which Linux asks (`do_renameat2`, `vfs_rename`).
 *
 * @module
 */
import { type TwoPathOptions, inCall, walkOptions, writingOf } from "./calls.ts";
import type { Inode } from "./filesystem.ts";
import { assertMayCreate, secondOptions } from "./making.ts";
import { isDirectory } from "./modes.ts";
import type { MountTable } from "./mounts.ts";
import { type NamedPlace, TREE_PATH_MAX, lookUp, walkToName } from "./path-walk.ts";
import { type Credentials, MAY_WRITE, assertPermitted, denied } from "./permissions.ts";
import { assertMayDelete } from "./removing.ts";
import { type Subject, isSameFile, subjectOf } from "./watches.ts";
import type { RenameOptions } from "./writing.ts";

/** Options of rename(2) and renameat2(2). */
export interface RenameCallOptions extends TwoPathOptions, RenameOptions {}

/** Both names of a rename, and what they lead to. */
interface Move {
  readonly from: NamedPlace;
  readonly to: NamedPlace;
  readonly moved: Inode;
  readonly target: Inode | undefined;
  readonly exchange: boolean;
}

/** Gives a file another name, in place of what has that name, or in exchange for it. */
export function renameName(
  table: MountTable,
  path: string,
  dest: string,
  options: RenameCallOptions,
): void {
  const { syscall = "rename", exchange = false, noReplace = false, credentials } = options;
  inCall({ syscall, path, dest }, () => {
    if (exchange && noReplace) throw denied("EINVAL", "NOREPLACE and EXCHANGE");
    const from = walkToName(table, path, walkOptions(options, syscall));
    const to = walkToName(table, dest, walkOptions(secondOptions(options), syscall));
    if (from.directory.mount !== to.directory.mount) {
      throw denied("EXDEV", "the two are on different mounts");
    }
    if (!from.isName) throw denied("EBUSY");
    if (!to.isName) throw denied(noReplace ? "EEXIST" : "EBUSY");
    const writing = writingOf(from.directory.inode);
    const move = findBoth(table, from, to, { exchange, noReplace });
    assertNoLoop(move);
    if (move.target !== undefined && isSameFile(move.moved, move.target)) return;
    assertMayMove(table, move, credentials);
    const subjects = [subjectOf(move.moved), subjectOf(move.target ?? move.moved)] as const;
    const flags = { exchange, noReplace };
    writing.rename(from.name, to.directory.inode, to.name, flags);
    hasMoved(table, move, subjects);
  });
}

function findBoth(
  table: MountTable,
  from: NamedPlace,
  to: NamedPlace,
  { exchange, noReplace }: Required<RenameOptions>,
): Move {
  const moved = lookUp(table, from.directory.inode, from.name);
  if (moved === undefined) throw denied("ENOENT");
  const target = lookUp(table, to.directory.inode, to.name);
  if (noReplace && target !== undefined) throw denied("EEXIST");
  if (exchange && target === undefined) throw denied("ENOENT", "nothing to exchange with");
  const slashed = exchange && target !== undefined && !isDirectory(target.mode) && to.slashed;
  if (slashed) throw denied("ENOTDIR");
  if (!isDirectory(moved.mode) && (from.slashed || (!exchange && to.slashed))) {
    throw denied("ENOTDIR");
  }
  return { from, to, moved, target, exchange };
}

/**
 * A directory neither moves into itself nor takes the place of one above it.
 * @throws EINVAL, ENOTEMPTY
 */
function assertNoLoop({ from, to, moved, target, exchange }: Move): void {
  const [source, destination] = [from.directory.inode, to.directory.inode];
  if (isSameFile(source, destination)) return;
  if (isDirectory(moved.mode) && isInside(destination, moved)) {
    throw denied("EINVAL", "a directory does not move into itself");
  }
  if (target === undefined || !isDirectory(target.mode) || !isInside(source, target)) return;
  throw denied(exchange ? "EINVAL" : "ENOTEMPTY");
}

/** Whether `directory` is `above`, or below it. What `..` says is true whatever walk led here. */
function isInside(directory: Inode, above: Inode): boolean {
  let at = directory;
  for (let depth = 0; depth < TREE_PATH_MAX; depth++) {
    if (isSameFile(at, above)) return true;
    const parent = at.lookup("..");
    if (parent === undefined || isSameFile(parent, at)) return false;
    at = parent;
  }
  throw denied("ELOOP", `directory ${directory.ino} is too deep to be moved safely`);
}

/** @throws EPERM, EACCES, ENOTDIR, EISDIR, EBUSY */
function assertMayMove(table: MountTable, move: Move, credentials: Credentials | undefined): void {
  const { from, to, moved, target, exchange } = move;
  const kind = kindOf(moved);
  assertMayDelete(from, moved, kind, credentials);
  if (target === undefined) assertMayCreate(to, credentials);
  else assertMayDelete(to, target, exchange ? kindOf(target) : kind, credentials);
  if (!isSameFile(from.directory.inode, to.directory.inode)) {
    if (kind === "directory") assertPermitted(moved, MAY_WRITE, credentials);
    const swaps = exchange && target !== undefined && isDirectory(target.mode);
    if (swaps) assertPermitted(target, MAY_WRITE, credentials);
  }
  for (const inode of [moved, target]) {
    if (inode === undefined || !table.isCovered(inode)) continue;
    throw denied("EBUSY", "something is mounted there");
  }
}

function kindOf({ mode }: Inode): "directory" | "other" {
  return isDirectory(mode) ? "directory" : "other";
}

function hasMoved(
  { names, watches }: MountTable,
  { from, to, moved, target, exchange }: Move,
  [subject, other]: readonly [moved: Subject, target: Subject],
): void {
  names.removed(from.directory.inode, from.name);
  names.added(to.directory.inode, to.name, moved.ino);
  const swapped = exchange && target !== undefined;
  if (swapped) names.added(from.directory.inode, from.name, target.ino);
  if (target !== undefined && !exchange) watches.tellName("delete", to.directory, to.name, other);
  watches.tellName("rename", from.directory, from.name, subject);
  watches.tellName("rename", to.directory, to.name, swapped ? other : subject);
}
