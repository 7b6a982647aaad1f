/**
 * What stands against writing to a filesystem that can be read.
 *
 * @module
 */
import {
  EXT4_COMPAT_NAMES,
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_COMPAT_DIR_PREALLOC,
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_FEATURE_COMPAT_FAST_COMMIT,
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_IMAGIC_INODES,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_COMPAT_STABLE_INODES,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK,
  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  EXT4_FEATURE_RO_COMPAT_PROJECT,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
  EXT4_FEATURE_RO_COMPAT_VERITY,
  EXT4_RO_COMPAT_NAMES,
} from "../../format/ext-superblock.ts";
import { unsupported } from "./corruption.ts";
import type { Features } from "./features.ts";

/** Of an unknown compat feature Linux takes no notice; e2fsck does, and rightly. */
const WRITABLE_COMPAT =
  EXT4_FEATURE_COMPAT_DIR_PREALLOC |
  EXT4_FEATURE_COMPAT_IMAGIC_INODES |
  EXT4_FEATURE_COMPAT_HAS_JOURNAL |
  EXT4_FEATURE_COMPAT_EXT_ATTR |
  EXT4_FEATURE_COMPAT_RESIZE_INODE |
  EXT4_FEATURE_COMPAT_DIR_INDEX |
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2 |
  EXT4_FEATURE_COMPAT_FAST_COMMIT |
  EXT4_FEATURE_COMPAT_STABLE_INODES |
  EXT4_FEATURE_COMPAT_ORPHAN_FILE;

const WRITABLE_RO_COMPAT =
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER |
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE |
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM |
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |
  EXT4_FEATURE_RO_COMPAT_BIGALLOC |
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM |
  EXT4_FEATURE_RO_COMPAT_PROJECT |
  EXT4_FEATURE_RO_COMPAT_VERITY |
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;

/**
 * Refuses what this driver would leave wrong: quotas are not counted, snapshots, replicas and
 * shared blocks are not kept, and some images say themselves that nobody may write to them.
 * @throws ENOTSUP naming every feature that is in the way
 */
export function checkWritable(features: Features): void {
  const names = [
    ...namesOf(features.featureCompat & ~WRITABLE_COMPAT, EXT4_COMPAT_NAMES, "compat"),
    ...namesOf(features.featureRoCompat & ~WRITABLE_RO_COMPAT, EXT4_RO_COMPAT_NAMES, "ro_compat"),
  ];
  if (names.length === 0) return;
  const what = `the filesystem uses ${names.join(", ")}, which would not be kept right by writing`;
  throw unsupported(what, "mount it read-only, or remove the feature with tune2fs");
}

function* namesOf(
  bits: number,
  names: Readonly<Record<number, string>>,
  word: string,
): Generator<string> {
  for (let bit = 0; bit < 32; bit++) {
    const value = 2 ** bit;
    if (((bits >>> bit) & 1) === 0) continue;
    yield names[value] ?? `unknown ${word} feature 0x${value.toString(16)}`;
  }
}
