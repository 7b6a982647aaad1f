/**
 * Which features can be set and taken away afterwards by changing the superblock alone, and what
 * stands against the others.
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX as DIR_INDEX,
  EXT4_FEATURE_COMPAT_FAST_COMMIT as FAST_COMMIT,
  EXT4_FEATURE_COMPAT_STABLE_INODES as STABLE_INODES,
  EXT4_FEATURE_INCOMPAT_CASEFOLD as CASEFOLD,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED as CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_EA_INODE as EA_INODE,
  EXT4_FEATURE_INCOMPAT_ENCRYPT as ENCRYPT,
  EXT4_FEATURE_INCOMPAT_EXTENTS as EXTENTS,
  EXT4_FEATURE_INCOMPAT_FLEX_BG as FLEX_BG,
  EXT4_FEATURE_INCOMPAT_LARGEDIR as LARGEDIR,
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK as DIR_NLINK,
  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE as EXTRA_ISIZE,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE as HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE as LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_READONLY as READONLY,
  EXT4_FEATURE_RO_COMPAT_VERITY as VERITY,
} from "../../format/ext-superblock.ts";
import { closest } from "../../lib/suggest.ts";
import type { Features } from "./features.ts";
import { type FeatureWords, NO_FEATURES, featureNames, locateFeature } from "./mkfs-features.ts";
import { refuse, refuseFeature } from "./tune-options.ts";

const SETTABLE: Features = {
  featureCompat: DIR_INDEX | FAST_COMMIT | STABLE_INODES,
  featureIncompat: EXTENTS | FLEX_BG | EA_INODE | ENCRYPT | CSUM_SEED | LARGEDIR | CASEFOLD,
  featureRoCompat: LARGE_FILE | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | READONLY | VERITY,
};

const CLEARABLE: Features = {
  featureCompat: FAST_COMMIT,
  featureIncompat: CSUM_SEED,
  featureRoCompat: DIR_NLINK | EXTRA_ISIZE | READONLY,
};

const BLOCKS = "it takes blocks, which are neither given nor taken back here; use tune2fs";
const CHECKED = "e2fsck has to go over every file afterwards; use tune2fs, then e2fsck -f";
const CHECKSUMS = "every checksum would have to be written anew; use tune2fs";

/** Why the others cannot be changed, whichever way. */
const REASONS: Readonly<Record<string, string>> = {
  has_journal: BLOCKS,
  orphan_file: BLOCKS,
  mmp: BLOCKS,
  quota: BLOCKS,
  project: BLOCKS,
  resize_inode: BLOCKS,
  filetype: CHECKED,
  sparse_super: CHECKED,
  large_file: CHECKED,
  huge_file: CHECKED,
  metadata_csum: CHECKSUMS,
  uninit_bg: CHECKSUMS,
  "64bit": "group descriptors would have to move; use resize2fs -b or -s",
  dir_index: "directories that have an index would have to be written anew; use tune2fs",
  encrypt: "files may be encrypted",
  casefold: "directories may be casefolded",
  verity: "files may be protected by it",
  extent: "files may have extents",
  ea_inode: "attributes may have inodes",
  large_dir: "directories may be large",
  flex_bg: "bitmaps and inode tables may lie in other groups",
  stable_inodes: "encrypted files may rely on it",
};

/** What can be asked for, for help and errors. */
export function tunableFeatures(): { readonly set: string[]; readonly clear: string[] } {
  return { set: featureNames(SETTABLE), clear: featureNames(CLEARABLE) };
}

/**
 * The feature words after a list of changes: `name` or `+name` sets, `^name` or `-name` clears,
 * `none` clears all; separated by commas or blanks, in either case of letters.
 * @throws EINVAL for a name that is not known, ENOTSUP naming what cannot be changed here and why
 */
export function tunedFeatures(features: Features, list: string): Features {
  const words: FeatureWords = {
    featureCompat: features.featureCompat,
    featureIncompat: features.featureIncompat,
    featureRoCompat: features.featureRoCompat,
  };
  for (const item of list.split(/[\s,]+/u)) {
    if (item !== "") editWord(words, item);
  }
  const set = difference(words, features);
  const cleared = difference(features, words);
  refuseBeyond(set, SETTABLE, "set");
  refuseBeyond(cleared, CLEARABLE, "cleared");
  return words;
}

function editWord(words: FeatureWords, item: string): void {
  const clear = /^[\^-]/u.test(item);
  const name = item.replace(/^[\^+-]/u, "").toLowerCase();
  if (name === "none") {
    Object.assign(words, NO_FEATURES);
    return;
  }
  const found = locateFeature(name);
  if (found === undefined) refuseName(item, name);
  const { word, bit } = found;
  words[word] = (clear ? words[word] & ~bit : words[word] | bit) >>> 0;
}

function refuseName(item: string, name: string): never {
  const { set, clear } = tunableFeatures();
  const near = closest(name, [...set, ...clear]);
  const known = `${set.join(", ")}, and with ^ ${clear.join(", ")}`;
  const hint = near === undefined ? `known are ${known}` : `did you mean ${near}?`;
  return refuse(`feature "${item.slice(0, 40)}" is not known; ${hint}`);
}

/** The bits of `left` that `right` has not. */
function difference(left: Features, right: Features): Features {
  return {
    featureCompat: (left.featureCompat & ~right.featureCompat) >>> 0,
    featureIncompat: (left.featureIncompat & ~right.featureIncompat) >>> 0,
    featureRoCompat: (left.featureRoCompat & ~right.featureRoCompat) >>> 0,
  };
}

function refuseBeyond(changed: Features, allowed: Features, how: "set" | "cleared"): void {
  const [name] = featureNames(difference(changed, allowed));
  if (name === undefined) return;
  const why = REASONS[name] ?? "it is decided when a filesystem is made";
  refuseFeature(`feature ${name} cannot be ${how}: ${why}`);
}
