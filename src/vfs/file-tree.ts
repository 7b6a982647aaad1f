/**
 * A tree of files: mounted filesystems under one root, and the calls that take a path.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import type { DirectoryEntry, Filesystem, Inode, Statfs } from "./filesystem.ts";
import { isDirectory, isSymlink, openRefusal } from "./modes.ts";
import { type Location, type Mount, MountTable, type UnmountOptions, pathOf } from "./mounts.ts";
import { OpenFile } from "./open-file.ts";
import { type WalkOptions, walk } from "./path-walk.ts";

/** How a file is opened. */
export interface OpenOptions {
  /** Refuse a link in the last place (O_NOFOLLOW): ELOOP. */
  readonly noFollow?: boolean;
  /** Refuse what is no directory (O_DIRECTORY): ENOTDIR. */
  readonly directory?: boolean;
  /** Where a relative path starts; the root of the tree unless given. */
  readonly from?: Location;
  /** Named in errors; `open` unless given. */
  readonly syscall?: string;
}

/** Mounted filesystems under one root. Relative paths start at the root unless told otherwise. */
export class FileTree {
  readonly mounts: MountTable;

  constructor(filesystem: Filesystem) {
    this.mounts = new MountTable(filesystem);
  }

  /** The root of the tree. */
  get root(): Location {
    return this.mounts.root.root;
  }

  /**
   * The place a path names; links in the last place are followed unless told otherwise.
   * @throws ENOENT, ENOTDIR, ELOOP (more than 40 links), ENAMETOOLONG (a name of more than 255
   *   bytes, a path of 4096 or more), EINVAL (a NUL), and what the filesystem says of itself
   */
  locate(path: string, options: Partial<WalkOptions> = {}): Location {
    return walk(this.mounts, path, { syscall: "stat", ...options });
  }

  /** The inode a path names, links followed. @throws as {@link locate} */
  stat(path: string, options: Partial<WalkOptions> = {}): Inode {
    return this.locate(path, options).inode;
  }

  /** The inode a path names, a link itself. @throws as {@link locate} */
  lstat(path: string, options: Partial<WalkOptions> = {}): Inode {
    return this.locate(path, { syscall: "lstat", ...options, follow: false }).inode;
  }

  /**
   * Opens a regular file or a directory for reading.
   * @throws as {@link locate}; ELOOP, ENOTDIR by options; ENXIO for a device, fifo or socket
   */
  open(path: string, options: OpenOptions = {}): OpenFile {
    const { noFollow = false, directory = false, syscall = "open", from } = options;
    const location = this.locate(path, {
      syscall,
      follow: !noFollow,
      ...(from === undefined ? {} : { from }),
    });
    const { mode } = location.inode;
    if (directory && !isDirectory(mode)) {
      throw new DaxError(isSymlink(mode) ? "ELOOP" : "ENOTDIR", { syscall, path });
    }
    const refusal = openRefusal(mode);
    if (refusal === undefined) return new OpenFile(location);
    const detail = "devices, fifos and sockets of an image have nobody at their other end";
    throw new DaxError(refusal, { syscall, path, ...(refusal === "ENXIO" ? { detail } : {}) });
  }

  /** The target of a link. @throws EINVAL on anything else, and as {@link locate} */
  readlink(path: string): string {
    const inode = this.lstat(path, { syscall: "readlink" });
    if (!isSymlink(inode.mode)) throw new DaxError("EINVAL", { syscall: "readlink", path });
    return inode.readlink();
  }

  /** The absolute path without links. @throws as {@link locate} */
  realpath(path: string): string {
    return pathOf(this.locate(path, { syscall: "realpath" }));
  }

  /** The entries of a directory, without `.` and `..`, in media order. @throws ENOTDIR */
  *readdir(path: string, syscall = "scandir"): Generator<DirectoryEntry> {
    const { inode } = this.locate(path, { syscall });
    if (!isDirectory(inode.mode)) throw new DaxError("ENOTDIR", { syscall, path });
    for (const entry of inode.readdir(0)) {
      if (entry.name !== "." && entry.name !== "..") yield entry;
    }
  }

  /** Sizes of the filesystem that holds a path. @throws as {@link locate} */
  statfs(path = "/"): Statfs {
    return this.locate(path, { syscall: "statfs" }).mount.filesystem.statfs();
  }

  /** Mounts a filesystem on a directory. @throws ENOENT, ENOTDIR, EBUSY */
  mount(path: string, filesystem: Filesystem): Mount {
    return this.mounts.mount(this.locate(path, { syscall: "mount" }), filesystem);
  }

  /** Unmounts what is mounted at a path. @throws EINVAL when nothing is; EBUSY while in use */
  unmount(path: string, options: UnmountOptions = {}): void {
    const location = this.locate(path, { syscall: "umount" });
    if (location.mount.root !== location) throw this.#error("EINVAL", path, "not a mount point");
    this.mounts.unmount(location.mount, options);
  }

  /** Unmounts everything. @throws EBUSY while anything is in use, unless told to revoke it */
  close(options: UnmountOptions = {}): void {
    this.mounts.close(options);
  }

  #error(code: ErrnoCode, path: string, detail: string): DaxError {
    return new DaxError(code, { syscall: "umount", path, detail });
  }
}
