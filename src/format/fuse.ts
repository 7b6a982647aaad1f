/**
 * FUSE: what a kernel and a filesystem in user space say to each other over `/dev/fuse`, protocol
 * 7.31 to 7.45, from the kernel's UAPI header and its behaviour. In the machine's byte order, which
 * is little-endian here. Names are the header's. Opcodes and flags are in `fuse-flags.ts`.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** The only major version there has been. */
export const FUSE_KERNEL_VERSION = 7;
/** The newest minor version that is spoken here. */
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** The oldest one: Linux 5.4. */
export const FUSE_OLDEST_MINOR_VERSION = 31;
/** The node of the root of every filesystem. */
export const FUSE_ROOT_ID = 1;

/** Opens every request. `unique` is opaque: two words. `totalExtlen` counts units of 8 bytes. */
export const FuseInHeader = struct("fuse_in_header", 40, (f) => ({
  len: f.le32(),
  opcode: f.le32(),
  uniqueLo: f.le32(),
  uniqueHi: f.le32(),
  nodeid: f.le64(),
  uid: f.le32(),
  gid: f.le32(),
  pid: f.le32(),
  totalExtlen: f.le16(),
  padding: f.le16(),
}));

/** Opens every answer and notice. `error` is 0 or a negative errno; of a notice, its code. */
export const FuseOutHeader = struct("fuse_out_header", 16, (f) => ({
  len: f.le32(),
  error: f.le32(),
  uniqueLo: f.le32(),
  uniqueHi: f.le32(),
}));

/** What stat shows. Seconds are signed, in two words; `blocks` of 512 bytes. */
export const FuseAttr = struct("fuse_attr", 88, (f) => ({
  ino: f.le64(),
  size: f.le64(),
  blocks: f.le64(),
  atimeLo: f.le32(),
  atimeHi: f.le32(),
  mtimeLo: f.le32(),
  mtimeHi: f.le32(),
  ctimeLo: f.le32(),
  ctimeHi: f.le32(),
  atimensec: f.le32(),
  mtimensec: f.le32(),
  ctimensec: f.le32(),
  mode: f.le32(),
  nlink: f.le32(),
  uid: f.le32(),
  gid: f.le32(),
  rdev: f.le32(),
  blksize: f.le32(),
  flags: f.le32(),
}));

/** A name that leads to a node, and the attributes of that (88 bytes, `fuse_attr`). */
export const FuseEntryOut = struct("fuse_entry_out", 128, (f) => ({
  nodeid: f.le64(),
  generation: f.le64(),
  entryValid: f.le64(),
  attrValid: f.le64(),
  entryValidNsec: f.le32(),
  attrValidNsec: f.le32(),
  attr: f.bytes(88),
}));

/** How many lookups the kernel forgets. */
export const FuseForgetIn = struct("fuse_forget_in", 8, (f) => ({
  nlookup: f.le64(),
}));

/** One of a batch. */
export const FuseForgetOne = struct("fuse_forget_one", 16, (f) => ({
  nodeid: f.le64(),
  nlookup: f.le64(),
}));

/** Followed by `count` of `fuse_forget_one`. */
export const FuseBatchForgetIn = struct("fuse_batch_forget_in", 8, (f) => ({
  count: f.le32(),
  dummy: f.le32(),
}));

/** `struct fuse_getattr_in`. */
export const FuseGetattrIn = struct("fuse_getattr_in", 16, (f) => ({
  getattrFlags: f.le32(),
  dummy: f.le32(),
  fh: f.le64(),
}));

/** `struct fuse_attr_out`. */
export const FuseAttrOut = struct("fuse_attr_out", 104, (f) => ({
  attrValid: f.le64(),
  attrValidNsec: f.le32(),
  dummy: f.le32(),
  attr: f.bytes(88),
}));

/** Followed by a name. `rdev` as `new_encode_dev`. */
export const FuseMknodIn = struct("fuse_mknod_in", 16, (f) => ({
  mode: f.le32(),
  rdev: f.le32(),
  umask: f.le32(),
  padding: f.le32(),
}));

