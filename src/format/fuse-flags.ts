/**
 * FUSE: opcodes, flags and other numbers; the structures are in `fuse.ts`.
 *
 * @module
 */

/** What a request asks for. */
export const FuseOpcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48,
  REMOVEMAPPING: 49,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

/** What a notice says, in the place of an error. */
export const FuseNotify = { INVAL_INODE: 2, INVAL_ENTRY: 3 } as const;

/** Flags of FUSE_INIT, the lower word. */
export const FUSE_ASYNC_READ = 2 ** 0;
/** O_TRUNC comes with FUSE_OPEN, and not as a change of the size behind it. */
export const FUSE_ATOMIC_O_TRUNC = 2 ** 3;
/** Writes of more than a page. */
export const FUSE_BIG_WRITES = 2 ** 5;
/** Modes come unmasked, and the umask beside them: a default ACL takes its place. */
export const FUSE_DONT_MASK = 2 ** 6;
/** Requests of FUSE_IOCTL for directories. */
export const FUSE_HAS_IOCTL_DIR = 2 ** 11;
/** Directories are listed with the attributes of what is in them. */
export const FUSE_DO_READDIRPLUS = 2 ** 13;
/** Only where somebody looks at them. */
export const FUSE_READDIRPLUS_AUTO = 2 ** 14;
/** Many requests of one direct read or write at once. */
export const FUSE_ASYNC_DIO = 2 ** 15;
/** The kernel keeps what is written, and mtime and the size with it. */
export const FUSE_WRITEBACK_CACHE = 2 ** 16;
/** An ENOSYS of FUSE_OPEN means that no file need be opened. */
export const FUSE_NO_OPEN_SUPPORT = 2 ** 17;
/** Several lookups and listings in one directory at once. */
export const FUSE_PARALLEL_DIROPS = 2 ** 18;
/** The kernel weighs ACLs. */
export const FUSE_POSIX_ACL = 2 ** 20;
/** After an abort reading the device is ECONNABORTED. */
export const FUSE_ABORT_ERROR = 2 ** 21;
/** `max_pages` counts. */
export const FUSE_MAX_PAGES = 2 ** 22;
/** Targets of links are kept. */
export const FUSE_CACHE_SYMLINKS = 2 ** 23;
/** An ENOSYS of FUSE_OPENDIR means that no directory need be opened. */
export const FUSE_NO_OPENDIR_SUPPORT = 2 ** 24;
/** Cached bytes go when they are told to, not when mtime has changed. */
export const FUSE_EXPLICIT_INVAL_DATA = 2 ** 25;
/** Privileges are taken from written, cut and given files by whoever is served. */
export const FUSE_HANDLE_KILLPRIV_V2 = 2 ** 28;
/** `fuse_setxattr_in` has 16 bytes. */
export const FUSE_SETXATTR_EXT = 2 ** 29;
/** `flags2` counts. */
export const FUSE_INIT_EXT = 2 ** 30;

/** Flags of FUSE_INIT, the upper word: several mappings of a file that is read past the cache. */
export const FUSE_DIRECT_IO_ALLOW_MMAP = 2 ** 4;
/** Node numbers mean nothing to a later mount. */
export const FUSE_NO_EXPORT_SUPPORT = 2 ** 6;

/** Flags of fuse_getattr_in: `fh` counts. */
export const FUSE_GETATTR_FH = 1;

/** Which fields of fuse_setattr_in count. */
export const FATTR_MODE = 2 ** 0;
/** See FATTR_MODE. */
export const FATTR_UID = 2 ** 1;
/** See FATTR_MODE. */
export const FATTR_GID = 2 ** 2;
/** See FATTR_MODE. */
export const FATTR_SIZE = 2 ** 3;
/** See FATTR_MODE. */
export const FATTR_ATIME = 2 ** 4;
/** See FATTR_MODE. */
export const FATTR_MTIME = 2 ** 5;
/** See FATTR_MODE. */
export const FATTR_FH = 2 ** 6;
/** The time of whoever is served, in place of the one that is given. */
export const FATTR_ATIME_NOW = 2 ** 7;
/** See FATTR_ATIME_NOW. */
export const FATTR_MTIME_NOW = 2 ** 8;
/** The file may not run as its owner any more. */
export const FATTR_KILL_SUIDGID = 2 ** 11;

