/**
 * Changes of group descriptors, and the counts of what is free, group by group. Descriptors are
 * changed in their transaction at once; the checksums of descriptors and bitmaps follow when it is
 * committed, once for however many changes.
 *
 * @module
 */
import { Ext4GroupDesc as GD } from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { MaxTree } from "../../lib/max-tree.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { descriptorBlock } from "./geometry.ts";
import { type ChangingGroup, type GroupDescriptor, descriptorChecksum } from "./groups.ts";
import type { Handle } from "./handle.ts";
import type { JournaledBlock } from "./transaction.ts";
import type { Volume } from "./volume.ts";

/** Groups of a filesystem that is changed, at most: 16 bytes are kept for each. */
const MOST_GROUPS = 2 ** 22;

/** What may change in a descriptor. */
export interface GroupChange {
  readonly freeClusters?: number;
  readonly freeInodes?: number;
  readonly usedDirs?: number | undefined;
  readonly flags?: number;
  readonly itableUnused?: number | undefined;
}

/** A descriptor, or a bitmap of its group, that changed since the last commit. */
interface OpenGroup {
  readonly descriptor: JournaledBlock;
  readonly known: ChangingGroup;
  /** Byte of the descriptor in its block. */
  readonly at: number;
  blockBitmap?: JournaledBlock;
  inodeBitmap?: JournaledBlock;
}

/** The descriptors of one filesystem, for writing. */
export class GroupWriter {
  readonly volume: Volume;
  /** Free inodes of each group. */
  readonly freeInodes: MaxTree;
  /** Free clusters of each group, those included that wait for a commit. */
  readonly freeClusters: Uint32Array;
  readonly usedDirs: Uint32Array;
  #totalClusters = 0;
  #totalInodes = 0;
  #totalDirs = 0;
  readonly #open = new Map<number, OpenGroup>();
  #scheduled = false;

  /** Reads every descriptor. @throws EUCLEAN, EBADMSG, EIO; ENOTSUP for too many groups */
  constructor(volume: Volume) {
    const { groups } = volume.superblock;
    if (groups > MOST_GROUPS) {
      const detail = `ext: ${groups} block groups; at most ${MOST_GROUPS} can be written`;
      throw new DaxError("ENOTSUP", { syscall: "mount", detail });
    }
    this.volume = volume;
    this.freeInodes = new MaxTree(groups);
    this.freeClusters = new Uint32Array(groups);
    this.usedDirs = new Uint32Array(groups);
    for (let group = 0; group < groups; group++) this.#count(volume.groups.read(group));
  }

  /** Free clusters of all groups. */
  get totalClusters(): number {
    return this.#totalClusters;
  }

  /** Free inodes of all groups. */
  get totalInodes(): number {
    return this.#totalInodes;
  }

  /** Directories of all groups. */
  get totalDirs(): number {
    return this.#totalDirs;
  }

  /** Changes a descriptor. It takes a credit. @throws EIO, EROFS */
  change(handle: Handle, group: number, change: GroupChange): void {
    const { descriptor, known, at } = this.#openGroup(handle, group);
    this.#uncount(known);
    const { freeClusters, freeInodes, usedDirs, flags, itableUnused } = change;
    if (freeClusters !== undefined) known.freeClusters = freeClusters;
    if (freeInodes !== undefined) known.freeInodes = freeInodes;
    if (usedDirs !== undefined) known.usedDirs = usedDirs;
    if (flags !== undefined) known.flags = flags;
    if (itableUnused !== undefined) known.itableUnused = itableUnused;
    this.#count(known);
    this.#store(descriptor.memory, at, change);
  }

  /** The bitmap of blocks was changed: its checksum is to follow. Takes a credit. @throws EIO */
  blockBitmapChanged(handle: Handle, group: number, bitmap: JournaledBlock): void {
    this.#openGroup(handle, group).blockBitmap = bitmap;
  }

