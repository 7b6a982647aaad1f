/**
 * Open files: an inode with a position.
 *
 * @module
 */
import { daxRead } from "../dax/file-io.ts";
import { DaxError, type ErrnoCode, type ErrorContext, isDaxError } from "../lib/errno.ts";
import { assertMayCut, assertSize, changeAttributes, dropPrivileges } from "./attribute-changes.ts";
import { inCall, writingOf } from "./calls.ts";
import { type FileExtent, extentsIn, seekTo } from "./extents.ts";
import { FileViews } from "./file-views.ts";
import type { Attributes, DirectoryEntry, Inode } from "./filesystem.ts";
import {
  type LayoutOptions,
  assertRange,
  changeLayout,
  changedBy,
  cutFrom,
} from "./layout-changes.ts";
import { type MapOptions, type MappedFile, assertMapOptions } from "./map-options.ts";
import { Mapping } from "./mapping.ts";
import { isDirectory } from "./modes.ts";
import { type Location, type Mount, type MountUser, pathOf } from "./mounts.ts";
import type { OpenMode } from "./open-mode.ts";
import { flushRange } from "./mapped-pages.ts";
import { type Credentials, denied } from "./permissions.ts";
import type { AttributeChange, FallocateMode, InodeWriting } from "./writing.ts";
import { getXattr, listXattrs, removeXattr, setXattr } from "./xattr-rules.ts";

/** From where `seek` counts: lseek(2). */
export type Whence = "set" | "cur" | "end" | "data" | "hole";

const SET_ID_BITS = 0o6000;

/** An open regular file or directory; every call but `close` throws EBADF after `close`. */
export class OpenFile implements MountUser {
  readonly inode: Inode;
  readonly mount: Mount;
  /** Where the walk found it; a directory is a place from which relative paths can start. */
  readonly location: Location;
  readonly isDirectory: boolean;
  readonly #isPlace: boolean;
  readonly #reads: boolean;
  readonly #append: boolean;
  readonly #sync: "all" | "data" | undefined;
  readonly #credentials: Credentials | undefined;
  readonly #linkable: boolean;
  /** What changes the bytes; undefined when it was not opened for that. */
  readonly #writing: InodeWriting | undefined;
  #open = true;
  #position = 0;
  /** Made when somebody looks; most files are closed before. */
  #views: FileViews | undefined;

  /** @throws EROFS when it is to be written and the filesystem is not */
  constructor(location: Location, mode: OpenMode = {}) {
    const { access = "read", append = false, sync, credentials, linkable = true } = mode;
    const { inode, mount } = location;
    this.inode = inode;
    this.mount = mount;
    this.location = location;
    this.isDirectory = isDirectory(inode.mode);
    this.#isPlace = access === "none";
    this.#reads = access === "read" || access === "readwrite";
    const writes = access === "write" || access === "readwrite";
    this.#writing = writes ? writingOf(inode) : undefined;
    this.#append = append;
    this.#sync = sync;
    this.#credentials = credentials;
    this.#linkable = linkable;
    inode.writing?.hold();
    mount.join(this);
  }

  /** The absolute path under which it was opened, without links. */
  get path(): string {
    return pathOf(this.location);
  }

  get closed(): boolean {
    return !this.#open;
  }

  /** Bytes from the start; in a directory, the cookie behind the last entry read. */
  get position(): number {
    return this.#position;
  }

  /** What fstat shows. @throws EBADF after close */
  attributes(): Attributes {
    this.#assertOpen("fstat");
    return this.inode.attributes();
  }

  /** Whether bytes may be written. */
  get isWritable(): boolean {
    return this.#writing !== undefined;
  }

