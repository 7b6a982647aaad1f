/**
 * The defaults of Debian's mke2fs.conf: what a type and a use of a filesystem stand for.
 *
 * @module
 */
import { closest } from "../../lib/suggest.ts";
import { type ExtKind, refuse } from "./mkfs-options.ts";

/** What is decided by profile unless an option says otherwise. */
export interface Profile {
  /** Bytes. */
  readonly blockSize: number;
  readonly inodeSize: number;
  /** Bytes of space to each inode. */
  readonly inodeRatio: number;
}

const BASE: Profile = { blockSize: 4096, inodeSize: 256, inodeRatio: 16384 };

/** Feature lists in the words of `-O`, by type; each comes after {@link BASE_FEATURES}. */
export const TYPE_FEATURES: Readonly<Record<ExtKind, string>> = {
  ext2: "",
  ext3: "has_journal",
  ext4: "has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize",
};

/** Features of every type. */
export const BASE_FEATURES = "sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr";

/** Groups that share a place for their metadata, with flex_bg. */
export const DEFAULT_FLEX_GROUPS = 16;
/** Percent of the blocks that only root may fill. */
export const DEFAULT_RESERVED_PERCENT = 5;

const USAGES: Readonly<Record<string, Partial<Profile>>> = {
  floppy: { blockSize: 1024, inodeRatio: 8192 },
  small: { blockSize: 1024, inodeRatio: 4096 },
  default: {},
  big: { inodeRatio: 32768 },
  huge: { inodeRatio: 65536 },
  news: { inodeRatio: 4096 },
  // Their block size is that of a page.
  largefile: { inodeRatio: 1_048_576, blockSize: 4096 },
  largefile4: { inodeRatio: 4_194_304, blockSize: 4096 },
};

/** Names that `-T` takes. */
export const USAGE_NAMES: readonly string[] = Object.keys(USAGES);

const MIB = 2 ** 20;

/** The use that a size suggests; `blocks` count `unit` bytes. */
function usageOf(blocks: number, unit: number): string {
  const meg = MIB / unit;
  if (blocks < 3 * meg) return "floppy";
  if (blocks < 512 * meg) return "small";
  if (blocks < 4 * MIB * meg) return "default";
  return blocks < 16 * MIB * meg ? "big" : "huge";
}

/**
 * The profile for a size, or for the uses that were named; a later one wins.
 * @throws EINVAL for a use that is not known
 */
export function profileOf(
  usages: readonly string[] | undefined,
  blocks: number,
  unit: number,
): Profile {
  const profile = { ...BASE };
  for (const name of usages ?? [usageOf(blocks, unit)]) {
    const usage = Object.hasOwn(USAGES, name) ? USAGES[name] : undefined;
    if (usage === undefined) {
      const near = closest(name, USAGE_NAMES);
      const hint =
        near === undefined ? `known are ${USAGE_NAMES.join(", ")}` : `did you mean ${near}?`;
      refuse(`usage type "${name.slice(0, 40)}" is not known; ${hint}`);
    }
    Object.assign(profile, usage);
  }
  return profile;
}
