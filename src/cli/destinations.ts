/**
 * SOURCE... DEST of mv, ln and cp: what goes where.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Inode } from "../vfs/filesystem.ts";
import { isDirectory } from "../vfs/modes.ts";
import { type ChangedPath, type Changes, wordBelow } from "./changes.ts";
import { UsageError } from "./command.ts";

/** How DEST is meant. */
export interface DestinationChoices {
  /** `-t`: all go into this directory. */
  readonly "target-directory"?: string | undefined;
  /** `-T`: DEST is the new name, even of a directory. */
  readonly "no-target-directory"?: boolean;
  /** `-n` of ln: a link to a directory is no directory. */
  readonly "no-dereference"?: boolean;
}

/** A source, and where it goes; the name is that under which it goes into a directory. */
export interface Destination {
  readonly source: string;
  readonly target: (name: string) => ChangedPath;
}

/**
 * Pairs sources with their places. @throws UsageError for too few words, ENOENT and ENOTDIR for a
 *   directory that is none
 */
export function destinations(
  operands: readonly string[],
  choices: DestinationChoices,
  changes: Changes,
): Destination[] {
  const directory = choices["target-directory"];
  const sources = directory === undefined ? operands.slice(0, -1) : operands;
  const word = directory ?? operands.at(-1) ?? "";
  if (sources.length === 0) throw new UsageError(`where to? DEST is missing behind '${word}'`);
  const place = changes.open(word);
  const inside = directory !== undefined || sources.length > 1 || isInto(place, choices);
  if (inside && sources.length > 1 && choices["no-target-directory"] === true) {
    throw new UsageError(`-T takes one source; '${sources[1]}' is one operand too many`);
  }
  if (inside) needDirectory(place);
  return sources.map((source) => ({
    source,
    target: (name) => (inside && isName(name) ? childOf(place, name) : place),
  }));
}

/** What is in `.`, `..` or a root goes where DEST is. */
function isName(name: string): boolean {
  return name !== "/" && name !== "." && name !== "..";
}

function isInto(place: ChangedPath, choices: DestinationChoices): boolean {
  if (choices["no-target-directory"] === true) return false;
  const follow = choices["no-dereference"] !== true;
  return isDirectory(modeOf(place, follow) ?? 0);
}

/** The mode of what is at a place; undefined where nothing is. */
export function modeOf({ tree, path }: ChangedPath, follow: boolean): number | undefined {
  try {
    return tree.locate(path, { follow }).inode.mode;
  } catch (error) {
    if (isDaxError(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

/** What is at a place itself, a link included; undefined where nothing is. @throws ELOOP */
export function inodeAt({ tree, path }: ChangedPath, syscall: string): Inode | undefined {
  try {
    return tree.lstat(path, { syscall });
  } catch (error) {
    if (isDaxError(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function needDirectory(place: ChangedPath): void {
  const mode = place.tree.locate(place.path).inode.mode;
  if (isDirectory(mode)) return;
  throw new DaxError("ENOTDIR", { syscall: "open", path: place.word });
}

/** A place in a directory. */
export function childOf(place: ChangedPath, name: string): ChangedPath {
  const path = place.path.endsWith("/") ? `${place.path}${name}` : `${place.path}/${name}`;
  return { ...place, path, word: wordBelow(place, name) };
}
