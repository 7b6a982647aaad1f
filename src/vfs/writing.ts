/**
 * Changing filesystems: the fourth waist, the writing half. An inode of a filesystem that was
 * mounted for writing has `writing`; elsewhere it is undefined, and the vfs says EROFS.
 *
 * A filesystem does what it is told: names were checked by the path walk (not empty, no `/`, no
 * NUL, not `.` or `..`), permissions by whoever has credentials, types by the calls above. What it
 * owns are its own rules: limits, space, flags (immutable, append-only), and that every call is
 * atomic: after a power cut all of it is there or none, and after an error nothing has changed
 * unless a call says otherwise. Nothing is durable before `sync`.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import type { Inode } from "./filesystem.ts";

/** A file to be made. */
export interface NewFile {
  /** Type and permission bits; the umask was applied. */
  readonly mode: number;
  readonly uid: number;
  /** Of a directory with the setgid bit it is that directory's instead. */
  readonly gid: number;
  /** Device nodes: the number as Linux's 64-bit `makedev`. */
  readonly rdev?: number | undefined;
  /** Symbolic links: the target, encoded as names are. */
  readonly target?: string | undefined;
}

/** What chmod, chown and utimensat change; what is absent stays. ctime follows by itself. */
export interface AttributeChange {
  /** Permission bits; the type stays. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** `now`: the time of the filesystem's own clock. */
  readonly atime?: Timespec | "now";
  readonly mtime?: Timespec | "now";
}

/** How `rename` treats a target that exists: not at all, replaced by default, or swapped. */
export interface RenameOptions {
  /** RENAME_NOREPLACE: EEXIST when the new name is taken. */
  readonly noReplace?: boolean;
  /** RENAME_EXCHANGE: both names exist, and each gets the other's file. */
  readonly exchange?: boolean;
}

/** fallocate(2). `allocate` and `zero` may grow the file unless `keepSize`; `punch` never does. */
export type FallocateMode = "allocate" | "punch" | "zero" | "collapse" | "insert";

/** All of them. */
export const FALLOCATE_MODES: readonly FallocateMode[] = [
  "allocate",
  "punch",
  "zero",
  "collapse",
  "insert",
];

/** What changes an inode, and for a directory the names in it. */
export interface InodeWriting {
  /**
   * Directories: makes a file of any type under a name that is free.
   * @throws EEXIST, ENOSPC, EDQUOT, EMLINK for a directory too many, ENAMETOOLONG, EPERM for an
   *   immutable directory, ENOENT for a directory that was removed, EROFS after an abort, EIO
   */
  make(name: string, file: NewFile): Inode;
  /**
   * Directories: a regular file without a name (O_TMPFILE), gone at its last close unless linked.
   */
  makeUnnamed(file: NewFile): Inode;
  /** Directories: another name for a file of the same filesystem. @throws EEXIST, EMLINK, EPERM */
  link(name: string, target: Inode): void;
  /**
   * Directories: removes a name, and the file when it was its last and nobody holds it.
   * @throws ENOENT, EISDIR, EPERM for what is immutable or append-only
   */
  unlink(name: string): void;
  /** Directories: removes an empty directory. @throws ENOENT, ENOTDIR, ENOTEMPTY, EPERM */
  rmdir(name: string): void;
  /**
   * Directories: moves `name` into `directory` as `newName`, in one transaction. That a directory
   * does not move into itself is proved by the caller.
   * @throws ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EMLINK, ENOSPC, EPERM
   */
  rename(name: string, directory: Inode, newName: string, options?: RenameOptions): void;

  /** @throws EPERM for an immutable or append-only file; EOVERFLOW never: times are clamped */
  change(change: AttributeChange): void;
  /**
   * Somebody has read it: atime becomes now, or `relative` only where it is not later than mtime
   * or ctime, or a day old. ctime stays. True when it has changed; `sync` need not wait for it.
   * @throws ENOSPC, EROFS, EIO
   */
  accessed(rule: "relative" | "strict"): boolean;
  /**
   * Regular files: a new size; new bytes are holes that read as zeros. Privileges go as with a
   * write. @throws EFBIG, EPERM
   */
  truncate(size: number): void;
  /**
   * Regular files: copies `source` to byte `offset`, growing the file; returns how many bytes. Sets
   * mtime and drops capabilities. Setuid and setgid stay, as for a caller who may set them: who
   * acts for somebody else takes them away.
   * @throws ENOSPC, EFBIG, EPERM, EIO: each only when not a byte was written
   */
  write(source: Uint8Array, offset: number): number;
  /**
   * @throws EOPNOTSUPP where the format cannot, EINVAL for ranges it may not have, ENOSPC, EFBIG
   */
  fallocate(mode: FallocateMode, offset: number, length: number, keepSize?: boolean): void;

  /** @throws EEXIST with `create`, ENODATA with `replace`, ENOSPC, E2BIG, ERANGE, EOPNOTSUPP */
  setxattr(name: string, value: Uint8Array, how?: "create" | "replace"): void;
  /** @throws ENODATA, EOPNOTSUPP */
  removexattr(name: string): void;
  /** The flags of chattr(1) (FS_*_FL) that this filesystem knows and lets users set. */
  flags: number;

  /**
   * Makes everything durable that was done to this file: its data, its size, and the names of it
   * that this mount made. `data`: what only reading it back does not need may wait (fdatasync).
   * With a range (bytes), of the contents that wait in memory those of its pages: msync(2) of a
   * part.
   * @throws EIO once for an error that happened in between, EROFS after an abort
   */
  sync(how: "all" | "data", range?: { readonly offset: number; readonly length: number }): void;
  /** An open file holds the inode: it lives on when its last name goes. Counted. */
  hold(): void;
  /** The opposite of `hold`; the last one lets a nameless file go. */
  release(): void;
}
