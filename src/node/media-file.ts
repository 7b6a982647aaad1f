/**
 * The file or device behind a media: opened, locked, sized.
 *
 * @module
 */
import { constants as bufferLimits } from "node:buffer";
import {
  type Stats,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  statfsSync,
} from "node:fs";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Durability, Media, PersistenceDomain } from "../media/media.ts";
import { checkSize } from "../media/bounds.ts";
import { closeUnlocked, claimOn, deviceBusy, lockExclusively } from "./file-lock.ts";
import { libc, SEEK_END } from "./libc.unsafe.ts";
import type { SharedMapping } from "./shares.ts";
import { typed } from "./system-error.ts";

/** How a file becomes media. */
export interface OpenFileOptions {
  /** Look only: no lock is taken, and none is in the way. Stores do not reach the file. */
  readonly readOnly?: boolean;
  /** Make the file, sparse and of this many bytes, unless it is there with just this size. */
  readonly create?: number;
  /** Whether a writer takes the file exclusively; true unless told otherwise. */
  readonly lock?: boolean;
  /**
   * How `flush` works. `auto`: cache-line write-back where the mapping is synchronous, nothing on
   * tmpfs, msync elsewhere. The others are for comparisons: `cache-line` promises nothing that
   * `auto` would not, and the media calls itself volatile unless the mapping is synchronous.
   */
  readonly flush?: "auto" | "cache-line" | "msync";
  /** What a power cut leaves of the caches: `adr` unless told otherwise, `volatile` on tmpfs. */
  readonly domain?: PersistenceDomain;
  /** Bytes of the longest window; a multiple of 64 KiB, 4 GiB by default and at most. */
  readonly segmentBytes?: number;
  /**
   * What others cut off the file is good again as soon as the file has it again: zeros, as a block
   * device over the file would have. Unless told otherwise it stays bad until it is cleared.
   */
  readonly followCuts?: boolean;
  /** Survive SIGBUS by an emitted handler; true unless told otherwise. */
  readonly guard?: boolean;
}

/** Media on a file. */
export interface FileMedia extends Media {
  readonly path: string;
  /** Whether loads and stores go straight to the file's pages: false for a copy in memory. */
  readonly mapped: boolean;
  /** What writes cache lines back: an instruction's name, `libpmem`, or undefined. */
  readonly cacheControl: string | undefined;
  readonly counters: FileMediaCounters;
  /** As of all media. @throws EBUSY while the mapping is shared */
  close(): void;
  /**
   * Makes the file `size` bytes long; what is new reads as zeros. Windows stay
   * usable; `window` answers new ones for what is new, and for a page that the file filled in part.
   * @throws EINVAL for fewer bytes than now, EROFS, ENOTSUP for a device, EFBIG, ENOSPC
   */
  grow(size: number): void;
  /**
   * Lends the mapping out as plain data, so that other threads of the process reach it by address.
   * The media cannot be closed until `release`; what is grown later is not part of it. Absent where
   * nothing is mapped.
   */
  share?(): SharedMapping;
}

/** What a file media did so far. */
export interface FileMediaCounters {
  flushes: number;
  fences: number;
  /** Calls of msync, or of pwrite where nothing is mapped. */
  writes: number;
  writtenBytes: number;
}

/** An open file, its facts settled. */
export interface MediaFile {
  readonly path: string;
  readonly fd: number;
  readonly size: number;
  readonly readOnly: boolean;
  readonly kind: "file" | "device";
  /** A file system in RAM: nothing written there lasts. */
  readonly inRam: boolean;
}

/** Bytes in the longest window: what a view holds on every Node. */
export const LONGEST_WINDOW = Math.min(2 ** 32, bufferLimits.MAX_LENGTH);
/** Windows end on borders that every page size divides. */
const WINDOW_STEP = 65536;

/** Milliseconds that a claim on a device may outlive its holder, and between two looks at it. */
const PATIENCE = 500;
const PAUSE = 5;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** `f_type` of statfs(2). */
const TMPFS_MAGIC = 0x01021994;
const RAMFS_MAGIC = 0x858458f6;

/**
 * Opens, locks and sizes.
 * @throws ENOENT, EACCES and whatever else open says, EBUSY when another writer has it, EEXIST when
 *   `create` finds another size, EINVAL for what cannot be media, EISDIR
 */
export function openMediaFile(path: string, options: OpenFileOptions): MediaFile {
  const readOnly = options.readOnly ?? false;
  if (options.create !== undefined) {
    checkSize("open", options.create, path);
    if (readOnly) throw unusable(path, "create and readOnly exclude each other");
  }
  checkWindow(path, options.segmentBytes ?? LONGEST_WINDOW);
  const fd = openOf(path, readOnly, options.create !== undefined);
  try {
    if (!readOnly && (options.lock ?? true)) lockExclusively(fd, path);
    const stat = fstatSync(fd);
    const kind = kindOf(path, stat);
    const size = sized(
      path,
      fd,
      kind === "device" ? deviceSize(fd, path, stat) : stat.size,
      options,
    );
    if (size === 0) {
      throw unusable(path, readOnly ? "it is empty" : "it is empty; create it with a size");
    }
    const inRam = kind === "file" && isInRam(path);
    return { path, fd, size, readOnly, kind, inRam };
  } catch (error) {
    closeUnlocked(fd);
    throw error;
  }
}

