/**
 * Giving out inodes, and taking them back. Files come near their directory; directories too, except
 * those of the root, which are spread over the disk with room for what will be in them.
 *
 * @module
 */
import { EXT4_ROOT_INO } from "../../format/ext-inode.ts";
import type { Bitmap } from "../../lib/bitmap.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { BitmapWriter } from "./bitmap-writer.ts";
import { corrupt } from "./corruption.ts";
import { findDirectoryGroup } from "./directory-spread.ts";
import type { GroupWriter } from "./group-writer.ts";
import type { Handle } from "./handle.ts";
import type { Volume } from "./volume.ts";

/** Credits that `allocate` takes: two bitmaps and a descriptor. */
export const INODE_CREDITS = 3;

/** Where an inode is wanted. */
export interface InodeRequest {
  /** The directory that it will be in. */
  readonly parent: number;
  readonly directory: boolean;
  /** The parent says that its directories have nothing to do with each other. */
  readonly topdir?: boolean;
}

/** What inodes are given out of. */
export interface InodeSources {
  readonly writer: GroupWriter;
  readonly bitmaps: BitmapWriter;
  /** 32 random bits. */
  readonly random: () => number;
}

/** The inodes of one filesystem. */
export class InodeAllocator {
  readonly #volume: Volume;
  readonly #writer: GroupWriter;
  readonly #bitmaps: BitmapWriter;
  readonly #random: () => number;
  /** No bit of a group is clear below this one. */
  readonly #firstFree: Uint32Array;

  constructor(volume: Volume, { writer, bitmaps, random }: InodeSources) {
    this.#volume = volume;
    this.#writer = writer;
    this.#bitmaps = bitmaps;
    this.#random = random;
    this.#firstFree = new Uint32Array(volume.superblock.groups);
  }

  get freeInodes(): number {
    return this.#writer.totalInodes;
  }

  /**
   * Marks an inode in use; its bytes are still what they were. Takes {@link INODE_CREDITS}.
   * @throws ENOSPC when all are in use; EUCLEAN, EBADMSG for a damaged group, which is not asked
   *   again; EIO, EROFS
   */
  allocate(handle: Handle, request: InodeRequest): number {
    const group = this.#groupFor(request);
    if (group < 0) {
      const detail = `all ${this.#volume.superblock.inodes} inodes are in use`;
      throw new DaxError("ENOSPC", { detail });
    }
    const [bitmap, bit] = this.#freeBit(handle, group);
    const { freeInodes, usedDirs, itableUnused } = this.#volume.groups.get(group);
    const { inodesPerGroup } = this.#volume.superblock;
    bitmap.set(bit);
    this.#firstFree[group] = bit + 1;
    this.#writer.change(handle, group, {
      freeInodes: freeInodes - 1,
      usedDirs: request.directory ? usedDirs + 1 : undefined,
      itableUnused: this.#unusedAfter(itableUnused, bit),
    });
    return group * inodesPerGroup + bit + 1;
  }

  /** Marks an inode free. Takes {@link INODE_CREDITS}. @throws EUCLEAN, EBADMSG, EIO, EROFS */
  free(handle: Handle, ino: number, directory: boolean): void {
    const { inodesPerGroup, firstIno, inodes } = this.#volume.superblock;
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const bit = (ino - 1) % inodesPerGroup;
    if (ino < firstIno || ino > inodes) {
      throw corrupt("inode", "number", ino, `not from ${firstIno} to ${inodes}, it is not freed`);
    }
    const bitmap = this.#bitmaps.editInodes(handle, group);
    if (!bitmap.clear(bit)) {
      throw corrupt(`group ${group} inode bitmap`, `inode ${ino}`, "free", "it is freed once more");
    }
    const { freeInodes, usedDirs } = this.#volume.groups.get(group);
    this.#firstFree[group] = Math.min(this.#firstFree[group] as number, bit);
    this.#writer.change(handle, group, {
      freeInodes: freeInodes + 1,
      usedDirs: directory ? Math.max(0, usedDirs - 1) : undefined,
    });
  }

  /** A damaged group is passed over from then on, as Linux does. */
  #freeBit(handle: Handle, group: number): readonly [bitmap: Bitmap, bit: number] {
    try {
      const bitmap = this.#bitmaps.editInodes(handle, group);
      const bit = bitmap.nextClear(this.#lowest(group));
      if (bit >= 0) return [bitmap, bit];
      const rule = "its descriptor counts some";
      throw corrupt(`group ${group} inode bitmap`, "clear bits", 0, rule);
    } catch (error) {
      if (isDaxError(error, "EUCLEAN", "EBADMSG")) this.#writer.freeInodes.set(group, 0);
      throw error;
    }
  }

  /** The reserved ones are never given out, whatever the bitmap says. */
  #lowest(group: number): number {
    const known = this.#firstFree[group] as number;
    return group === 0 ? Math.max(known, this.#volume.superblock.firstIno - 1) : known;
  }

  /** The part of the table that was never used ends where the inode is. */
  #unusedAfter(unused: number, bit: number): number | undefined {
    const { inodesPerGroup, metadataCsum, gdtCsum } = this.#volume.superblock;
    const left = inodesPerGroup - bit - 1;
    return (metadataCsum || gdtCsum) && left < unused ? left : undefined;
  }

  #groupFor({ parent, directory, topdir = false }: InodeRequest): number {
    const { inodesPerGroup, groups } = this.#volume.superblock;
    const home = Math.floor((parent - 1) / inodesPerGroup);
    if (directory) {
      const spread = topdir || parent === EXT4_ROOT_INO;
      const from = spread ? this.#random() % groups : home;
      return findDirectoryGroup(this.#volume, this.#writer, from, spread);
    }
    return this.#nearest(home, parent);
  }

  /** The parent's group, else one that hashing finds, else the next one (`find_group_other`). */
  #nearest(home: number, parent: number): number {
    const { groups } = this.#volume.superblock;
    const { freeInodes, freeClusters } = this.#writer;
    const hasRoom = (group: number): boolean =>
      freeInodes.get(group) > 0 && (freeClusters[group] as number) > 0;
    if (hasRoom(home)) return home;
    let group = (home + parent) % groups;
    for (let step = 1; step < groups; step *= 2) {
      group = (group + step) % groups;
      if (hasRoom(group)) return group;
    }
    const ahead = freeInodes.nextAtLeast(home, 1);
    return ahead >= 0 ? ahead : freeInodes.nextAtLeast(0, 1);
  }
}
