/**
 * Filesystems and inodes: the fourth waist, the reading half (the other is `writing.ts`). All of it
 * is synchronous, names are strings in which a byte that is not UTF-8 stands as a lone surrogate
 * U+DC80 to U+DCFF (see `lib/utf8.ts`), and absence is `undefined`: ENOENT is made at the path
 * walk.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import type { Iomappable } from "../dax/iomap.ts";
import type { BytesOwner } from "../dax/media-failures.ts";
import type { Environment, Timespec } from "../lib/environment.ts";
import type { Range } from "../lib/range-set.ts";
import type { Freezing } from "./freezing.ts";
import type { InodeWriting } from "./writing.ts";

/** One finding of a read-only check. */
export interface Finding {
  /** Stable and greppable: `ext.bitmap.block`. */
  readonly code: string;
  readonly severity: "note" | "warning" | "error";
  /** The structure: `group 3 block bitmap`, `inode 12`. */
  readonly where: string;
  /** What was found and what was expected, in plain words. */
  readonly text: string;
}

/** A kind of filesystem: finds, mounts and checks its images. */
export interface FilesystemType<MountOptions> {
  readonly name: string;
  /** True when the device holds this filesystem; never throws for foreign bytes. */
  probe(device: BlockDevice): boolean;
  /** @throws EUCLEAN, EBADMSG, ENOTSUP with structure, field and value; EINVAL for an odd option */
  mount(device: BlockDevice, options: MountOptions, env: Environment): Filesystem;
  /** Read-only check of everything; yields nothing for a clean image. */
  check(device: BlockDevice, env: Environment): Iterable<Finding>;
}

/** A mounted filesystem. */
export interface Filesystem {
  /** `ext2`, `ext3`, `ext4`. */
  readonly type: string;
  readonly device: BlockDevice;
  readonly root: Inode;
  /** @throws ESTALE for a number that names no inode in use */
  inode(ino: number): Inode;
  /** What is used and what is free. */
  statfs(): Statfs;
  /** Makes everything durable (syncfs). Nothing to do where nothing was written. @throws EIO */
  sync?(): void;
  /**
   * To be called once a second or so by whoever has a clock: does what is due though nobody asks.
   * Absent where nothing ever is. @throws EIO, EBUSY; then writing has ended
   */
  tick?(): void;
  /**
   * What `length` bytes at byte `start` of the device hold, in their order and without gaps; or
   * those of them that lie in `ranges`. What cannot be read is passed over. It may look at every
   * inode. Absent where nobody can say.
   */
  ownersOf?(start: number, length: number, ranges?: readonly Range[]): readonly BytesOwner[];
  /** Memory failed: who syncs one of these files hears of it, once. */
  failed?(owners: readonly BytesOwner[]): void;
  /**
   * The device is about to go, and can be written to still: everything is brought to its place, and
   * afterwards every change is ENXIO. @throws EIO, ENOSPC; it has ended all the same
   */
  shutDown?(reason: string): void;
  /** Whether it stands still, and how to make it; undefined where it cannot. */
  readonly freezing?: Freezing | undefined;
  /**
   * Lets go of the device. Nothing of this filesystem may be used afterwards.
   * @throws EIO when what was written could not be made durable; it is unmounted all the same
   */
  unmount(): void;
}

/** Sizes of a filesystem, in blocks of `blockSize` bytes. */
export interface Statfs {
  /** The kernel's magic, as in statfs(2). */
  readonly magic: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly bfree: number;
  /** Free to users without privilege. */
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly nameLength: number;
}

/** Bytes in the largest value that getxattr(2) hands out; formats may hold larger ones. */
export const XATTR_SIZE_MAX = 65_536;

/** What stat shows. */
export interface Attributes {
  /** Type and permission bits, as `st_mode`. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Device nodes: the number as Linux's 64-bit `makedev`, below 2^53. */
  readonly rdev: number;
  /** Bytes. */
  readonly size: number;
  /** 512-byte units. */
  readonly blocks: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** Undefined where the format has none. */
  readonly btime: Timespec | undefined;
}

/**
 * An inode. Objects are cached, so a number gives the same object while it is in use; one that was
 * left alone for long may be made anew, so whoever has to recognise a file compares `filesystem`
 * and `ino`.
 */
export interface Inode extends Iomappable {
  readonly filesystem: Filesystem;
  readonly ino: number;
  readonly generation: number;
  /** Type and permission bits; the same as `attributes().mode`, without the rest. */
  readonly mode: number;
  /** Whether reads and mappings reach media without a page cache (S_DAX). */
  readonly isDax: boolean;
  /**
   * Another number whenever bytes of the file may lie elsewhere than before, or nowhere: whoever
   * keeps what `iomapBegin` answered asks again then. Undefined where nothing changes.
   */
  readonly mapGeneration?: number | undefined;
  /** The bytes that this is about, as `FaultedFile.mapChangesSince`; undefined: all of them. */
  mapChangesSince?(generation: number): Iterable<Range> | undefined;
  /**
   * Directories: another number whenever names were added or removed. Undefined where nothing
   * changes, or where whoever changes names tells the caches himself.
   */
  readonly namesGeneration?: number | undefined;
  /** The flags of chattr(1) (FS_*_FL) as they are shown; undefined where there are none. */
  readonly flags?: number | undefined;
  /** What changes it; undefined on a filesystem that was mounted for reading. */
  readonly writing?: InodeWriting | undefined;
  /** What stat shows; made anew by each call. */
  attributes(): Attributes;
  /** Directories. Absence is an answer, not an exception. @throws ENOTDIR, EUCLEAN, EBADMSG */
  lookup(name: string): Inode | undefined;
  /**
   * Directories: entries with cookies after `cookie` (0: from the start), `.` and `..` first. A
   * cookie stays valid while the entry it names exists. @throws ENOTDIR, EUCLEAN, EBADMSG
   */
  readdir(cookie: number): Iterable<DirectoryEntry>;
  /** Symbolic links: the target, encoded as names are. @throws EINVAL on anything else */
  readlink(): string;
  /** Full names (`user.a`, `security.capability`, `system.posix_acl_access`), in media order. */
  listxattr(): readonly string[];
  /**
   * The value as getxattr(2) gives it (ACLs in their version 2 form).
   * @throws E2BIG for one of more than XATTR_SIZE_MAX bytes, EUCLEAN, EBADMSG
   */
  getxattr(name: string): Uint8Array | undefined;
}

/** One name in a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  /** File type bits as in `st_mode >> 12`, 0 where the directory does not record them. */
  readonly type: number;
  /** Pass it to `readdir` to go on behind this entry. */
  readonly cookie: number;
}
