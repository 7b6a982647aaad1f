/**
 * What may lie under a program, by name, and what each name assumes, in words.
 *
 * @module
 */
import type { ExtMountOptions } from "../../fs/ext/ext.ts";
import type { MakeExtOptions } from "../../fs/ext/mkfs-options.ts";
import { SCHEDULES, type Schedule } from "./schedules.ts";
import type { ModelledOptions } from "../../media/modelled.ts";

/** Bytes of the memory under a volume. */
export const DEFAULT_SIZE = 10 << 20;

/** A name for what lies under a program. */
export type PresetName =
  | "ext4-dax"
  | "ext4-ordered"
  | "ext2"
  | "disk-volatile-cache"
  | "adr"
  | "eadr"
  | "volatile"
  | "mixed";

/** What lies under a program. */
export interface Preset {
  /** What it assumes. */
  readonly words: string;
  /** The memory, for a volume of so many bytes. */
  readonly machine: (size: number) => ModelledOptions;
  readonly make: MakeExtOptions;
  readonly mount: ExtMountOptions;
  /** What the filesystem may do by itself meanwhile; the first is explored first. */
  readonly schedules: readonly Schedule[];
  /** Power cuts in a row, unless a proof says otherwise. */
  readonly depth: number;
  /** Bytes of a sector that a power cut leaves whole, for a disk; absent: memory. */
  readonly sector?: number;
}

const EXT4: MakeExtOptions = { type: "ext4", blockSize: 4096, inodes: 256, journalMegabytes: 4 };
const EXT2: MakeExtOptions = { type: "ext2", blockSize: 4096, inodes: 256 };

const preset = (words: string, machine: Preset["machine"], make = EXT4): Preset => ({
  words,
  machine,
  make,
  mount: {},
  schedules: SCHEDULES.ext4Dax,
  depth: 1,
});

/** Every preset. */
export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  "ext4-ordered": {
    ...preset(
      "ext4 with its journal, data=ordered, on a disk of 4096-byte sectors with a volatile write " +
        "cache: of what was written since the last completed FLUSH any sectors may be missing, " +
        "each is old or new, and what was written with FUA is there",
      () => ({ domain: "adr" }),
    ),
    schedules: SCHEDULES.ext4,
    sector: 4096,
    depth: 2,
  },
  "disk-volatile-cache": {
    ...preset(
      "as ext4-ordered, but on a disk of 512-byte sectors: a block of the filesystem may be torn " +
        "between any two of its sectors",
      () => ({ domain: "adr" }),
    ),
    schedules: SCHEDULES.ext4,
    sector: 512,
    depth: 2,
  },
  "ext4-dax": preset(
    "ext4 with its journal, mounted with dax on persistent memory: a store survives when its " +
      "cache line was flushed and a fence came after it, and may survive before that",
    () => ({ domain: "adr" }),
  ),
  ext2: {
    ...preset(
      "ext2, without a journal, mounted with dax on persistent memory (adr); fsync writes " +
        "what belongs to its file, as in Linux: a name belongs to its directory",
      () => ({ domain: "adr" }),
      EXT2,
    ),
    mount: { ownSyncs: true },
    schedules: SCHEDULES.ext2,
  },
  adr: preset(
    "ext4 with dax; what was flushed and fenced survives, and what was only stored may",
    () => ({ domain: "adr" }),
  ),
  eadr: preset(
    "ext4 with dax on memory whose caches have a battery: every store survives, in their order",
    () => ({ domain: "eadr" }),
  ),
  volatile: {
    ...preset("ext4 in ordinary memory: nothing survives", () => ({ domain: "volatile" })),
    schedules: SCHEDULES.none,
  },
  mixed: preset(
    "ext4 with dax; the second half of the memory has a battery behind its caches (eadr), the " +
      "first has none (adr)",
    (size) => ({
      domains: [
        { start: 0, length: size / 2, domain: "adr" },
        { start: size / 2, length: size / 2, domain: "eadr" },
      ],
    }),
  ),
};