  /** The bitmap of inodes was changed. Takes a credit. @throws EIO, EROFS */
  inodeBitmapChanged(handle: Handle, group: number, bitmap: JournaledBlock): void {
    this.#openGroup(handle, group).inodeBitmap = bitmap;
  }

  #openGroup(handle: Handle, group: number): OpenGroup {
    const { superblock } = this.volume;
    const { descriptorsPerBlock, descSize } = superblock;
    const block = descriptorBlock(superblock, Math.floor(group / descriptorsPerBlock));
    const descriptor = handle.get(block, "group descriptors");
    let open = this.#open.get(group);
    if (open?.descriptor !== descriptor) {
      assert(open === undefined, "a group that was changed in a transaction that is gone");
      const known = this.volume.groups.edit(group);
      open = { descriptor, known, at: (group % descriptorsPerBlock) * descSize };
      this.#open.set(group, open);
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      handle.onBeforeCommit(() => this.#seal());
    }
    return open;
  }

  #count({ group, freeClusters, freeInodes, usedDirs }: GroupDescriptor): void {
    this.freeClusters[group] = freeClusters;
    this.freeInodes.set(group, freeInodes);
    this.usedDirs[group] = usedDirs;
    this.#totalClusters += freeClusters;
    this.#totalInodes += freeInodes;
    this.#totalDirs += usedDirs;
  }

  #uncount({ freeClusters, freeInodes, usedDirs }: GroupDescriptor): void {
    this.#totalClusters -= freeClusters;
    this.#totalInodes -= freeInodes;
    this.#totalDirs -= usedDirs;
  }

  #store(memory: DataView, at: number, change: GroupChange): void {
    const { freeClusters, freeInodes, usedDirs, itableUnused, flags } = change;
    this.#join(memory, at, GD.freeBlocksCountLo, GD.freeBlocksCountHi, freeClusters);
    this.#join(memory, at, GD.freeInodesCountLo, GD.freeInodesCountHi, freeInodes);
    this.#join(memory, at, GD.usedDirsCountLo, GD.usedDirsCountHi, usedDirs);
    this.#join(memory, at, GD.itableUnusedLo, GD.itableUnusedHi, itableUnused);
    if (flags !== undefined) GD.flags.set(memory, at, flags);
  }

  #join(
    memory: DataView,
    at: number,
    lo: Field<number>,
    hi: Field<number>,
    value: number | undefined,
  ): void {
    if (value === undefined) return;
    lo.set(memory, at, value & 0xffff);
    if (this.volume.superblock.descSize >= sizeof(GD)) hi.set(memory, at, value >>> 16);
  }

  /** Bitmap first, then the descriptor that holds its checksum, then that one's own. */
  #seal(): void {
    const { superblock, groups } = this.volume;
    const { clustersPerGroup, inodesPerGroup, descSize } = superblock;
    for (const [group, { descriptor, at, blockBitmap, inodeBitmap }] of this.#open) {
      const { memory, bytes } = descriptor;
      const { blockBitmapCsumLo, blockBitmapCsumHi, inodeBitmapCsumLo, inodeBitmapCsumHi } = GD;
      if (superblock.metadataCsum && blockBitmap !== undefined) {
        const sum = this.#sumOf(blockBitmap, clustersPerGroup);
        this.#join(memory, at, blockBitmapCsumLo, blockBitmapCsumHi, sum);
      }
      if (superblock.metadataCsum && inodeBitmap !== undefined) {
        const sum = this.#sumOf(inodeBitmap, inodesPerGroup);
        this.#join(memory, at, inodeBitmapCsumLo, inodeBitmapCsumHi, sum);
      }
      const sum = descriptorChecksum(superblock, group, bytes.subarray(at, at + descSize));
      if (sum !== undefined) GD.checksum.set(memory, at, sum);
      groups.settle(group);
    }
    this.#open.clear();
    this.#scheduled = false;
  }

  #sumOf({ bytes }: JournaledBlock, bits: number): number {
    return crc32c(this.volume.superblock.checksumSeed, bytes.subarray(0, bits / 8));
  }
}
