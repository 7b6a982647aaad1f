/**
 * What a filesystem to be made may be told: the letters of mke2fs(8) as a plain object.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { NewNode } from "./mkfs-tree.ts";

/** The three kinds, from the oldest. */
export type ExtKind = "ext2" | "ext3" | "ext4";

/** A number of blocks, or of bytes that are rounded down to blocks once their size is known. */
export type BlockCount = { readonly blocks: number } | { readonly bytes: number };

/** Owner of the root directory. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whose usage is counted in quota files. */
export type QuotaType = "usr" | "grp" | "prj";

/** Systems that `creatorOs` knows. What the Hurd needs is another format, and not made. */
export const CREATORS: Readonly<Record<CreatorOs, number>> = { linux: 0, freebsd: 3, lites: 4 };
/** See {@link MakeExtOptions.creatorOs}. */
export type CreatorOs = "linux" | "freebsd" | "lites";

/** How a filesystem is made. Everything has the default of mke2fs 1.47 with Debian's profiles. */
export interface MakeExtOptions {
  /** `-t`: `ext4` unless given. */
  readonly type?: ExtKind;
  /** `-T`: profiles by use, such as `small` or `news`; chosen by size unless given. */
  readonly usage?: readonly string[];
  /** Size of the filesystem; all of the device unless given. */
  readonly size?: BlockCount;
  /** `-b`: bytes, a power of two from 1024 to 65536; negative: at least so many. */
  readonly blockSize?: number;
  /** `-C`: bytes of a cluster, with bigalloc. */
  readonly clusterSize?: number;
  /** `-I`: bytes, a power of two from 128 to a block. */
  readonly inodeSize?: number;
  /** `-N`: at least so many inodes; wins over `inodeRatio`. */
  readonly inodes?: number;
  /** `-i`: bytes of space to each inode. */
  readonly inodeRatio?: number;
  /** `-m`: share of blocks reserved for root, in percent, 0 to 50. */
  readonly reservedPercent?: number;
  /** `-L`: at most 16 bytes; what is longer is cut. */
  readonly label?: string;
  /** `-U`: a uuid, `clear`, `null`, `random` or `time`; random unless given. */
  readonly uuid?: string;
  /** `-M`: where it was last mounted, as far as it knows. */
  readonly lastMounted?: string;
  /** `-O`: names by commas; `^name` takes one away, `none` all. */
  readonly features?: string;
  /** `-e`: what the kernel does on finding damage. */
  readonly errors?: "continue" | "remount-ro" | "panic";
  /** `-r`: 0 makes a filesystem without features. */
  readonly revision?: 0 | 1;
  /** `-o`: the system that is said to have made it; Linux unless given. */
  readonly creatorOs?: CreatorOs;
  /** `-g`: a multiple of 8 (clusters, with bigalloc). */
  readonly blocksPerGroup?: number;
  /** `-G`: groups whose metadata lie together; a power of two. */
  readonly flexGroups?: number;
  /** `-j`: with a journal, whatever the type says. */
  readonly journal?: boolean;
  /** `-J size=`: MiB. */
  readonly journalMegabytes?: number;
  /** `-J fast_commit_size=`: KiB. */
  readonly fastCommitKilobytes?: number;
  /** `-J location=`: where the journal starts; in the middle unless given. */
  readonly journalLocation?: BlockCount;
  /** `-E stride=`: blocks. */
  readonly stride?: number;
  /** `-E stripe_width=`: blocks. */
  readonly stripeWidth?: number;
  /** `-E resize=`: room for descriptors up to that size. */
  readonly resize?: BlockCount;
  /** `-E lazy_itable_init=`: leave zeroing of inode tables to the kernel; true unless given. */
  readonly lazyItableInit?: boolean;
  /** `-E lazy_journal_init=`: leave the journal as it is; false unless given. */
  readonly lazyJournalInit?: boolean;
  /** `-E root_owner=`: 0:0 unless given. */
  readonly rootOwner?: Owner;
  /** `-E test_fs`: flagged as made for testing code. */
  readonly testFs?: boolean;
  /** `-E hash_seed=`: a uuid; random unless given. */
  readonly hashSeed?: string;
  /** `-E packed_meta_blocks=`: all metadata at the start, with flex_bg. */
  readonly packedMetaBlocks?: boolean;
  /** `-E num_backup_sb=`: 0 to 2, with sparse_super2. */
  readonly backupSuperblocks?: number;
  /** `-E desc_size=`: bytes, with 64bit. */
  readonly descSize?: number;
  /** `-E mmp_update_interval=`: seconds. */
  readonly mmpUpdateInterval?: number;
  /** `-E quotatype=`: users and groups unless given, and projects with `project`. */
  readonly quotaTypes?: readonly QuotaType[];
  /** `-E encoding=`: of casefolded names. */
  readonly encoding?: "utf8" | "utf8-12.1";
  /** `-E encoding_flags=strict`: names that are no text of that encoding are refused. */
  readonly strictEncoding?: boolean;
  /** `-E orphan_file_size=` */
  readonly orphanFileSize?: BlockCount;
  /** `-d`: what it is filled with; not with quota. */
  readonly tree?: NewNode;
  /** Make it although the block size is more than what most systems mount. */
  readonly force?: boolean;
  /** The device reads as zeros everywhere: nothing has to be zeroed. False unless given. */
  readonly zeroed?: boolean;
}

/** Blocks of `size` bytes in a count. */
export function inBlocks(count: BlockCount, size: number): number {
  return "blocks" in count ? count.blocks : Math.floor(count.bytes / size);
}

/** An option that cannot be obeyed; nothing was written. */
export function refuse(detail: string): never {
  throw new DaxError("EINVAL", { syscall: "mkfs", detail });
}

/** Not enough room for what was asked; nothing was written. */
export function noRoom(detail: string): never {
  throw new DaxError("ENOSPC", { syscall: "mkfs", detail });
}

/** True for 1, 2, 4, 8 and so on. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}

/** The exponent of a power of two. */
export function log2(value: number): number {
  return Math.round(Math.log2(value));
}
