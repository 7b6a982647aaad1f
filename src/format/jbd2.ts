/**
 * jbd2: the journal of ext3 and ext4, as it lies on media. Big-endian throughout, but for the
 * fast-commit area of ext4, which is little-endian (`ext4-fast-commit.ts`).
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** First word of every descriptor, commit, revoke and superblock of a journal. */
export const JBD2_MAGIC_NUMBER = 0xc03b3998;

/** Block types, in `blocktype` of the common header. */
export const JBD2_DESCRIPTOR_BLOCK = 1;
/** `blocktype`: ends a transaction. */
export const JBD2_COMMIT_BLOCK = 2;
/** `blocktype`: a superblock without features. */
export const JBD2_SUPERBLOCK_V1 = 3;
/** `blocktype`: a superblock with features. */
export const JBD2_SUPERBLOCK_V2 = 4;
/** `blocktype`: names blocks whose earlier copies are not to be replayed. */
export const JBD2_REVOKE_BLOCK = 5;

/** Tag flags. */
export const JBD2_FLAG_ESCAPE = 1;
/** Tag flag: no uuid follows; it is that of the tag before. */
export const JBD2_FLAG_SAME_UUID = 2;
/** Tag flag: the transaction deleted the block; not written by Linux. */
export const JBD2_FLAG_DELETED = 4;
/** Tag flag: the last of its descriptor. */
export const JBD2_FLAG_LAST_TAG = 8;

/** Commit blocks have a checksum of their transaction (v1). */
export const JBD2_FEATURE_COMPAT_CHECKSUM = 0x1;

/** There may be revoke blocks. */
export const JBD2_FEATURE_INCOMPAT_REVOKE = 0x1;
/** Tags and revoke blocks have 64-bit block numbers. */
export const JBD2_FEATURE_INCOMPAT_64BIT = 0x2;
/** Commit blocks may be written together with their transaction. */
export const JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT = 0x4;
/** Every block has a crc32c checksum, copies half of one in their tag. */
export const JBD2_FEATURE_INCOMPAT_CSUM_V2 = 0x8;
/** Every block has a crc32c checksum, copies all of it in their tag. */
export const JBD2_FEATURE_INCOMPAT_CSUM_V3 = 0x10;
/** The last `numFcBlks` blocks are a fast-commit area. */
export const JBD2_FEATURE_INCOMPAT_FAST_COMMIT = 0x20;

/** Every incompatible feature that a reader of this format knows. */
export const JBD2_KNOWN_INCOMPAT_FEATURES =
  JBD2_FEATURE_INCOMPAT_REVOKE |
  JBD2_FEATURE_INCOMPAT_64BIT |
  JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT |
  JBD2_FEATURE_INCOMPAT_CSUM_V2 |
  JBD2_FEATURE_INCOMPAT_CSUM_V3 |
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT;

/** Checksum kinds: of a v1 commit block, and of the superblock. */
export const JBD2_CRC32_CHKSUM = 1;
/** `checksumType` of the superblock: crc32c. */
export const JBD2_CRC32C_CHKSUM = 4;
/** What a v1 commit block says of its checksum's size, in bytes. */
export const JBD2_CRC32_CHKSUM_SIZE = 4;

/** A log must keep this many blocks beside the fast-commit area, or that area does not count. */
export const JBD2_MIN_JOURNAL_BLOCKS = 1024;
/** Blocks of the fast-commit area where the superblock says 0. */
export const JBD2_DEFAULT_FAST_COMMIT_BLOCKS = 256;

/** `struct journal_header_s`: opens every block that is not a copy of a filesystem block. */
export const JournalHeader = /* @__PURE__ */ struct("journal_header_t", 12, (at) => ({
  magic: at.be32(),
  blocktype: at.be32(),
  sequence: at.be32(),
}));

