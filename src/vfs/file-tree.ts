/**
 * A tree of files: mounted filesystems under one root, and the calls that take a path.
 *
 * @module
 */
import type { LayoutOptions } from "./layout-changes.ts";
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import {
  type TimeChange,
  assertAccess,
  changeMode,
  changeOwner,
  changeSize,
  changeTimes,
} from "./attribute-changes.ts";
import {
  type CallOptions,
  type FollowOptions,
  type TwoPathOptions,
  inCall,
  walkOptions,
} from "./calls.ts";
import type { DirectoryEntry, Filesystem, Inode, Statfs } from "./filesystem.ts";
import {
  type MakeOptions,
  type MknodOptions,
  makeDirectory,
  makeLink,
  makeNode,
  makeSymlink,
} from "./making.ts";
import { isDirectory, isSymlink } from "./modes.ts";
import { type Location, type Mount, MountTable, type UnmountOptions, pathOf } from "./mounts.ts";
import type { OpenFile } from "./open-file.ts";
import { type OpenOptions, openFile } from "./opening.ts";
import { type WalkOptions, walk } from "./path-walk.ts";
import { type Credentials, MAY_READ, assertPermitted } from "./permissions.ts";
import { removeDirectory, unlinkName } from "./removing.ts";
import { type RenameCallOptions, renameName } from "./renaming.ts";
import type { Watch, WatchListener, WatchOptions } from "./watches.ts";
import { assertXattrName, getXattr, listXattrs, removeXattr, setXattr } from "./xattr-rules.ts";

/** Options of setxattr. */
export interface SetXattrOptions extends FollowOptions {
  /** `create`: EEXIST when it is there; `replace`: ENODATA when it is not. */
  readonly how?: "create" | "replace";
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
   * Opens a regular file or a directory, which may be made by it.
   * @throws as {@link locate}; ELOOP, ENOTDIR, EEXIST, EISDIR, EINVAL by options; ENXIO for a
   *   device, fifo or socket; EROFS, EACCES, EPERM, ENOSPC
   */
  open(path: string, options: OpenOptions = {}): OpenFile {
    return openFile(this.mounts, path, options);
  }

  /** Makes a directory. @throws as {@link locate}; EEXIST, EROFS, EACCES, EMLINK, ENOSPC */
  mkdir(path: string, options: MakeOptions = {}): Inode {
    return makeDirectory(this.mounts, path, options);
  }

  /**
   * Makes a regular file, a device, a fifo or a socket, as the type in `mode` says.
   * @throws as {@link mkdir}; EPERM for devices of others than user 0
   */
  mknod(path: string, options: MknodOptions = {}): Inode {
    return makeNode(this.mounts, path, options);
  }

  /** Makes a symbolic link to `target`. @throws as {@link mkdir} */
  symlink(target: string, path: string, options: CallOptions = {}): Inode {
    return makeSymlink(this.mounts, target, path, options);
  }

  /**
   * Gives a file another name; the file is named by a path, or open and may have no name then, or
   * somebody has walked to it already.
   * @throws as {@link mkdir}; EXDEV, EPERM for a directory, EMLINK
   */
  link(
    existing: string | OpenFile | Location,
    path: string,
    options: FollowOptions & TwoPathOptions = {},
  ): void {
    makeLink(this.mounts, existing, path, options);
  }

  /** Removes a name of what is no directory. @throws as {@link locate}; EISDIR, EROFS, EACCES */
  unlink(path: string, options: CallOptions = {}): void {
    unlinkName(this.mounts, path, options);
  }

  /** Removes an empty directory. @throws as {@link locate}; ENOTEMPTY, EBUSY, EINVAL, EROFS */
  rmdir(path: string, options: CallOptions = {}): void {
    removeDirectory(this.mounts, path, options);
  }

  /**
   * Gives a file another name, in place of what has it, or in exchange.
   * @throws as {@link locate}; EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL for a directory into
   *   itself, EXDEV, EBUSY for mount points, EROFS, EACCES, EPERM, ENOSPC
   */
  rename(from: string, to: string, options: RenameCallOptions = {}): void {
    renameName(this.mounts, from, to, options);
  }