/** Flags of fuse_open_out: what is cached of the file stays. */
export const FOPEN_KEEP_CACHE = 2 ** 1;
/** What is listed may be cached. */
export const FOPEN_CACHE_DIR = 2 ** 3;
/** No FUSE_FLUSH at close. */
export const FOPEN_NOFLUSH = 2 ** 5;
/** Several direct writes at once. */
export const FOPEN_PARALLEL_DIRECT_WRITES = 2 ** 6;

/** Flags of fuse_open_in and fuse_create_in. */
export const FUSE_OPEN_KILL_SUIDGID = 1;
/** Flags of fuse_write_in: the kernel writes back, through whichever file is open. */
export const FUSE_WRITE_CACHE = 2 ** 0;
/** See FATTR_KILL_SUIDGID. */
export const FUSE_WRITE_KILL_SUIDGID = 2 ** 2;
/** Flags of fuse_fsync_in: fdatasync(2). */
export const FUSE_FSYNC_FDATASYNC = 1;
/** Flags of fuse_setxattr_in: an ACL was set by somebody who is not of the group. */
export const FUSE_SETXATTR_ACL_KILL_SGID = 1;
/** Flags of fuse_ioctl_in: the structures of a program of 32 bits. */
export const FUSE_IOCTL_COMPAT = 1;

/** Flags of open(2) in requests, as on every architecture that is served. */
export const O_ACCMODE = 0o3;
/** See O_ACCMODE. */
export const O_WRONLY = 0o1;
/** See O_ACCMODE. */
export const O_RDWR = 0o2;
/** See O_ACCMODE. */
export const O_EXCL = 0o200;
/** See O_ACCMODE. */
export const O_TRUNC = 0o1000;
/** See O_ACCMODE. */
export const O_APPEND = 0o2000;
/** See O_ACCMODE. */
export const O_DSYNC = 0o10000;
/** O_SYNC without O_DSYNC, which is always with it. */
export const O_SYNC_BIT = 0o4000000;

/** Flags of renameat2(2). */
export const RENAME_NOREPLACE = 1;
/** See RENAME_NOREPLACE. */
export const RENAME_EXCHANGE = 2;

/** Flags of setxattr(2). */
export const XATTR_CREATE = 1;
/** See XATTR_CREATE. */
export const XATTR_REPLACE = 2;

/** Modes of fallocate(2). */
export const FALLOC_FL_KEEP_SIZE = 0x01;
/** See FALLOC_FL_KEEP_SIZE. */
export const FALLOC_FL_PUNCH_HOLE = 0x02;
/** See FALLOC_FL_KEEP_SIZE. */
export const FALLOC_FL_COLLAPSE_RANGE = 0x08;
/** See FALLOC_FL_KEEP_SIZE. */
export const FALLOC_FL_ZERO_RANGE = 0x10;
/** See FALLOC_FL_KEEP_SIZE. */
export const FALLOC_FL_INSERT_RANGE = 0x20;

/** Places that lseek(2) looks for. */
export const SEEK_DATA = 3;
/** See SEEK_DATA. */
export const SEEK_HOLE = 4;

/** Calls of ioctl(2): flags of chattr(1). */
export const FS_IOC_GETFLAGS = 0x80086601;
/** See FS_IOC_GETFLAGS. */
export const FS_IOC_SETFLAGS = 0x40086602;
/** The same of a program of 32 bits. */
export const FS_IOC32_GETFLAGS = 0x80046601;
/** See FS_IOC32_GETFLAGS. */
export const FS_IOC32_SETFLAGS = 0x40046602;
/** The generation of an inode. */
export const FS_IOC_GETVERSION = 0x80087601;
/** Flags as XFS has them (`struct fsxattr`). */
export const FS_IOC_FSGETXATTR = 0x801c581f;
/** See FS_IOC_FSGETXATTR. */
export const FS_IOC_FSSETXATTR = 0x401c5820;
