/**
 * What can be seen of a filesystem: names, inodes with all that stat shows but times, attributes,
 * and the bytes of files.
 *
 * @module
 */
import { daxRead } from "../../dax/file-io.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Filesystem, Inode } from "../../vfs/filesystem.ts";
import { isDirectory, isRegular, isSymlink } from "../../vfs/modes.ts";
import { xattrsOf } from "../../vfs/xattrs.ts";
import { parentOf } from "./workload.ts";

/** One file or directory, by one of its names. */
export interface Seen {
  readonly ino: number;
  readonly isDirectory: boolean;
  /** All but the bytes. */
  readonly attributes: string;
  /** Size and blocks, which are part of them. */
  readonly extent: string;
  /** The bytes of a file. */
  readonly bytes: Uint8Array | undefined;
}

/** What is where, by path; the root is `/`. */
export interface Sight {
  readonly entries: ReadonlyMap<string, Seen>;
  /** Everything but the bytes, in one line a name. */
  readonly names: string;
  /** What belongs to each inode: its names and attributes, and the entries of a directory. */
  readonly inodes: ReadonlyMap<number, string>;
}

/** Entries that are looked at. */
const MOST_ENTRIES = 1000;
/** Bytes of a file that are looked at. */
const MOST_BYTES = 1 << 20;

/**
 * All that can be seen. Where `broken` is given, an error of the format is told to it and the
 * path is left out; otherwise it is thrown.
 */
export function sightOf(
  { root }: Filesystem,
  broken?: (path: string, message: string) => void,
): Sight {
  const entries = new Map<string, Seen>();
  const lines: string[] = [];
  const guard = (path: string, body: () => void): void => {
    try {
      body();
    } catch (error) {
      if (broken === undefined || !isDaxError(error, "EUCLEAN", "EBADMSG")) throw error;
      broken(path, error.message);
    }
  };
  const visit = (inode: Inode, path: string): void => {
    if (entries.size >= MOST_ENTRIES)
      throw new Error("the filesystem holds too much to be compared");
    guard(path, () => {
      const seen = seenOf(inode);
      entries.set(path, seen);
      lines.push(`${path} ${seen.attributes}`);
    });
    if (isDirectory(inode.mode)) guard(path, () => names(inode, path));
  };
  const names = (directory: Inode, path: string): void => {
    for (const { name } of directory.readdir(0)) {
      if (name === "." || name === ".." || name === "lost+found") continue;
      const child = `${path === "/" ? "" : path}/${name}`;
      guard(child, () => {
        const inode = directory.lookup(name);
        if (inode === undefined) throw new Error(`${child} is listed, and not there`);
        visit(inode, child);
      });
    }
  };
  visit(root, "/");
  return { entries, names: lines.toSorted().join("\n"), inodes: inodesOf(entries) };
}

function inodesOf(entries: ReadonlyMap<string, Seen>): Map<number, string> {
  const inodes = new Map<number, string[]>();
  const add = (ino: number, text: string): void => {
    const texts = inodes.get(ino) ?? [];
    texts.push(text);
    inodes.set(ino, texts);
  };
  for (const [path, { ino, attributes }] of entries) {
    // A file does not change when a directory above it moves.
    const entry = `${entries.get(parentOf(path))?.ino}${path.slice(path.lastIndexOf("/"))}`;
    add(ino, `${entry} ${attributes}`);
    const parent = entries.get(parentOf(path));
    if (path !== "/" && parent !== undefined) add(parent.ino, `${entry}#${ino}`);
  }
  // In which order they are found says nothing.
  return new Map(Array.from(inodes, ([ino, texts]) => [ino, texts.toSorted().join("\n")]));
}

function seenOf(inode: Inode): Seen {
  const { mode, nlink, uid, gid, size, blocks } = inode.attributes();
  const { ino } = inode;
  const extent = `size ${size} blocks ${blocks}`;
  let text = `#${ino} ${mode.toString(8)} links ${nlink} owner ${uid}:${gid} ${extent}`;
  for (const { name, value } of xattrsOf(inode)) text += ` ${name}=${String(value)}`;
  if (isSymlink(mode)) text += ` -> ${inode.readlink()}`;
  const bytes = isRegular(mode) ? bytesOf(inode, size) : undefined;
  return { ino, isDirectory: isDirectory(mode), attributes: text, extent, bytes };
}

function bytesOf(inode: Inode, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(size, MOST_BYTES));
  daxRead(inode, bytes, 0);
  return bytes;
}