  /** Sets permission bits. @throws as {@link locate}; EPERM, EROFS, ENOTSUP for a link */
  chmod(path: string, mode: number, options: FollowOptions = {}): void {
    this.#change(path, options, "chmod", (inode, credentials) => {
      changeMode(inode, mode, credentials);
    });
  }

  /** Sets owner and group; what is undefined stays. @throws as {@link locate}; EPERM, EROFS */
  chown(
    path: string,
    uid: number | undefined,
    gid: number | undefined,
    options: FollowOptions = {},
  ): void {
    const syscall = options.follow === false ? "lchown" : "chown";
    this.#change(path, options, syscall, (inode, credentials) => {
      changeOwner(inode, uid, gid, credentials);
    });
  }

  /** Sets times; what is absent stays. @throws as {@link locate}; EPERM, EACCES, EROFS */
  utimes(path: string, times: TimeChange, options: FollowOptions = {}): void {
    const syscall = options.follow === false ? "lutime" : "utime";
    this.#change(path, options, syscall, (inode, credentials) => {
      changeTimes(inode, times, credentials);
    });
  }

  /** Gives a file a size. @throws as {@link locate}; EINVAL, EISDIR, EROFS, EACCES, EBUSY */
  truncate(path: string, size: number, options: CallOptions & LayoutOptions = {}): void {
    const { syscall = "truncate", credentials } = options;
    inCall({ syscall, path }, () => {
      const location = walk(this.mounts, path, walkOptions(options, syscall));
      changeSize(location.inode, size, credentials, options);
      this.mounts.watches.tell("modify", location);
    });
  }

  /**
   * Whether somebody may do all of `want`: 4 reads, 2 writes, 1 executes or searches; 0: whether
   * it is there. @throws as {@link locate}; EACCES, EROFS
   */
  access(path: string, want = 0, options: FollowOptions = {}): void {
    this.#on(path, options, "access", (inode, credentials) => {
      assertAccess(inode, want, credentials);
    });
  }

  /** The value of an attribute; undefined for one that is not there. @throws as {@link locate} */
  getxattr(path: string, name: string, options: FollowOptions = {}): Uint8Array | undefined {
    inCall({ syscall: options.syscall ?? "getxattr", path }, () => assertXattrName(name));
    return this.#on(path, options, "getxattr", (inode, credentials) =>
      getXattr(inode, name, credentials),
    );
  }

  /** The names of all attributes. @throws as {@link locate} */
  listxattr(path: string, options: FollowOptions = {}): readonly string[] {
    return this.#on(path, options, "listxattr", listXattrs);
  }

  /** @throws as {@link locate}; EEXIST, ENODATA, ENOSPC, EPERM, EACCES, ERANGE, E2BIG, EROFS */
  setxattr(path: string, name: string, value: Uint8Array, options: SetXattrOptions = {}): void {
    inCall({ syscall: options.syscall ?? "setxattr", path }, () => assertXattrName(name));
    this.#change(path, options, "setxattr", (inode, credentials) => {
      setXattr(inode, name, value, options.how, credentials);
    });
  }

  /** @throws as {@link locate}; ENODATA, EPERM, EACCES, ERANGE, EROFS */
  removexattr(path: string, name: string, options: FollowOptions = {}): void {
    inCall({ syscall: options.syscall ?? "removexattr", path }, () => assertXattrName(name));
    this.#change(path, options, "removexattr", (inode, credentials) => {
      removeXattr(inode, name, credentials);
    });
  }

  /** Makes durable what was done to the filesystem that holds a path, or to all. @throws EIO */
  sync(path?: string, options: CallOptions = {}): void {
    if (path === undefined) {
      this.mounts.sync();
      return;
    }
    const { syscall = "syncfs" } = options;
    const { mount } = walk(this.mounts, path, walkOptions(options, syscall));
    inCall({ syscall, path }, () => mount.sync());
  }

  /**
   * Tells `listener` of changes to a file, or in a directory, that are made through this tree.
   * @throws as {@link locate}; EACCES for what may not be read
   */
  watch(path: string, options: WatchOptions & CallOptions, listener: WatchListener): Watch {
    const { syscall = "watch", credentials } = options;
    const { inode } = walk(this.mounts, path, walkOptions(options, syscall));
    inCall({ syscall, path }, () => assertPermitted(inode, MAY_READ, credentials));
    return this.mounts.watches.add(inode, options, listener);
  }

  /** The target of a link. @throws EINVAL on anything else, and as {@link locate} */
  readlink(path: string, options: CallOptions = {}): string {
    const { syscall = "readlink" } = options;
    const { inode, mount } = walk(this.mounts, path, walkOptions(options, syscall, false));
    if (!isSymlink(inode.mode)) throw new DaxError("EINVAL", { syscall, path });
    const target = inode.readlink();
    mount.accessed(inode);
    return target;
  }

  /** The absolute path without links. @throws as {@link locate} */
  realpath(path: string, options: CallOptions = {}): string {
    return pathOf(walk(this.mounts, path, walkOptions(options, options.syscall ?? "realpath")));
  }

  /** The entries of a directory, without `.` and `..`, in media order. @throws ENOTDIR */
  *readdir(
    path: string,
    syscall = "scandir",
    options: CallOptions = {},
  ): Generator<DirectoryEntry> {
    const { inode, mount } = walk(this.mounts, path, walkOptions(options, syscall));
    if (!isDirectory(inode.mode)) throw new DaxError("ENOTDIR", { syscall, path });
    inCall({ syscall, path }, () => assertPermitted(inode, MAY_READ, options.credentials));
    mount.accessed(inode);
    for (const entry of inode.readdir(0)) {
      if (entry.name !== "." && entry.name !== "..") yield entry;
    }
  }

  /** Sizes of the filesystem that holds a path. @throws as {@link locate} */
  statfs(path = "/", options: CallOptions = {}): Statfs {
    const { mount } = walk(this.mounts, path, walkOptions(options, options.syscall ?? "statfs"));
    return mount.filesystem.statfs();
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

  /** Runs a call on what a path names. */
  #on<T>(
    path: string,
    options: FollowOptions,
    name: string,
    body: (inode: Inode, credentials: Credentials | undefined) => T,
  ): T {
    const { syscall = name, credentials } = options;
    const { inode } = walk(this.mounts, path, walkOptions(options, syscall));
    return inCall({ syscall, path }, () => body(inode, credentials));
  }

  /** As `#on`, and who watches hears of it. */
  #change(
    path: string,
    options: FollowOptions,
    name: string,
    body: (inode: Inode, credentials: Credentials | undefined) => void,
  ): void {
    const { syscall = name, credentials } = options;
    const location = walk(this.mounts, path, walkOptions(options, syscall));
    inCall({ syscall, path }, () => body(location.inode, credentials));
    this.mounts.watches.tell("attributes", location);
  }

  #error(code: ErrnoCode, path: string, detail: string): DaxError {
    return new DaxError(code, { syscall: "umount", path, detail });
  }
}
