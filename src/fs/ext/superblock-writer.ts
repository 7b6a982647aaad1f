/**
 * Changes of the superblock: totals when they are asked for, features when they are first used, and
 * what a mount and its end leave there.
 *
 * All of it goes through a transaction; only the flag that asks for a replay does not
 * (`recover-flag.ts`).
 *
 * @module
 */
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  EXT4_ERROR_FS,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_VALID_FS,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Timespec } from "../../lib/environment.ts";
import { type Memory, copyOf } from "../../lib/memory.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { hasCompat, hasRoCompat } from "./features.ts";
import { superBlockNumber } from "./geometry.ts";
import type { GroupWriter } from "./group-writer.ts";
import type { Handle } from "./handle.ts";
import { superblockChecksumOf } from "./recover-flag.ts";
import type { Superblock } from "./superblock.ts";
import type { Volume } from "./volume.ts";

/** Credits that each change within a transaction takes. */
export const SUPERBLOCK_CREDITS = 1;

type Edit = (memory: Memory, at: number) => void;

/** What changes while a filesystem is mounted; everybody holds the same object. */
type Changing = { -readonly [Key in keyof Superblock]: Superblock[Key] };

/** The primary superblock, for writing. The copies in other groups are left as they are. */
export class SuperblockWriter {
  readonly #volume: Volume;
  readonly #writer: GroupWriter;
  readonly #now: () => Timespec;

  constructor(volume: Volume, writer: GroupWriter, now: () => Timespec) {
    this.#volume = volume;
    this.#writer = writer;
    this.#now = now;
  }

  /** Stores the totals of free blocks and inodes. @throws EIO, EROFS */
  storeTotals(handle: Handle): void {
    this.#change(handle, (memory, at) => this.#editTotals(memory, at));
  }

  /** Sets feature bits, `ext_attr` for example, if they are not set. @throws EIO, EROFS */
  needCompat(handle: Handle, bits: number): void {
    if (hasCompat(this.#volume.superblock, bits)) return;
    const value = (this.#volume.superblock.featureCompat | bits) >>> 0;
    this.#change(handle, (memory, at) => SB.featureCompat.set(memory, at, value));
  }

  /** Sets feature bits, `large_file` for example, if they are not set. @throws EIO, EROFS */
  needRoCompat(handle: Handle, bits: number): void {
    if (hasRoCompat(this.#volume.superblock, bits)) return;
    const value = (this.#volume.superblock.featureRoCompat | bits) >>> 0;
    this.#change(handle, (memory, at) => SB.featureRoCompat.set(memory, at, value));
  }

  /** Stores where the list of orphans starts. @throws EIO, EROFS */
  setLastOrphan(handle: Handle, ino: number): void {
    this.#change(handle, (memory, at) => SB.lastOrphan.set(memory, at, ino));
  }

  /**
   * Says that the filesystem is mounted for writing: one more mount, its time, no longer clean
   * where there is no journal, orphans to be looked for in the orphan file. Without a journal this
   * has to be durable before anything else changes. @throws EIO, EROFS
   */
  mounted(handle: Handle): void {
    this.#change(handle, (memory, at) => {
      SB.mntCount.set(memory, at, (SB.mntCount.get(memory, at) + 1) & 0xffff);
      this.#setTime(memory, at, SB.mtime, SB.mtimeHi);
      this.#editInUse(memory, at);
    });
  }

  /** Says again what `mounted` did, when a filesystem that stood still goes on. @throws as that */
  thawed(handle: Handle): void {
    this.#change(handle, (memory, at) => this.#editInUse(memory, at));
  }

  /**
   * Says that nothing is left to do: totals, and what `mounted` changed. `orphansInFile`: the
   * orphan file still names some. Without a journal everything else has to be durable before.
   * @throws EIO, EROFS
   */
  unmounted(handle: Handle, orphansInFile: boolean): void {
    this.#change(handle, (memory, at) => {
      this.#editTotals(memory, at);
      const { state } = this.#volume.superblock;
      SB.state.set(memory, at, SB.state.get(memory, at) | (state & EXT4_VALID_FS));
      if (orphansInFile) return;
      const word = SB.featureRoCompat.get(memory, at) & ~EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;
      SB.featureRoCompat.set(memory, at, word >>> 0);
    });
  }

  /** Notes that errors were found (`EXT4_ERROR_FS`): e2fsck looks closer. */
  foundErrors(handle: Handle): void {
    this.#change(handle, (memory, at) => {
      SB.state.set(memory, at, SB.state.get(memory, at) | EXT4_ERROR_FS);
    });
  }

  #editInUse(memory: Memory, at: number): void {
    const { superblock } = this.#volume;
    if (!hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) {
      SB.state.set(memory, at, SB.state.get(memory, at) & ~EXT4_VALID_FS);
    }
    if (hasCompat(superblock, EXT4_FEATURE_COMPAT_ORPHAN_FILE)) {
      const word = SB.featureRoCompat.get(memory, at) | EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT;
      SB.featureRoCompat.set(memory, at, word >>> 0);
    }
  }

  #editTotals(memory: Memory, at: number): void {
    const { clusterRatio } = this.#volume.superblock;
    const blocks = this.#writer.totalClusters * clusterRatio;
    SB.freeBlocksCountLo.set(memory, at, blocks % 2 ** 32);
    SB.freeBlocksCountHi.set(memory, at, Math.floor(blocks / 2 ** 32));
    SB.freeInodesCount.set(memory, at, this.#writer.totalInodes);
  }

  #change(handle: Handle, edit: Edit): void {
    const { superblock } = this.#volume;
    const { memory } = handle.get(superBlockNumber(superblock), "superblock");
    this.#edit(memory, EXT4_SUPERBLOCK_OFFSET % superblock.blockSize, edit);
  }

  #edit(memory: Memory, at: number, edit: Edit): void {
    edit(memory, at);
    this.#setTime(memory, at, SB.wtime, SB.wtimeHi);
    // Everybody who asks for a feature later on sees it.
    const superblock: Changing = this.#volume.superblock;
    superblock.featureCompat = SB.featureCompat.get(memory, at);
    superblock.featureIncompat = SB.featureIncompat.get(memory, at);
    superblock.featureRoCompat = SB.featureRoCompat.get(memory, at);
    superblock.lastOrphan = SB.lastOrphan.get(memory, at);
    if (!superblock.metadataCsum) return;
    SB.checksum.set(memory, at, superblockChecksumOf(copyOf(memory, at, sizeof(SB))));
  }

  #setTime(memory: Memory, at: number, low: Field<number>, high: Field<number>): void {
    const { sec } = this.#now();
    low.set(memory, at, sec >>> 0);
    high.set(memory, at, Math.floor(sec / 2 ** 32) & 0xff);
  }
}
