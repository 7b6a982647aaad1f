/**
 * Watches: who wants to hear of changes, as inotify(7) tells of them. They hear of what is done
 * through the tree and its open files, right after it was done; what somebody changes behind the
 * tree, or through a mapping, nobody hears of.
 *
 * @module
 */
import type { Inode } from "./filesystem.ts";
import { isDirectory } from "./modes.ts";
import type { Location } from "./mounts.ts";

/** What happened to a file: its name came, went or changed, its bytes did, or its attributes. */
export type ChangeKind = "create" | "delete" | "rename" | "modify" | "attributes";

/** A change. */
export interface WatchEvent {
  readonly kind: ChangeKind;
  /**
   * In a watched directory the name that it happened to, or under a recursive watch the path from
   * there; undefined when it happened to what is watched itself.
   */
  readonly name: string | undefined;
  readonly isDirectory: boolean;
}

/** What to hear of. */
export interface WatchOptions {
  /** Also of everything below. */
  readonly recursive?: boolean;
}

/**
 * Hears of a change, in the call that made it and before that returns: it may not change what it
 * watches, and what it throws, that call throws.
 */
export type WatchListener = (event: WatchEvent) => void;

/** A running watch. */
export interface Watch {
  /** Ends it; idempotent. */
  close(): void;
}

/** A file that something happens to, as it was before: afterwards it may be gone. */
export interface Subject {
  readonly inode: Inode;
  readonly isDirectory: boolean;
}

/** What a change will be about. */
export function subjectOf(inode: Inode): Subject {
  return { inode, isDirectory: isDirectory(inode.mode) };
}

interface Watcher {
  readonly inode: Inode;
  readonly recursive: boolean;
  readonly listener: WatchListener;
}

/** Whether two objects stand for the same file. */
export function isSameFile(a: Inode, b: Inode): boolean {
  return a === b || (a.ino === b.ino && a.filesystem === b.filesystem);
}

/**
 * Hears of every change in a tree, as watches do, but for those that are made while it is muted:
 * its own. For whoever keeps copies of what the tree shows, and has to throw them away.
 */
export interface Tap {
  /** Bytes or attributes of a file. */
  changed(inode: Inode): void;
  /** A name came to a directory, went, or leads to another file; `inode` has it, or had it. */
  renamed(directory: Inode, name: string, inode: Inode): void;
}

/** All watches of a tree. */
export class Watches {
  readonly #watchers = new Set<Watcher>();
  readonly #taps = new Set<Tap>();
  /** Who makes the changes that happen now, and knows of them. */
  muted: Tap | undefined;

  /** Whether nobody wants to hear anything. */
  get isEmpty(): boolean {
    const { muted } = this;
    const deaf = muted !== undefined && this.#taps.has(muted) ? 1 : 0;
    return this.#watchers.size === 0 && this.#taps.size === deaf;
  }

  /** Tells `tap` of every change. */
  tap(tap: Tap): Watch {
    this.#taps.add(tap);
    return { close: () => void this.#taps.delete(tap) };
  }

  /** Tells `listener` of every change of a file, or in a directory. */
  add(inode: Inode, { recursive = false }: WatchOptions, listener: WatchListener): Watch {
    const watcher: Watcher = { inode, recursive, listener };
    this.#watchers.add(watcher);
    return { close: () => void this.#watchers.delete(watcher) };
  }

  /** Something happened to the file at a place. */
  tell(kind: ChangeKind, { inode, parent, name }: Location): void {
    if (this.isEmpty) return;
    if (parent === undefined) this.#tellItself(kind, subjectOf(inode));
    else this.tellName(kind, parent, name, subjectOf(inode));
  }

  /** Something happened to the file that has, or had, a name in a directory. */
  tellName(kind: ChangeKind, directory: Location, name: string, subject: Subject): void {
    if (this.isEmpty) return;
    if (kind === "create" || kind === "delete" || kind === "rename") {
      for (const tap of this.#taps) {
        if (tap !== this.muted) tap.renamed(directory.inode, name, subject.inode);
      }
    }
    for (const watcher of this.#watchers) {
      const below = pathBelow(watcher, directory, name);
      if (below === undefined) continue;
      watcher.listener({ kind, name: below, isDirectory: subject.isDirectory });
    }
    // That a name comes is nothing that happens to the file itself.
    if (kind !== "create") this.#tellItself(kind, subject);
  }

  #tellItself(kind: ChangeKind, { inode, isDirectory: directory }: Subject): void {
    for (const tap of this.#taps) if (tap !== this.muted) tap.changed(inode);
    for (const { inode: watched, listener } of this.#watchers) {
      if (!isWatched(watched, inode)) continue;
      listener({ kind, name: undefined, isDirectory: directory });
    }
  }
}

/** The same file, and not one that has its number now. */
function isWatched(watched: Inode, inode: Inode): boolean {
  return isSameFile(watched, inode) && watched.generation === inode.generation;
}

/** The path from what is watched to a name; undefined when that does not lie below. */
function pathBelow(watcher: Watcher, directory: Location, name: string): string | undefined {
  let path = name;
  for (let at: Location | undefined = directory; at !== undefined; at = at.parent) {
    if (isWatched(watcher.inode, at.inode)) return path;
    if (!watcher.recursive) return undefined;
    path = `${at.name}/${path}`;
  }
  return undefined;
}
