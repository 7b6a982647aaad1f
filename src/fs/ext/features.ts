/**
 * Feature words: which are read here, which are refused by name, and what they make of the name of
 * the filesystem.
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_EA_INODE,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_BTREE_DIR,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
  EXT4_INCOMPAT_NAMES,
} from "../../format/ext-superblock.ts";
import { unsupported } from "./corruption.ts";

/** The three feature words of a superblock. */
export interface Features {
  readonly featureCompat: number;
  readonly featureIncompat: number;
  readonly featureRoCompat: number;
}

/** True when all `bits` of the compat word are set. */
export function hasCompat(features: Features, bits: number): boolean {
  return (features.featureCompat & bits) === bits;
}

/** True when all `bits` of the incompat word are set. */
export function hasIncompat(features: Features, bits: number): boolean {
  return (features.featureIncompat & bits) === bits;
}

/** True when all `bits` of the ro_compat word are set. */
export function hasRoCompat(features: Features, bits: number): boolean {
  return (features.featureRoCompat & bits) === bits;
}

const SUPPORTED_INCOMPAT =
  EXT4_FEATURE_INCOMPAT_FILETYPE |
  EXT4_FEATURE_INCOMPAT_RECOVER |
  EXT4_FEATURE_INCOMPAT_META_BG |
  EXT4_FEATURE_INCOMPAT_EXTENTS |
  EXT4_FEATURE_INCOMPAT_64BIT |
  EXT4_FEATURE_INCOMPAT_MMP |
  EXT4_FEATURE_INCOMPAT_FLEX_BG |
  EXT4_FEATURE_INCOMPAT_EA_INODE |
  EXT4_FEATURE_INCOMPAT_CSUM_SEED |
  EXT4_FEATURE_INCOMPAT_LARGEDIR |
  EXT4_FEATURE_INCOMPAT_INLINE_DATA;

const EXT3_INCOMPAT =
  EXT4_FEATURE_INCOMPAT_FILETYPE | EXT4_FEATURE_INCOMPAT_RECOVER | EXT4_FEATURE_INCOMPAT_META_BG;

const EXT3_RO_COMPAT =
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER |
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE |
  EXT4_FEATURE_RO_COMPAT_BTREE_DIR;

/** Which of the three it is: by the features that only the later ones know, as blkid tells. */
export function typeName(features: Features): "ext2" | "ext3" | "ext4" {
  const { featureIncompat, featureRoCompat } = features;
  if ((featureIncompat & ~EXT3_INCOMPAT) !== 0 || (featureRoCompat & ~EXT3_RO_COMPAT) !== 0) {
    return "ext4";
  }
  return hasCompat(features, EXT4_FEATURE_COMPAT_HAS_JOURNAL) ? "ext3" : "ext2";
}

/**
 * Refuses what this driver cannot read. Unknown compat bits are harmless, and unknown ro_compat
 * bits forbid only writing.
 * @throws ENOTSUP naming every feature that is in the way
 */
export function checkIncompat(features: Features): void {
  const unknown = (features.featureIncompat & ~SUPPORTED_INCOMPAT) >>> 0;
  if (unknown === 0) return;
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const value = 2 ** bit;
    if ((unknown & value) === 0) continue;
    names.push(EXT4_INCOMPAT_NAMES[value] ?? `unknown incompat feature 0x${value.toString(16)}`);
  }
  const remedy = "it can only be read by a driver that knows it";
  throw unsupported(`the filesystem uses ${names.join(", ")}`, remedy);
}
