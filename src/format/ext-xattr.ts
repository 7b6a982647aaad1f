/**
 * ext2/ext3/ext4 extended attributes and the access control lists stored in them.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `magic` of attributes in an inode and of attribute blocks. */
export const EXT4_XATTR_MAGIC = 0xea02_0000;
/** Most inodes that share one attribute block. */
export const EXT4_XATTR_REFCOUNT_MAX = 1024;
/** Longest value kept in an inode of its own. */
export const EXT4_XATTR_SIZE_MAX = 0x100_0000;

/** `nameIndex`: `user.` stands before the name. */
export const EXT4_XATTR_INDEX_USER = 1;
/** `nameIndex`: `system.posix_acl_access`; the name is empty. */
export const EXT4_XATTR_INDEX_POSIX_ACL_ACCESS = 2;
/** `nameIndex`: `system.posix_acl_default`; the name is empty. */
export const EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT = 3;
/** `nameIndex`: `trusted.` stands before the name. */
export const EXT4_XATTR_INDEX_TRUSTED = 4;
/** `nameIndex`: Lustre's; Linux does not show it. */
export const EXT4_XATTR_INDEX_LUSTRE = 5;
/** `nameIndex`: `security.` stands before the name. */
export const EXT4_XATTR_INDEX_SECURITY = 6;
/** `nameIndex`: `system.` stands before the name; inline data are kept so. */
export const EXT4_XATTR_INDEX_SYSTEM = 7;
/** `nameIndex`: `system.richacl`, which never came into Linux. */
export const EXT4_XATTR_INDEX_RICHACL = 8;
/** `nameIndex`: the context of an encrypted file; not shown. */
export const EXT4_XATTR_INDEX_ENCRYPTION = 9;
/** `nameIndex`: `gnu.` stands before the name. */
export const EXT4_XATTR_INDEX_HURD = 10;

/** Under index 7: the part of inline data that does not fit the inode's `block`. */
export const EXT4_XATTR_SYSTEM_DATA = "data";

/** `struct ext4_xattr_ibody_header`, behind the inode's extra fields. */
export const Ext4XattrIbodyHeader = /* @__PURE__ */ struct("ext4_xattr_ibody_header", 4, (at) => ({
  magic: at.le32(),
}));

/** `struct ext4_xattr_header`, at the start of an attribute block. */
export const Ext4XattrHeader = /* @__PURE__ */ struct("ext4_xattr_header", 32, (at) => ({
  magic: at.le32(),
  /** Inodes that share the block. */
  refcount: at.le32(),
  /** 1 */
  blocks: at.le32(),
  hash: at.le32(),
  checksum: at.le32(),
  reserved: at.bytes(12),
}));

/** `struct ext4_xattr_entry`, up to its name; entries are padded to 4 bytes, a zero word ends. */
export const Ext4XattrEntry = /* @__PURE__ */ struct("ext4_xattr_entry", 16, (at) => ({
  nameLen: at.u8(),
  nameIndex: at.u8(),
  /** From the first entry (in the inode) or the start of the block. */
  valueOffs: at.le16(),
  /** The inode that holds the value, with `ea_inode`; 0 otherwise. */
  valueInum: at.le32(),
  valueSize: at.le32(),
  hash: at.le32(),
}));

/** `version` of {@link Ext4AclHeader}. */
export const EXT4_ACL_VERSION = 1;
/** `tag`: the owner. */
export const ACL_USER_OBJ = 0x01;
/** `tag`: the user that the entry names. */
export const ACL_USER = 0x02;
/** `tag`: the owning group. */
export const ACL_GROUP_OBJ = 0x04;
/** `tag`: the group that the entry names. */
export const ACL_GROUP = 0x08;
/** `tag`: the most that named users and all groups get. */
export const ACL_MASK = 0x10;
/** `tag`: everybody else. */
export const ACL_OTHER = 0x20;

/** `ext4_acl_header` */
export const Ext4AclHeader = /* @__PURE__ */ struct("ext4_acl_header", 4, (at) => ({
  version: at.le32(),
}));

/** `ext4_acl_entry_short`; `ACL_USER` and `ACL_GROUP` append an le32 id. */
export const Ext4AclEntryShort = /* @__PURE__ */ struct("ext4_acl_entry_short", 4, (at) => ({
  tag: at.le16(),
  perm: at.le16(),
}));

/** The version of `struct posix_acl_xattr_header`, what getxattr(2) gives. */
export const POSIX_ACL_XATTR_VERSION = 2;
/** The id of entries that name nobody. */
export const ACL_UNDEFINED_ID = 0xffff_ffff;

/** `struct posix_acl_xattr_entry` */
export const PosixAclXattrEntry = /* @__PURE__ */ struct("posix_acl_xattr_entry", 8, (at) => ({
  tag: at.le16(),
  perm: at.le16(),
  id: at.le32(),
}));