  /**
   * Copies from byte `offset` of the file; returns the bytes copied, fewer at the end of the file.
   * @throws EBADF, EISDIR, EINVAL for an offset that is none, EIO over poison, EUCLEAN
   */
  pread(target: Uint8Array, offset: number): number {
    if (!this.#open || this.isDirectory || !this.#reads || !(offset >= 0)) this.#refuseRead(offset);
    if (target.length > 0) this.mount.accessed(this.inode);
    return daxRead(this.inode, target, offset);
  }

  /** As `pread`, into one target after the other. */
  preadv(targets: readonly Uint8Array[], offset: number): number {
    let done = 0;
    for (const target of targets) {
      const count = this.pread(target, offset + done);
      done += count;
      if (count < target.length) break;
    }
    return done;
  }

  /** As `pread` from the position, which moves on. */
  read(target: Uint8Array): number {
    const count = this.pread(target, this.#position);
    this.#position += count;
    return count;
  }

  /** As `preadv` from the position, which moves on. */
  readv(targets: readonly Uint8Array[]): number {
    const count = this.preadv(targets, this.#position);
    this.#position += count;
    return count;
  }

  /**
   * Aliases the media: the bytes from `offset`, at most `length` and as many as are contiguous
   * there. Short answers are legal, callers loop; empty at the end of the file. In a hole the
   * answer is private zeros, inline bytes and bytes without dax are private copies. A view shows
   * the media until that is closed, and is not checked: see {@link Mapping} for what is. It shows
   * blocks that were the file's when it was made; those of a file that is cut become another's.
   *
   * A view of a file that is open for writing may be stored to, where it is no private copy.
   * `sync` knows nothing of that: {@link OpenFile.flush} makes it durable.
   * @throws EBADF, EISDIR, EINVAL, ENXIO, EHWPOISON, EUCLEAN
   */
  view(offset: number, length: number): Uint8Array {
    if (!this.#open || !this.#reads) this.#refuseRead(offset);
    return this.#views?.again(offset, length) ?? this.#viewSlowly(offset, length);
  }

  /**
   * Copies `source` to byte `offset`, or to the end of a file that is open to append, and returns
   * how many bytes. What is between the end and `offset` becomes a hole.
   * @throws EBADF when it is not open for writing, EINVAL, ENOSPC, EFBIG, EROFS after an error of
   *   the filesystem, EIO: each only when not a byte was written
   */
  pwrite(source: Uint8Array, offset: number): number {
    const writing = this.#writing;
    if (!this.#open || writing === undefined || !(offset >= 0)) this.#refuseWrite(offset);
    if (source.length === 0) return 0;
    const { inode } = this;
    try {
      if ((inode.mode & SET_ID_BITS) !== 0) dropPrivileges(inode, this.#credentials);
      const count = writing.write(source, this.#append ? inode.size : offset);
      if (this.#sync !== undefined) writing.sync(this.#sync);
      this.mount.watches.tell("modify", this.location);
      return count;
    } catch (error) {
      throw this.#placed(error, "write");
    }
  }

  /** As `pwrite`, of one source after the other. */
  pwritev(sources: readonly Uint8Array[], offset: number): number {
    let done = 0;
    for (const source of sources) {
      const count = this.pwrite(source, offset + done);
      done += count;
      if (count < source.length) break;
    }
    return done;
  }

  /** As `pwrite` at the position, which moves behind what was written. */
  write(source: Uint8Array): number {
    const count = this.pwrite(source, this.#position);
    if (count > 0) this.#position = this.#append ? this.inode.size : this.#position + count;
    return count;
  }

  /** As `write`, of one source after the other. */
  writev(sources: readonly Uint8Array[]): number {
    let done = 0;
    for (const source of sources) {
      const count = this.write(source);
      done += count;
      if (count < source.length) break;
    }
    return done;
  }

  /** Gives the file a size. @throws EBADF after close, EINVAL when not open for writing, EBUSY */
  truncate(size: number, options: LayoutOptions = {}): void {
    this.#change("ftruncate", "modify", () => {
      const writing = this.#writing;
      if (writing === undefined) throw denied("EINVAL", "the file is not open for writing");
      assertSize(size);
      assertMayCut(writing);
      changeLayout(this.inode, cutFrom(size), options, () => {
        dropPrivileges(this.inode, this.#credentials);
        writing.truncate(size);
      });
    });
  }

  /**
   * Makes blocks for a range of the file, takes them, or moves what is behind it: fallocate(2).
   * @throws EBADF when not open for writing, EINVAL, ENOSPC, EFBIG, EOPNOTSUPP, EPERM, EBUSY
   */
  fallocate(
    mode: FallocateMode,
    offset: number,
    length: number,
    keepSize = false,
    options: LayoutOptions = {},
  ): void {
    this.#change("fallocate", "modify", () => {
      assertRange(mode, offset, length, keepSize);
      const writing = this.#writing;
      if (writing === undefined) throw denied("EBADF", "the file is not open for writing");
      if (mode !== "allocate") assertMayCut(writing);
      changeLayout(this.inode, changedBy(mode, offset, length), options, () => {
        dropPrivileges(this.inode, this.#credentials);
        writing.fallocate(mode, offset, length, keepSize);
      });
      if (this.#sync !== undefined) writing.sync(this.#sync);
    });
  }

  /** Makes durable what was done to the file: fsync(2), or `data`: fdatasync(2). @throws EIO */
  sync(how: "all" | "data" = "all"): void {
    this.#assertUsable(how === "all" ? "fsync" : "fdatasync");
    try {
      this.mount.writeBack(this.inode);
      this.inode.writing?.sync(how);
    } catch (error) {
      throw this.#placed(error, how === "all" ? "fsync" : "fdatasync");
    }
  }

  /** fchmod, fchown and futimens in one. @throws EBADF, EROFS, EPERM, EACCES */
  change(change: AttributeChange): void {
    const syscall = "mode" in change ? "fchmod" : "uid" in change ? "fchown" : "futime";
    this.#change(syscall, "attributes", () => {
      changeAttributes(this.inode, change, this.#credentials);
    });
  }

  /** The value of an attribute; undefined for one that is not there. @throws EBADF, ERANGE */
  getxattr(name: string): Uint8Array | undefined {
    this.#assertUsable("fgetxattr");
    return inCall(this.#context("fgetxattr"), () => getXattr(this.inode, name, this.#credentials));
  }

  /** The names of all attributes. @throws EBADF */
  listxattr(): readonly string[] {
    this.#assertUsable("flistxattr");
    return inCall(this.#context("flistxattr"), () => listXattrs(this.inode, this.#credentials));
  }

  /** @throws EBADF, EEXIST, ENODATA, ENOSPC, EPERM, EACCES, ERANGE, E2BIG, EROFS */
  setxattr(name: string, value: Uint8Array, how?: "create" | "replace"): void {
    this.#change("fsetxattr", "attributes", () => {
      setXattr(this.inode, name, value, how, this.#credentials);
    });
  }

  /** @throws EBADF, ENODATA, EPERM, EACCES, ERANGE, EROFS */
  removexattr(name: string): void {
    this.#change("fremovexattr", "attributes", () => {
      removeXattr(this.inode, name, this.#credentials);
    });
  }

  /** Whether a new name may be given to it. @throws EBADF, ENOENT */
  assertLinkable(): void {
    this.#assertOpen("link");
    if (this.#linkable || this.inode.attributes().nlink > 0) return;
    throw denied("ENOENT", "the file was made to have no name");
  }

  /**
   * Makes durable what was stored through views of a range: cache lines are written back, and
   * nothing else happens. For what leads to the bytes see `sync`; it stays as it is while only
   * bytes change. @throws EBADF when it is not open for writing, EINVAL, ENXIO, EUCLEAN
   */
  flush(offset: number, length: number): void {
    if (!this.#open || this.#writing === undefined || !(offset >= 0)) this.#refuseWrite(offset);
    inCall(this.#context("msync"), () => flushRange(this.inode, offset, length));
  }

  /**
   * Maps a range of the file. A mapping to be written needs a file that is open for reading and
   * writing. @throws EBADF, EISDIR, EINVAL, EACCES, EPERM, ENOSPC, EUCLEAN, ENXIO
   */
  map(options: MapOptions = {}): Mapping {
    this.#assertUsable("mmap");
    if (this.isDirectory) throw this.#error("EISDIR", "mmap");
    const { path } = this;
    assertMapOptions(path, options);
    const writes = options.access === "write" && options.private !== true;
    if (!this.#reads || (writes && this.#writing === undefined))
      throw this.#error("EACCES", "mmap");
    const file: MappedFile = { inode: this.inode, mount: this.mount, path };
    return inCall(this.#context("mmap"), () => {
      if (writes) assertMayCut(this.inode.writing);
      this.mount.accessed(this.inode);
      return new Mapping(file, options);
    });
  }

  /** The extents of the file as FIEMAP lists them, behind its end, too. @throws EBADF, EUCLEAN */
  extents(): Generator<FileExtent> {
    this.#assertUsable("fiemap");
    return extentsIn(this.inode, 0, Number.MAX_SAFE_INTEGER);
  }

  /**
   * Moves the position and returns it. In a directory, `set` takes a cookie of `readdir`.
   * @throws EBADF, EINVAL for a position before the start, ENXIO for data or holes past the end
   */
  seek(offset: number, whence: Whence): number {
    this.#assertUsable("lseek");
    const target = this.#seekTarget(offset, whence);
    if (!Number.isSafeInteger(target) || target < 0) throw this.#error("EINVAL", "lseek");
    return (this.#position = target);
  }

  /**
   * The next entries of a directory, at most `count`; empty at the end. The position moves behind
   * the last one. @throws EBADF, ENOTDIR, EUCLEAN
   */
  readdir(count = Number.POSITIVE_INFINITY): DirectoryEntry[] {
    this.#assertUsable("getdents64");
    if (!this.isDirectory) throw this.#error("ENOTDIR", "getdents64");
    const entries: DirectoryEntry[] = [];
    if (count <= 0) return entries;
    this.mount.accessed(this.inode);
    for (const entry of this.inode.readdir(this.#position)) {
      entries.push(entry);
      this.#position = entry.cookie;
      if (entries.length >= count) break;
    }
    return entries;
  }

  get storesRaw(): boolean {
    return this.isWritable && this.#views?.handedOut === true;
  }

  describe(): string {
    return `open file ${this.path}`;
  }

  /** @throws EBADF when it is closed already */
  close(): void {
    this.#assertOpen("close");
    this.#end();
  }

  /** @throws EBUSY when views were handed out, unless the media closes next */
  revoke(mediaCloses = false): void {
    if (!this.#open) return;
    if (this.#views?.handedOut === true && !mediaCloses) {
      const detail = "its views alias the media and cannot be taken back; close it first";
      throw new DaxError("EBUSY", { syscall: "umount", path: this.path, detail });
    }
    this.#end();
  }

  #end(): void {
    this.#open = false;
    this.#views?.forget();
    this.mount.leave(this);
    this.inode.writing?.release();
  }

  #seekTarget(offset: number, whence: Whence): number {
    if (whence === "data" || whence === "hole") return seekTo(this.inode, offset, whence);
    if (whence === "set") return offset;
    return offset + (whence === "cur" ? this.#position : this.inode.size);
  }

  #viewSlowly(offset: number, length: number): Uint8Array {
    if (this.isDirectory || !(offset >= 0)) this.#refuseRead(offset);
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || length < 0) {
      throw this.#error("EINVAL", "mmap");
    }
    try {
      return (this.#views ??= new FileViews(this.inode, this.isWritable)).at(offset, length);
    } catch (error) {
      throw this.#placed(error, "mmap");
    }
  }

  /** Runs a change; its errors say where, and who watches hears of it. */
  #change(syscall: string, kind: "modify" | "attributes", body: () => void): void {
    this.#assertUsable(syscall);
    inCall(this.#context(syscall), body);
    this.mount.watches.tell(kind, this.location);
  }

  #context(syscall: string): ErrorContext {
    return { syscall, path: this.path };
  }

  #placed(error: unknown, syscall: string): unknown {
    return isDaxError(error) ? error.at(this.#context(syscall)) : error;
  }

  #refuseWrite(offset: number): never {
    this.#assertOpen("write");
    if (this.#writing === undefined) throw new DaxError("EBADF", { syscall: "write" });
    const detail = `offset ${offset}`;
    throw new DaxError("EINVAL", { syscall: "write", path: this.path, detail });
  }

  #refuseRead(offset: number): never {
    this.#assertUsable("read");
    if (this.isDirectory) throw new DaxError("EISDIR", { syscall: "read" });
    if (!this.#reads) throw new DaxError("EBADF", { syscall: "read" });
    const detail = `offset ${offset}`;
    throw new DaxError("EINVAL", { syscall: "read", path: this.path, detail });
  }

  #assertOpen(syscall: string): void {
    if (!this.#open) throw new DaxError("EBADF", { syscall });
  }

  /** Open, and not only as a place. */
  #assertUsable(syscall: string): void {
    if (!this.#open || this.#isPlace) throw new DaxError("EBADF", { syscall });
  }

  #error(code: ErrnoCode, syscall: string): DaxError {
    return new DaxError(code, { syscall, path: this.path });
  }
}
