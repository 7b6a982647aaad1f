/**
 * `ls`: which files are listed, in which order and under which headings.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { FileTree } from "../vfs/file-tree.ts";
import type { DirectoryEntry, Inode } from "../vfs/filesystem.ts";
import { isDirectory } from "../vfs/modes.ts";
import { byName, inodeOf, joinPath, manyNames, readEntries } from "./descend.ts";
import { fileRecord } from "./file-record.ts";
import { inImage } from "./images.ts";
import { type Listed, longLines, totalKib } from "./long-format.ts";
import { colouredName, inColumns, shownName, widthOf } from "./names.ts";
import type { Output } from "./output.ts";
import { OwnerNames } from "./owners.ts";
import type { Terminal } from "./terminal.ts";

/** The switches of `ls`. */
export interface ListingOptions {
  readonly long: boolean;
  readonly all: boolean;
  readonly recursive: boolean;
  readonly inode: boolean;
  readonly numeric: boolean;
  readonly human: boolean;
  readonly directory: boolean;
  readonly reverse: boolean;
  readonly one: boolean;
  readonly sort: "name" | "size" | "time" | "none";
  readonly json: boolean;
}

/** Where a listing goes. */
export interface ListingTarget {
  readonly out: Output;
  readonly terminal: Terminal;
  readonly now: Timespec;
  /** Columns of the screen. */
  readonly width: number;
  /** Hears of what cannot be read. */
  readonly onError: (error: DaxError) => void;
}

/** What was asked: a path in an image, and how the image is called. */
export interface ListingStart {
  readonly image: string;
  readonly tree: FileTree;
  readonly path: string;
}

/** A file with the name under which it is listed. */
interface Item {
  readonly image: string;
  readonly path: string;
  readonly name: string;
  readonly ino: number;
  /** `st_mode`, or only its type where no inode was read. */
  readonly mode: number;
  readonly inode: Inode | undefined;
}

/** A directory to list. */
interface Folder {
  readonly image: string;
  readonly path: string;
  readonly inode: Inode;
}

/** Lists files, then directories, as `ls` does with several operands. */
export class Listing {
  readonly #options: ListingOptions;
  readonly #target: ListingTarget;
  readonly #owners: OwnerNames | undefined;
  readonly #entered = new Set<number>();
  #blocks = 0;

  constructor(options: ListingOptions, target: ListingTarget) {
    this.#options = options;
    this.#target = target;
    this.#owners = options.numeric ? undefined : new OwnerNames();
  }

  run(starts: readonly ListingStart[]): void {
    const items = starts.flatMap((start) => this.#operand(start));
    const ordered = this.#sorted(this.#options.sort === "none" ? items : byName(items));
    const isFolder = ({ mode }: Item): boolean => !this.#options.directory && isDirectory(mode);
    const files = ordered.filter((item) => !isFolder(item));
    if (files.length > 0) this.#block(undefined, files);
    const heading = this.#options.recursive || starts.length > 1;
    for (const { image, path, inode } of ordered.filter(isFolder)) {
      if (inode !== undefined) this.#folder({ image, path, inode }, heading);
    }
  }

  #operand({ image, tree, path }: ListingStart): Item[] {
    const inode = this.#locate(image, tree, path);
    if (inode === undefined) return [];
    const { ino, mode } = inode;
    return [{ image, path, name: `${image}:${path}`, ino, mode, inode }];
  }