function checkWindow(path: string, bytes: number): void {
  if (bytes > 0 && bytes % WINDOW_STEP === 0 && bytes <= LONGEST_WINDOW) return;
  throw unusable(
    path,
    `segmentBytes is ${bytes}; give a multiple of ${WINDOW_STEP} up to ${LONGEST_WINDOW}`,
  );
}

function openOf(path: string, readOnly: boolean, create: boolean): number {
  // O_NONBLOCK means nothing to a file; opening a pipe must not wait for its other end.
  const access = constants.O_NONBLOCK | (readOnly ? constants.O_RDONLY : constants.O_RDWR);
  const block = typed(path, () => statSync(path, { throwIfNoEntry: false }))?.isBlockDevice();
  // On a block device O_EXCL refuses what is mounted; on a file it would mean something else.
  const exclusive = block === true && !readOnly ? constants.O_EXCL : 0;
  const making = create && block !== true ? constants.O_CREAT : 0;
  const flags = access | exclusive | making;
  // A child that is just being started shares our descriptors until it runs its own program: it
  // may hold on to a device that was closed here a moment ago.
  for (let waited = 0; ; waited += PAUSE) {
    try {
      return typed(path, () => openSync(path, flags, 0o666));
    } catch (error) {
      if (!isDaxError(error, "EBUSY")) throw error;
      const claim = claimOn(path);
      if (claim !== undefined || waited >= PATIENCE) throw deviceBusy(path, claim);
      Atomics.wait(sleeper, 0, 0, PAUSE);
    }
  }
}

function kindOf(path: string, stat: Stats): MediaFile["kind"] {
  if (stat.isFile()) return "file";
  if (stat.isBlockDevice()) return "device";
  throw unusable(path, "media is a regular file or a block device");
}

function unusable(path: string, detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "open", path, detail });
}

/** Sizes an empty file as `create` asks; any other size must be the one asked for. */
function sized(path: string, fd: number, size: number, options: OpenFileOptions): number {
  const { create } = options;
  if (create === undefined || size === create) return size;
  if (size !== 0) {
    throw new DaxError("EEXIST", {
      syscall: "open",
      path,
      detail: `it has ${size} bytes, not ${create}; open it without create, and grow it`,
    });
  }
  typed(path, () => ftruncateSync(fd, create));
  return create;
}

/** Bytes of a block device: by lseek, or by sysfs where there are no foreign calls. */
function deviceSize(fd: number, path: string, stat: Stats): number {
  const size = libc()?.lseek(fd, 0, SEEK_END) ?? -1;
  if (size > 0) return size;
  const { major, minor } = deviceNumbers(stat.rdev);
  const sectors = typed(path, () =>
    readFileSync(`/sys/dev/block/${major}:${minor}/size`, "utf8").trim(),
  );
  return Number(sectors) * 512;
}

/** glibc's makedev, undone; a number of 32 bits is all that Linux has. */
export function deviceNumbers(rdev: number): { major: number; minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

function isInRam(path: string): boolean {
  const { type } = typed(path, () => statfsSync(path));
  return type === TMPFS_MAGIC || type === RAMFS_MAGIC;
}

/**
 * Makes the file of a media of `from` bytes `size` bytes long; as many as now are none to add.
 * @throws EINVAL for fewer, EROFS, ENOTSUP for a device, EFBIG, ENOSPC
 */
export function growFile(file: MediaFile, from: number, size: number): void {
  const { path, fd } = file;
  checkSize("grow", size, path);
  const refuse = (code: "EROFS" | "ENOTSUP" | "EINVAL", detail: string) =>
    new DaxError(code, { syscall: "grow", path, detail });
  if (file.readOnly) throw refuse("EROFS", "it was opened readOnly");
  if (file.kind === "device") throw refuse("ENOTSUP", "a device keeps its size");
  if (size < from) throw refuse("EINVAL", `${size} is below its ${from} bytes`);
  if (size > from) typed(path, () => ftruncateSync(fd, size));
}

/** How many of the `size` bytes of a media its file has now: others may have cut it. */
export function presentBytes({ fd, kind, path }: MediaFile, size: number): number {
  if (kind === "device") return size;
  return Math.min(size, typed(path, () => fstatSync(fd)).size);
}

/** What is promised, and the domain that follows when nobody names one. */
export function domainOf(durability: Durability, options: OpenFileOptions): PersistenceDomain {
  return options.domain ?? (durability === "volatile" ? "volatile" : "adr");
}