/** Followed by a name. */
export const FuseMkdirIn = struct("fuse_mkdir_in", 8, (f) => ({
  mode: f.le32(),
  umask: f.le32(),
}));

/** Followed by both names. */
export const FuseRenameIn = struct("fuse_rename_in", 8, (f) => ({
  newdir: f.le64(),
}));

/** Followed by both names. */
export const FuseRename2In = struct("fuse_rename2_in", 16, (f) => ({
  newdir: f.le64(),
  flags: f.le32(),
  padding: f.le32(),
}));

/** Followed by a name. */
export const FuseLinkIn = struct("fuse_link_in", 8, (f) => ({
  oldnodeid: f.le64(),
}));

/** `valid` says which fields count (`FATTR_*`). */
export const FuseSetattrIn = struct("fuse_setattr_in", 88, (f) => ({
  valid: f.le32(),
  padding: f.le32(),
  fh: f.le64(),
  size: f.le64(),
  lockOwner: f.le64(),
  atimeLo: f.le32(),
  atimeHi: f.le32(),
  mtimeLo: f.le32(),
  mtimeHi: f.le32(),
  ctimeLo: f.le32(),
  ctimeHi: f.le32(),
  atimensec: f.le32(),
  mtimensec: f.le32(),
  ctimensec: f.le32(),
  mode: f.le32(),
  unused4: f.le32(),
  uid: f.le32(),
  gid: f.le32(),
  unused5: f.le32(),
}));

/** `struct fuse_open_in`. */
export const FuseOpenIn = struct("fuse_open_in", 8, (f) => ({
  flags: f.le32(),
  openFlags: f.le32(),
}));

/** Followed by a name. */
export const FuseCreateIn = struct("fuse_create_in", 16, (f) => ({
  flags: f.le32(),
  mode: f.le32(),
  umask: f.le32(),
  openFlags: f.le32(),
}));

/** `struct fuse_open_out`. */
export const FuseOpenOut = struct("fuse_open_out", 16, (f) => ({
  fh: f.le64(),
  openFlags: f.le32(),
  backingId: f.le32(),
}));

/** `struct fuse_release_in`. */
export const FuseReleaseIn = struct("fuse_release_in", 24, (f) => ({
  fh: f.le64(),
  flags: f.le32(),
  releaseFlags: f.le32(),
  lockOwner: f.le64(),
}));

/** `struct fuse_flush_in`. */
export const FuseFlushIn = struct("fuse_flush_in", 24, (f) => ({
  fh: f.le64(),
  unused: f.le32(),
  padding: f.le32(),
  lockOwner: f.le64(),
}));

/** `struct fuse_read_in`. */
export const FuseReadIn = struct("fuse_read_in", 40, (f) => ({
  fh: f.le64(),
  offset: f.le64(),
  size: f.le32(),
  readFlags: f.le32(),
  lockOwner: f.le64(),
  flags: f.le32(),
  padding: f.le32(),
}));

/** Followed by `size` bytes. */
export const FuseWriteIn = struct("fuse_write_in", 40, (f) => ({
  fh: f.le64(),
  offset: f.le64(),
  size: f.le32(),
  writeFlags: f.le32(),
  lockOwner: f.le64(),
  flags: f.le32(),
  padding: f.le32(),
}));

/** `struct fuse_write_out`. */
export const FuseWriteOut = struct("fuse_write_out", 8, (f) => ({
  size: f.le32(),
  padding: f.le32(),
}));

/** What statfs shows. */
export const FuseKstatfs = struct("fuse_kstatfs", 80, (f) => ({
  blocks: f.le64(),
  bfree: f.le64(),
  bavail: f.le64(),
  files: f.le64(),
  ffree: f.le64(),
  bsize: f.le32(),
  namelen: f.le32(),
  frsize: f.le32(),
  padding: f.le32(),
  spare: f.bytes(24),
}));
