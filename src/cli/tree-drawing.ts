/**
 * What `tree` prints: the drawing of tree(1), and its JSON.
 *
 * @module
 */
import type { DaxError } from "../lib/errno.ts";
import type { DirectoryEntry, Inode } from "../vfs/filesystem.ts";
import { isDirectory } from "../vfs/modes.ts";
import { type Visit, descend, inodeOf, linkTarget } from "./descend.ts";
import { typeWord } from "./file-record.ts";

/** The switches of `tree`. */
export interface TreeOptions {
  readonly all: boolean;
  readonly directories: boolean;
  /** How many levels below the start are shown. */
  readonly level: number;
  readonly onError: (error: DaxError) => void;
}

/** How many were shown. */
export interface TreeCount {
  directories: number;
  files: number;
}

/** One line of the drawing. */
export interface TreeLine {
  /** The branches that lead to it. */
  readonly branch: string;
  readonly visit: Visit;
}

/** What tree(1) shows below a directory, counted in `count` together with the directory itself. */
export function* treeVisits(
  start: Inode,
  path: string,
  options: TreeOptions,
  count: TreeCount,
): Generator<Visit> {
  count.directories++;
  const visits = descend(start, path, {
    onError: options.onError,
    keep: (entry, directory) => isShown(entry, directory, options),
    enter: ({ depth }) => depth + 1 < options.level,
  });
  for (const visit of visits) {
    if (isDirectory(modeOf(visit))) count.directories++;
    else count.files++;
    yield visit;
  }
}

/** The type of what was visited, from its directory where its inode cannot be read. */
export function modeOf({ inode, entry }: Visit): number {
  return inode?.mode ?? entry.type << 12;
}

/** As tree(1) sets it: with no-break spaces, so that no mailer folds them. */
const PIPE = "│\u00A0\u00A0 ";

/** The drawing, line by line. */
export function* treeLines(visits: Iterable<Visit>): Generator<TreeLine> {
  const stems: string[] = [];
  for (const visit of visits) {
    stems.length = visit.depth;
    yield { branch: `${stems.join("")}${visit.last ? "└── " : "├── "}`, visit };
    stems.push(visit.last ? "    " : PIPE);
  }
}

/**
 * The JSON of `tree -J`, in pieces: directories hold their `contents`. It is written as it is
 * found, because a hostile tree may be deeper than any stack.
 */
export function* treeJson(
  name: string,
  visits: Iterable<Visit>,
  count: TreeCount,
  onError: (error: DaxError) => void,
): Generator<string> {
  yield `[{"type":"directory","name":${JSON.stringify(name)},"contents":[`;
  let open = 0;
  let fresh = true;
  for (const visit of visits) {
    // A directory stays open until something comes that is not inside it.
    for (; open > visit.depth; open--) {
      yield "]}";
      fresh = false;
    }
    const node = JSON.stringify(nodeOf(visit, onError));
    const isFolder = isDirectory(modeOf(visit));
    yield (fresh ? "" : ",") + (isFolder ? `${node.slice(0, -1)},"contents":[` : node);
    fresh = isFolder;
    if (isFolder) open++;
  }
  for (; open > 0; open--) yield "]}";
  const { directories, files } = count;
  yield `]},${JSON.stringify({ type: "report", directories, files })}]\n`;
}

function nodeOf(visit: Visit, onError: (error: DaxError) => void): Record<string, unknown> {
  const target = linkTarget(visit.inode, visit.path, onError);
  const type = typeWord(modeOf(visit));
  return { type, name: visit.entry.name, ...(target === undefined ? {} : { target }) };
}

function isShown(entry: DirectoryEntry, directory: Inode, options: TreeOptions): boolean {
  if (!options.all && entry.name.startsWith(".")) return false;
  if (!options.directories) return true;
  const type = entry.type << 12;
  if (type !== 0) return isDirectory(type);
  // Old filesystems keep no types in their directories.
  const inode = inodeOf(directory, entry, entry.name, options.onError);
  return inode !== undefined && isDirectory(inode.mode);
}
