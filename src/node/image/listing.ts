/**
 * What an image holds, as data: what `ls`, `tree`, `stat`, `df` and `extents` show.
 *
 * @module
 */
import type { FileExtent } from "../../vfs/extents.ts";
import { extentsIn } from "../../vfs/extents.ts";
import type { Attributes, Inode, Statfs } from "../../vfs/filesystem.ts";
import { isDirectory, isSymlink } from "../../vfs/modes.ts";
import { type Visit, sortedEntries, walkSubtree } from "../../vfs/subtree.ts";
import { xattrsOf } from "../../vfs/xattrs.ts";
import type { Volume } from "../volume.ts";

/** A file under one of its names. */
export interface NamedFile {
  /** Bytes that are no UTF-8 escaped, as in `lib/utf8`. */
  readonly name: string;
  readonly inode: Inode;
}

/** All that stat shows, and the target of a link. */
export interface FileStatus extends Attributes {
  readonly ino: number;
  readonly generation: number;
  /** Of a symbolic link. */
  readonly target: string | undefined;
  /** Names and values, in media order. */
  readonly xattrs: readonly (readonly [name: string, value: Uint8Array])[];
}

/** What `df` shows of a volume. */
export interface VolumeSpace extends Statfs {
  readonly type: string;
  /** Blocks in use. */
  readonly used: number;
}

/**
 * The entries of a directory sorted by name, without `.` and `..`; a file is listed by itself.
 * @throws ENOENT and whatever the walk says; EUCLEAN
 */
export function listDirectory(volume: Volume, path: string): NamedFile[] {
  const { inode, name } = volume.tree.locate(path, { syscall: "ls" });
  if (!isDirectory(inode.mode)) return [{ name, inode }];
  return sortedEntries(inode).map((entry) => ({
    name: entry.name,
    inode: inode.filesystem.inode(entry.ino),
  }));
}

/** Everything below a place, the place itself first, directories before their entries, sorted. */
export function* treeOf(volume: Volume, path: string): Generator<Visit, void> {
  const { inode } = volume.tree.locate(path, { syscall: "tree" });
  for (const visit of walkSubtree(inode)) if (!visit.leaving) yield visit;
}

/** What is known of a file; a link in the last place is not followed unless asked. */
export function statOf(volume: Volume, path: string, follow = false): FileStatus {
  const { inode } = volume.tree.locate(path, { syscall: "stat", follow });
  return {
    ...inode.attributes(),
    ino: inode.ino,
    generation: inode.generation,
    target: isSymlink(inode.mode) ? inode.readlink() : undefined,
    xattrs: [...xattrsOf(inode)].flatMap(({ name, value }) =>
      value === undefined ? [] : [[name, value] as const],
    ),
  };
}

/** The extents of a file in its order, contiguous neighbours as one: FIEMAP's list. */
export function extentsOf(volume: Volume, path: string): FileExtent[] {
  const { inode } = volume.tree.locate(path, { syscall: "fiemap" });
  // What is allocated behind the end of a file is its own, too.
  return [...extentsIn(inode, 0, Number.MAX_SAFE_INTEGER)];
}

/** Sizes of the filesystem. */
export function dfOf(volume: Volume): VolumeSpace {
  const statfs = volume.statfs();
  return { ...statfs, type: volume.type, used: statfs.blocks - statfs.bfree };
}
