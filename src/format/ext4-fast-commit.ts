/**
 * The fast-commit area of an ext4 journal: tag, length, value, one after the other, little-endian.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** `tag`: {@link FcAddRange}. */
export const EXT4_FC_TAG_ADD_RANGE = 1;
/** `tag`: {@link FcDelRange}. */
export const EXT4_FC_TAG_DEL_RANGE = 2;
/** `tag`: a file was made under a name; {@link FcDentryInfo}. */
export const EXT4_FC_TAG_CREAT = 3;
/** `tag`: a file got a further name; {@link FcDentryInfo}. */
export const EXT4_FC_TAG_LINK = 4;
/** `tag`: a name was removed; {@link FcDentryInfo}. */
export const EXT4_FC_TAG_UNLINK = 5;
/** `tag`: {@link FcInode}. */
export const EXT4_FC_TAG_INODE = 6;
/** `tag`: nothing, to the end of the block. */
export const EXT4_FC_TAG_PAD = 7;
/** `tag`: {@link FcTail}, which commits what came before it. */
export const EXT4_FC_TAG_TAIL = 8;
/** `tag`: {@link FcHead}, which opens the first block. */
export const EXT4_FC_TAG_HEAD = 9;

/** Bits of {@link FcHead} that a reader may meet; Linux defines none so far. */
export const EXT4_FC_SUPPORTED_FEATURES = 0;

/** `struct ext4_fc_tl`: opens every record; `len` counts the bytes that follow. */
export const FcTagLength = /* @__PURE__ */ struct("ext4_fc_tl", 4, (at) => ({
  tag: at.le16(),
  len: at.le16(),
}));

/** `struct ext4_fc_head`: value of EXT4_FC_TAG_HEAD. */
export const FcHead = /* @__PURE__ */ struct("ext4_fc_head", 8, (at) => ({
  features: at.le32(),
  tid: at.le32(),
}));

/** `struct ext4_fc_tail`: value of EXT4_FC_TAG_TAIL, which pads to the end of its block. */
export const FcTail = /* @__PURE__ */ struct("ext4_fc_tail", 8, (at) => ({
  tid: at.le32(),
  /** crc32c, seed 0, from the record after the previous tail up to `tid`, inclusive. */
  crc: at.le32(),
}));

/** `struct ext4_fc_add_range`: value of EXT4_FC_TAG_ADD_RANGE, an inode and an extent entry. */
export const FcAddRange = /* @__PURE__ */ struct("ext4_fc_add_range", 16, (at) => ({
  ino: at.le32(),
  block: at.le32(),
  len: at.le16(),
  startHi: at.le16(),
  startLo: at.le32(),
}));

/** `struct ext4_fc_del_range`: value of EXT4_FC_TAG_DEL_RANGE. */
export const FcDelRange = /* @__PURE__ */ struct("ext4_fc_del_range", 12, (at) => ({
  ino: at.le32(),
  lblk: at.le32(),
  len: at.le32(),
}));

/** `struct ext4_fc_dentry_info`: value of CREAT, LINK and UNLINK; the name follows. */
export const FcDentryInfo = /* @__PURE__ */ struct("ext4_fc_dentry_info", 8, (at) => ({
  parentIno: at.le32(),
  ino: at.le32(),
}));

/** `struct ext4_fc_inode`: value of EXT4_FC_TAG_INODE; the raw inode follows. */
export const FcInode = /* @__PURE__ */ struct("ext4_fc_inode", 4, (at) => ({
  ino: at.le32(),
}));
