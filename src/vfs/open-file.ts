/**
 * Open files: an inode with a position.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { daxRead } from "../dax/file-io.ts";
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { aliasOf, isPlain } from "../lib/memory.ts";
import { type FileExtent, extentsIn, seekTo } from "./extents.ts";
import { type FileRun, runsOf } from "./file-runs.ts";
import type { Attributes, DirectoryEntry, Inode } from "./filesystem.ts";
import { type MapOptions, type MappedFile, Mapping } from "./mapping.ts";
import { isDirectory } from "./modes.ts";
import { type Location, type Mount, type MountUser, pathOf } from "./mounts.ts";
import { RunIndex } from "./run-index.ts";

/** From where `seek` counts: lseek(2). */
export type Whence = "set" | "cur" | "end" | "data" | "hole";

/** Holes have no media to show: their views are private zeros, at most so many bytes at once. */
const HOLE_VIEW_BYTES = 65_536;

/** An open regular file or directory; every call but `close` throws EBADF after `close`. */
export class OpenFile implements MountUser {
  readonly inode: Inode;
  readonly mount: Mount;
  /** Where the walk found it; a directory is a place from which relative paths can start. */
  readonly location: Location;
  readonly isDirectory: boolean;
  #open = true;
  #position = 0;
  #viewed = false;
  readonly #runs = new RunIndex();
  // The run that the last view was in, as plain memory: file bytes [from, to) lie at `base`.
  #viewBuffer: ArrayBufferLike | undefined;
  #viewDevice: DaxDevice | undefined;
  #viewFrom = 0;
  #viewTo = 0;
  #viewBase = 0;