  /** A link named on the command line is followed, unless the link itself is asked about. */
  #locate(image: string, tree: FileTree, path: string): Inode | undefined {
    try {
      const { long, directory } = this.#options;
      return long || directory ? this.#linkOrDirectory(tree, path) : tree.stat(path);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#complain(image, path)(error);
      return undefined;
    }
  }

  #complain(image: string, path: string): (error: DaxError) => void {
    return (error) => this.#target.onError(inImage(error, image, path));
  }

  #linkOrDirectory(tree: FileTree, path: string): Inode {
    return path.endsWith("/") ? tree.stat(path) : tree.lstat(path);
  }

  /** Lists a directory, and with -R those below it: each before what is inside it, in order. */
  #folder(start: Folder, heading: boolean): void {
    const waiting = [start];
    this.#entered.clear();
    for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
      const items = this.#contents(folder, heading);
      if (!this.#options.recursive || !this.#enters(folder)) continue;
      const below = items.flatMap((item) => this.#folderOf(folder, item));
      waiting.push(...below.toReversed());
    }
  }

  /** A directory has one name. In a broken tree it may have many, and would be listed for ever. */
  #enters({ image, inode, path }: Folder): boolean {
    if (!this.#entered.has(inode.ino)) {
      this.#entered.add(inode.ino);
      return true;
    }
    this.#complain(image, path)(manyNames(inode, path));
    return false;
  }

  #folderOf({ image, inode: directory }: Folder, item: Item): Folder[] {
    const { path, name, ino, mode } = item;
    const isFolder = mode === 0 ? undefined : isDirectory(mode);
    if (isFolder === false || name === "." || name === "..") return [];
    const entry = { name, ino, type: mode >> 12, cookie: 0 };
    const inode = item.inode ?? inodeOf(directory, entry, path, this.#complain(image, path));
    return inode !== undefined && isDirectory(inode.mode) ? [{ image, path, inode }] : [];
  }

  #contents({ image, path, inode: directory }: Folder, heading: boolean): readonly Item[] {
    const onError = this.#complain(image, path);
    const { long, sort, json } = this.#options;
    const read = long || json || sort === "size" || sort === "time";
    const entries = this.#entriesOf(directory, path, onError);
    const items = entries.map((entry): Item => {
      const own = joinPath(path, entry.name);
      const inode = read ? inodeOf(directory, entry, own, onError) : undefined;
      const mode = inode?.mode ?? entry.type << 12;
      return { image, path: own, name: entry.name, ino: entry.ino, mode, inode };
    });
    const sorted = this.#sorted(items);
    this.#block(heading ? `${image}:${path}` : undefined, sorted, long);
    return sorted;
  }

  #entriesOf(directory: Inode, path: string, onError: (error: DaxError) => void): DirectoryEntry[] {
    const entries = readEntries(directory, path, onError);
    const listed = entries.filter((entry) => this.#isListed(entry));
    return this.#options.sort === "none" ? listed : byName(listed);
  }

  #isListed({ name }: DirectoryEntry): boolean {
    return this.#options.all || !name.startsWith(".");
  }

  #sorted(items: readonly Item[]): readonly Item[] {
    const { sort, reverse } = this.#options;
    const size = ({ inode }: Item): number => inode?.size ?? 0;
    const sorted =
      sort === "size"
        ? items.toSorted((a, b) => size(b) - size(a))
        : sort === "time"
          ? items.toSorted((a, b) => this.#later(a, b))
          : items;
    return reverse ? sorted.toReversed() : sorted;
  }

  #later(a: Item, b: Item): number {
    const { mtime: first } = a.inode?.attributes() ?? { mtime: { sec: 0, nsec: 0 } };
    const { mtime: second } = b.inode?.attributes() ?? { mtime: { sec: 0, nsec: 0 } };
    return second.sec - first.sec || second.nsec - first.nsec;
  }

  #block(heading: string | undefined, items: readonly Item[], total = false): void {
    const { out } = this.#target;
    if (this.#options.json) {
      for (const item of items) this.#record(item);
      return;
    }
    if (this.#blocks++ > 0) out.line();
    if (heading !== undefined) out.line(`${shownName(out, heading)}:`);
    if (this.#options.long) this.#long(items, total);
    else this.#short(items);
  }

  #record({ image, path, name, ino, inode }: Item): void {
    const { out } = this.#target;
    const file = inode === undefined ? { ino, error: "unreadable" } : fileRecord(inode);
    out.json({ image, path, name, ...file });
  }

  #long(items: readonly Item[], total: boolean): void {
    const { out, terminal, now } = this.#target;
    const files = items.map(({ name, ino, mode, inode }): Listed => ({
      name: colouredName(terminal, out, name, mode),
      ino,
      inode,
    }));
    if (total) out.line(`total ${totalKib(files)}`);
    const { human, inode: inodes } = this.#options;
    const shownTarget = (target: string): string => shownName(out, target);
    const options = { owners: this.#owners, human, inodes, now, shownTarget };
    for (const line of longLines(files, options)) out.line(line);
  }

  #short(items: readonly Item[]): void {
    const { out, terminal, width } = this.#target;
    const digits = items.reduce((most, { ino }) => Math.max(most, String(ino).length), 0);
    const cells = items.map(({ name, ino, mode }) => {
      const number = this.#options.inode ? `${String(ino).padStart(digits)} ` : "";
      const shown = colouredName(terminal, out, name, mode);
      return { text: number + shown, width: number.length + widthOf(shownName(out, name)) };
    });
    const across = out.isTerminal && !this.#options.one;
    for (const line of across ? inColumns(cells, width) : cells.map(({ text }) => text)) {
      out.line(line);
    }
  }
}