/** `struct journal_superblock_s`: journal block 0. A v1 superblock ends after `errno`. */
export const JournalSuperblock = /* @__PURE__ */ struct("journal_superblock_t", 1024, (at) => ({
  magic: at.be32(),
  blocktype: at.be32(),
  headerSequence: at.be32(),
  /** Bytes; equal to the filesystem's block size. */
  blocksize: at.be32(),
  /** Blocks of the journal. */
  maxlen: at.be32(),
  /** First block of the log. */
  first: at.be32(),
  /** The first transaction expected in the log. */
  sequence: at.be32(),
  /** The journal block at which that transaction starts; 0: the log is clean. */
  start: at.be32(),
  errno: at.be32(),
  featureCompat: at.be32(),
  featureIncompat: at.be32(),
  featureRoCompat: at.be32(),
  uuid: at.bytes(16),
  nrUsers: at.be32(),
  dynsuper: at.be32(),
  maxTransaction: at.be32(),
  maxTransData: at.be32(),
  checksumType: at.u8(),
  padding2: at.bytes(3),
  numFcBlks: at.be32(),
  head: at.be32(),
  padding: at.bytes(160),
  checksum: at.be32(),
  users: at.bytes(768),
}));

/** `struct journal_block_tag_s`: one block of a descriptor, unless checksums are v3. */
export const JournalBlockTag = /* @__PURE__ */ struct("journal_block_tag_t", 12, (at) => ({
  blocknr: at.be32(),
  /** Low half of the data block's checksum; v2 only. */
  checksum: at.be16(),
  flags: at.be16(),
  /** Present with 64BIT only: without, the next tag or the uuid starts here. */
  blocknrHigh: at.be32(),
}));

/** `struct journal_block_tag3_s`: one block of a descriptor with v3 checksums. */
export const JournalBlockTag3 = /* @__PURE__ */ struct("journal_block_tag3_t", 16, (at) => ({
  blocknr: at.be32(),
  flags: at.be32(),
  blocknrHigh: at.be32(),
  checksum: at.be32(),
}));

/** `struct jbd2_journal_block_tail`: ends descriptor and revoke blocks with v2 or v3 checksums. */
export const JournalBlockTail = /* @__PURE__ */ struct("jbd2_journal_block_tail", 4, (at) => ({
  checksum: at.be32(),
}));

/** `struct jbd2_journal_revoke_header_s`: `count` is in bytes and includes this header. */
export const JournalRevokeHeader = /* @__PURE__ */ struct(
  "jbd2_journal_revoke_header_t",
  16,
  (at) => ({
    magic: at.be32(),
    blocktype: at.be32(),
    sequence: at.be32(),
    count: at.be32(),
  }),
);

/** `struct commit_header`; the rest of the block is zero. */
export const JournalCommitHeader = /* @__PURE__ */ struct("commit_header", 60, (at) => ({
  magic: at.be32(),
  blocktype: at.be32(),
  sequence: at.be32(),
  chksumType: at.u8(),
  chksumSize: at.u8(),
  padding: at.bytes(2),
  /** First of eight checksum words; the only one in use. */
  chksum: at.be32(),
  chksumRest: at.bytes(28),
  commitSec: at.be64(),
  commitNsec: at.be32(),
}));

/** The journal's features that decide how its blocks are laid out. */
export interface JournalLayout {
  /** Bytes. */
  readonly blocksize: number;
  readonly featureIncompat: number;
}

/** Whether blocks carry crc32c checksums (v2 or v3). */
export function hasChecksumV2or3(featureIncompat: number): boolean {
  const bits = JBD2_FEATURE_INCOMPAT_CSUM_V2 | JBD2_FEATURE_INCOMPAT_CSUM_V3;
  return (featureIncompat & bits) !== 0;
}

/** Bytes of one tag, without the 16 bytes of uuid that may follow it. */
export function journalTagBytes(featureIncompat: number): number {
  if (featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) return 16;
  const wide = featureIncompat & JBD2_FEATURE_INCOMPAT_64BIT ? 12 : 8;
  return featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V2 ? wide + 2 : wide;
}