  constructor(location: Location) {
    this.inode = location.inode;
    this.mount = location.mount;
    this.location = location;
    this.isDirectory = isDirectory(location.inode.mode);
    this.mount.join(this);
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

  /**
   * Copies from byte `offset` of the file; returns the bytes copied, fewer at the end of the file.
   * @throws EBADF, EISDIR, EINVAL for an offset that is none, EIO over poison, EUCLEAN
   */
  pread(target: Uint8Array, offset: number): number {
    if (!this.#open || this.isDirectory || !(offset >= 0)) this.#refuseRead(offset);
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
   * the media until that is closed, and is not checked: see {@link Mapping} for what is.
   * @throws EBADF, EISDIR, EINVAL, ENXIO, EHWPOISON, EUCLEAN
   */
  view(offset: number, length: number): Uint8Array {
    const last = offset + length;
    if (
      offset >= this.#viewFrom &&
      last <= this.#viewTo &&
      length >= 0 &&
      this.#viewDevice?.alive === true
    ) {
      const at = this.#viewBase + (offset - this.#viewFrom);
      return new Uint8Array(this.#viewBuffer as ArrayBufferLike, at, length);
    }
    return this.#viewSlowly(offset, length);
  }

  /** Maps a range of the file. @throws EBADF, EISDIR, EINVAL, EUCLEAN, ENXIO */
  map(options: MapOptions = {}): Mapping {
    this.#assertOpen("mmap");
    if (this.isDirectory) throw this.#error("EISDIR", "mmap");
    const file: MappedFile = { inode: this.inode, mount: this.mount, path: this.path };
    return new Mapping(file, options);
  }

  /** The extents of the file, as FIEMAP lists them. @throws EBADF, EUCLEAN */
  extents(): Generator<FileExtent> {
    this.#assertOpen("fiemap");
    return extentsIn(this.inode, 0, this.inode.size);
  }

  /**
   * Moves the position and returns it. In a directory, `set` takes a cookie of `readdir`.
   * @throws EBADF, EINVAL for a position before the start, ENXIO for data or holes past the end
   */
  seek(offset: number, whence: Whence): number {
    this.#assertOpen("lseek");
    const target = this.#seekTarget(offset, whence);
    if (!Number.isSafeInteger(target) || target < 0) throw this.#error("EINVAL", "lseek");
    this.#position = target;
    return target;
  }

  /**
   * The next entries of a directory, at most `count`; empty at the end. The position moves behind
   * the last one. @throws EBADF, ENOTDIR, EUCLEAN
   */
  readdir(count = Number.POSITIVE_INFINITY): DirectoryEntry[] {
    this.#assertOpen("getdents64");
    if (!this.isDirectory) throw this.#error("ENOTDIR", "getdents64");
    const entries: DirectoryEntry[] = [];
    if (count <= 0) return entries;
    for (const entry of this.inode.readdir(this.#position)) {
      entries.push(entry);
      this.#position = entry.cookie;
      if (entries.length >= count) break;
    }
    return entries;
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
    if (this.#viewed && !mediaCloses) {
      const detail = "its views alias the media and cannot be taken back; close it first";
      throw new DaxError("EBUSY", { syscall: "umount", path: this.path, detail });
    }
    this.#end();
  }

  #end(): void {
    this.#open = false;
    this.#forgetView();
    this.mount.leave(this);
  }

  #forgetView(): void {
    this.#runs.clear();
    this.#viewBuffer = undefined;
    this.#viewDevice = undefined;
    this.#viewTo = 0;
  }

  #seekTarget(offset: number, whence: Whence): number {
    if (whence === "data" || whence === "hole") return seekTo(this.inode, offset, whence);
    if (whence === "set") return offset;
    return offset + (whence === "cur" ? this.#position : this.inode.size);
  }

  #viewSlowly(offset: number, length: number): Uint8Array {
    if (!this.#open || this.isDirectory || !(offset >= 0)) this.#refuseRead(offset);
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || length < 0) {
      throw this.#error("EINVAL", "mmap");
    }
    if (this.#viewDevice?.alive === false) this.#forgetView();
    if (length === 0 || offset >= this.inode.size) return new Uint8Array(0);
    const run = this.#runs.find(offset) ?? this.#translate(offset);
    return this.#show(run, offset, length);
  }

  /** Translates the whole run that holds `offset`, not just what was asked: more will be asked. */
  #translate(offset: number): FileRun {
    const { inode } = this;
    const map = inode.iomapBegin(offset, inode.size - offset, "report");
    for (const start of [map.offset, offset]) {
      const [run] = runsOf(inode, start, inode.size - start);
      // A short translation, or poison, may stop in front of what was asked.
      if (run === undefined || run.offset + run.length <= offset) continue;
      if (run.memory !== undefined) this.#runs.add(run);
      return run;
    }
    throw this.#error("EUCLEAN", "mmap");
  }

  #show(run: FileRun, offset: number, asked: number): Uint8Array {
    const within = offset - run.offset;
    const length = Math.min(asked, run.length - within);
    const { absence, memory, start } = run;
    if (memory === undefined) {
      if (absence?.code === "EHWPOISON") throw absence.at({ path: this.path });
      const copy = new Uint8Array(Math.min(length, HOLE_VIEW_BYTES));
      return copy.subarray(0, this.pread(copy, offset));
    }
    this.#viewed = true;
    if (!isPlain(memory)) return aliasOf(memory, start + within, length);
    this.#viewBuffer = memory.buffer;
    this.#viewBase = memory.byteOffset + start;
    this.#viewFrom = run.offset;
    this.#viewTo = run.offset + run.length;
    this.#viewDevice = run.device;
    return new Uint8Array(memory.buffer, this.#viewBase + within, length);
  }

  #refuseRead(offset: number): void {
    this.#assertOpen("read");
    if (this.isDirectory) throw new DaxError("EISDIR", { syscall: "read" });
    const detail = `offset ${offset}`;
    throw new DaxError("EINVAL", { syscall: "read", path: this.path, detail });
  }

  #assertOpen(syscall: string): void {
    if (!this.#open) throw new DaxError("EBADF", { syscall });
  }

  #error(code: ErrnoCode, syscall: string): DaxError {
    return new DaxError(code, { syscall, path: this.path });
  }
}
