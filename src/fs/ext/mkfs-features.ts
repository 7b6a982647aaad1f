/**
 * Feature lists as `-O` writes them, and which of the features a filesystem can be made with.
 *
 * @module
 */
import {
  EXT4_COMPAT_NAMES,
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_FEATURE_COMPAT_FAST_COMMIT,
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
  EXT4_FEATURE_COMPAT_STABLE_INODES,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_EA_INODE,
  EXT4_FEATURE_INCOMPAT_ENCRYPT,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_INCOMPAT_META_BG,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK,
  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_FEATURE_RO_COMPAT_PROJECT,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
  EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
  EXT4_FEATURE_RO_COMPAT_VERITY,
  EXT4_INCOMPAT_NAMES,
  EXT4_RO_COMPAT_NAMES,
} from "../../format/ext-superblock.ts";
import { closest } from "../../lib/suggest.ts";
import type { Features } from "./features.ts";
import { refuse } from "./mkfs-options.ts";

/** What mke2fs can make, a word of bits for each of the three feature words. */
const MAKEABLE: Features = {
  featureCompat:
    EXT4_FEATURE_COMPAT_HAS_JOURNAL |
    EXT4_FEATURE_COMPAT_RESIZE_INODE |
    EXT4_FEATURE_COMPAT_DIR_INDEX |
    EXT4_FEATURE_COMPAT_EXT_ATTR |
    EXT4_FEATURE_COMPAT_SPARSE_SUPER2 |
    EXT4_FEATURE_COMPAT_FAST_COMMIT |
    EXT4_FEATURE_COMPAT_STABLE_INODES |
    EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  featureIncompat:
    EXT4_FEATURE_INCOMPAT_FILETYPE |
    EXT4_FEATURE_INCOMPAT_EXTENTS |
    EXT4_FEATURE_INCOMPAT_META_BG |
    EXT4_FEATURE_INCOMPAT_FLEX_BG |
    EXT4_FEATURE_INCOMPAT_EA_INODE |
    EXT4_FEATURE_INCOMPAT_MMP |
    EXT4_FEATURE_INCOMPAT_64BIT |
    EXT4_FEATURE_INCOMPAT_INLINE_DATA |
    EXT4_FEATURE_INCOMPAT_ENCRYPT |
    EXT4_FEATURE_INCOMPAT_CASEFOLD |
    EXT4_FEATURE_INCOMPAT_CSUM_SEED |
    EXT4_FEATURE_INCOMPAT_LARGEDIR,
  featureRoCompat:
    EXT4_FEATURE_RO_COMPAT_LARGE_FILE |
    EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
    EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
    EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |
    EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER |
    EXT4_FEATURE_RO_COMPAT_GDT_CSUM |
    EXT4_FEATURE_RO_COMPAT_BIGALLOC |
    EXT4_FEATURE_RO_COMPAT_QUOTA |
    EXT4_FEATURE_RO_COMPAT_METADATA_CSUM |
    EXT4_FEATURE_RO_COMPAT_PROJECT |
    EXT4_FEATURE_RO_COMPAT_VERITY,
};

/** A feature word by its name here. */
export type Word = keyof Features;

const NAMES: Readonly<Record<Word, Readonly<Record<number, string>>>> = {
  featureCompat: EXT4_COMPAT_NAMES,
  featureIncompat: EXT4_INCOMPAT_NAMES,
  featureRoCompat: EXT4_RO_COMPAT_NAMES,
};

/** In the order in which dumpe2fs lists them. */
const WORDS: readonly Word[] = ["featureCompat", "featureIncompat", "featureRoCompat"];

/** Second names of features. */
const SYNONYMS: Readonly<Record<string, string>> = {
  extents: "extent",
  uninit_groups: "uninit_bg",
  gdt_csum: "uninit_bg",
  fname_encoding: "casefold",
};

/** Feature words that can still change. */
export type FeatureWords = { -readonly [K in Word]: number };

/** No features at all. */
export const NO_FEATURES: Features = { featureCompat: 0, featureIncompat: 0, featureRoCompat: 0 };

/** Where a feature is, by any of its names; undefined for a name that is not known. */
export function locateFeature(name: string): { word: Word; bit: number } | undefined {
  const wanted = Object.hasOwn(SYNONYMS, name) ? SYNONYMS[name] : name;
  for (const word of WORDS) {
    for (const [bit, known] of Object.entries(NAMES[word])) {
      if (known === wanted) return { word, bit: Number(bit) };
    }
  }
  return undefined;
}

/** Names of all features that a filesystem can be made with. */
export function makeableFeatures(): string[] {
  return featureNames(MAKEABLE);
}

/** The names of the features that are set, in the order of dumpe2fs. */
export function featureNames(features: Features): string[] {
  return WORDS.flatMap((word) =>
    Object.entries(NAMES[word])
      .filter(([bit]) => (features[word] & Number(bit)) !== 0)
      .map(([, name]) => name),
  );
}

/** As `featureNames`, for what an image holds: features without a name go by their word and bit. */
export function storedFeatureNames(features: Features): string[] {
  const letters = { featureCompat: "C", featureIncompat: "I", featureRoCompat: "R" } as const;
  const names: string[] = [];
  for (const word of WORDS) {
    for (let bit = 0; bit < 32; bit++) {
      const value = 2 ** bit;
      if (((features[word] >>> bit) & 1) === 0) continue;
      names.push(NAMES[word][value] ?? `FEATURE_${letters[word]}${bit}`);
    }
  }
  return names;
}

/**
 * Changes `words` as a list says: `name` or `+name` sets, `^name` or `-name` clears, `none` clears
 * all. Names are separated by commas or blanks, in either case of letters.
 * @throws EINVAL for a name that is not known or cannot be made
 */
export function editFeatures(words: FeatureWords, list: string): void {
  for (const item of list.split(/[\s,]+/u)) {
    if (item === "") continue;
    const clear = /^[\^-]/u.test(item);
    const name = item.replace(/^[\^+-]/u, "").toLowerCase();
    if (name === "none") {
      Object.assign(words, NO_FEATURES);
      continue;
    }
    const found = locateFeature(name);
    if (found === undefined) refuseName(item);
    const { word, bit } = found;
    if ((MAKEABLE[word] & bit) === 0) {
      refuse(`feature "${name}" cannot be asked for when a filesystem is made`);
    }
    words[word] = (clear ? words[word] & ~bit : words[word] | bit) >>> 0;
  }
}

function refuseName(item: string): never {
  const near = closest(item.replace(/^[\^+-]/u, ""), makeableFeatures());
  const hint =
    near === undefined ? `known are ${makeableFeatures().join(", ")}` : `did you mean ${near}?`;
  refuse(`feature "${item.slice(0, 40)}" is not known; ${hint}`);
}
