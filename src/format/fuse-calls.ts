/**
 * FUSE: structures of the rarer calls; the others, and where all of this is from, are in `fuse.ts`.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `struct fuse_fsync_in`. */
export const FuseFsyncIn = struct("fuse_fsync_in", 16, (f) => ({
  fh: f.le64(),
  fsyncFlags: f.le32(),
  padding: f.le32(),
}));

/** Followed by a name and `size` bytes. The last two words only with FUSE_SETXATTR_EXT. */
export const FuseSetxattrIn = struct("fuse_setxattr_in", 16, (f) => ({
  size: f.le32(),
  flags: f.le32(),
  setxattrFlags: f.le32(),
  padding: f.le32(),
}));

/** Followed by a name, unless it is a list that is wanted. */
export const FuseGetxattrIn = struct("fuse_getxattr_in", 8, (f) => ({
  size: f.le32(),
  padding: f.le32(),
}));

/** How long the answer would be. */
export const FuseGetxattrOut = struct("fuse_getxattr_out", 8, (f) => ({
  size: f.le32(),
  padding: f.le32(),
}));

/** `struct fuse_init_in`. */
export const FuseInitIn = struct("fuse_init_in", 64, (f) => ({
  major: f.le32(),
  minor: f.le32(),
  maxReadahead: f.le32(),
  flags: f.le32(),
  flags2: f.le32(),
  unused: f.bytes(44),
}));

/** `struct fuse_init_out`. */
export const FuseInitOut = struct("fuse_init_out", 64, (f) => ({
  major: f.le32(),
  minor: f.le32(),
  maxReadahead: f.le32(),
  flags: f.le32(),
  maxBackground: f.le16(),
  congestionThreshold: f.le16(),
  maxWrite: f.le32(),
  timeGran: f.le32(),
  maxPages: f.le16(),
  mapAlignment: f.le16(),
  flags2: f.le32(),
  maxStackDepth: f.le32(),
  requestTimeout: f.le16(),
  unused: f.bytes(22),
}));

/** Followed by `inSize` bytes. */
export const FuseIoctlIn = struct("fuse_ioctl_in", 32, (f) => ({
  fh: f.le64(),
  flags: f.le32(),
  cmd: f.le32(),
  arg: f.le64(),
  inSize: f.le32(),
  outSize: f.le32(),
}));

/** Followed by the bytes. */
export const FuseIoctlOut = struct("fuse_ioctl_out", 16, (f) => ({
  result: f.le32(),
  flags: f.le32(),
  inIovs: f.le32(),
  outIovs: f.le32(),
}));

/** `struct fuse_fallocate_in`. */
export const FuseFallocateIn = struct("fuse_fallocate_in", 32, (f) => ({
  fh: f.le64(),
  offset: f.le64(),
  length: f.le64(),
  mode: f.le32(),
  padding: f.le32(),
}));

/** Followed by the name, and zeros up to a multiple of eight. */
export const FuseDirent = struct("fuse_dirent", 24, (f) => ({
  ino: f.le64(),
  off: f.le64(),
  namelen: f.le32(),
  type: f.le32(),
}));

/** `struct fuse_lseek_in`. */
export const FuseLseekIn = struct("fuse_lseek_in", 24, (f) => ({
  fh: f.le64(),
  offset: f.le64(),
  whence: f.le32(),
  padding: f.le32(),
}));

/** `struct fuse_lseek_out`. */
export const FuseLseekOut = struct("fuse_lseek_out", 8, (f) => ({
  offset: f.le64(),
}));

/** `struct fuse_copy_file_range_in`. */
export const FuseCopyFileRangeIn = struct("fuse_copy_file_range_in", 56, (f) => ({
  fhIn: f.le64(),
  offIn: f.le64(),
  nodeidOut: f.le64(),
  fhOut: f.le64(),
  offOut: f.le64(),
  len: f.le64(),
  flags: f.le64(),
}));

/** Of FUSE_COPY_FILE_RANGE_64. */
export const FuseCopyFileRangeOut = struct("fuse_copy_file_range_out", 8, (f) => ({
  bytesCopied: f.le64(),
}));

/** `struct fuse_statx_in`. */
export const FuseStatxIn = struct("fuse_statx_in", 24, (f) => ({
  getattrFlags: f.le32(),
  reserved: f.le32(),
  fh: f.le64(),
  sxFlags: f.le32(),
  sxMask: f.le32(),
}));

/** Followed by `fuse_statx`. */
export const FuseStatxOut = struct("fuse_statx_out", 32, (f) => ({
  attrValid: f.le64(),
  attrValidNsec: f.le32(),
  flags: f.le32(),
  spare: f.bytes(16),
}));

/** What statx shows. */
export const FuseStatx = struct("fuse_statx", 256, (f) => ({
  mask: f.le32(),
  blksize: f.le32(),
  attributes: f.le64(),
  nlink: f.le32(),
  uid: f.le32(),
  gid: f.le32(),
  mode: f.le16(),
  spare0: f.le16(),
  ino: f.le64(),
  size: f.le64(),
  blocks: f.le64(),
  attributesMask: f.le64(),
  atimeLo: f.le32(),
  atimeHi: f.le32(),
  atimeNsec: f.le32(),
  atimeReserved: f.le32(),
  btimeLo: f.le32(),
  btimeHi: f.le32(),
  btimeNsec: f.le32(),
  btimeReserved: f.le32(),
  ctimeLo: f.le32(),
  ctimeHi: f.le32(),
  ctimeNsec: f.le32(),
  ctimeReserved: f.le32(),
  mtimeLo: f.le32(),
  mtimeHi: f.le32(),
  mtimeNsec: f.le32(),
  mtimeReserved: f.le32(),
  rdevMajor: f.le32(),
  rdevMinor: f.le32(),
  devMajor: f.le32(),
  devMinor: f.le32(),
  spare2: f.bytes(112),
}));

/** A length of 0: to the end. */
export const FuseNotifyInvalInodeOut = struct("fuse_notify_inval_inode_out", 24, (f) => ({
  ino: f.le64(),
  off: f.le64(),
  len: f.le64(),
}));

/** Followed by the name and a zero. */
export const FuseNotifyInvalEntryOut = struct("fuse_notify_inval_entry_out", 16, (f) => ({
  parent: f.le64(),
  namelen: f.le32(),
  flags: f.le32(),
}));

/** What FS_IOC_FSGETXATTR shows. */
export const Fsxattr = struct("fsxattr", 28, (f) => ({
  xflags: f.le32(),
  extsize: f.le32(),
  nextents: f.le32(),
  projid: f.le32(),
  cowextsize: f.le32(),
  pad: f.bytes(8),
}));
