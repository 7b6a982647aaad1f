/**
 * Descriptors and bitmaps of a new filesystem, one group at a time.
 *
 * @module
 */
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  EXT4_BG_INODE_ZEROED,
  Ext4GroupDesc as GD,
} from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { groupLength, groupStart } from "./geometry.ts";
import { descriptorChecksum } from "./groups.ts";
import type { Contents } from "./mkfs-files.ts";
import type { Space } from "./mkfs-space.ts";
import type { Tables } from "./mkfs-tables.ts";
import type { Superblock } from "./superblock.ts";

/** What descriptors and bitmaps are made from. */
export interface GroupWishes {
  readonly superblock: Superblock;
  readonly space: Space;
  readonly tables: Tables;
  readonly contents: Contents;
  /** Groups in which a file's blocks lie. */
  readonly touched: ReadonlySet<number>;
  /** Inode tables read as zeros throughout. */
  readonly itablesZeroed: boolean;
}

/** Inodes of one group that are in use. */
interface GroupInodes {
  /** As bits, from 0. */
  readonly used: readonly number[];
  readonly directories: number;
}

/** Computes what each group stores. */
export class GroupMaker {
  readonly #wishes: GroupWishes;
  readonly #checksums: boolean;
  readonly #inodes: ReadonlyMap<number, GroupInodes>;

  constructor(wishes: GroupWishes) {
    this.#wishes = wishes;
    this.#checksums = wishes.superblock.metadataCsum || wishes.superblock.gdtCsum;
    this.#inodes = inodesByGroup(wishes);
  }

  /** Free clusters of a group. */
  freeClusters(group: number): number {
    const { superblock, space } = this.#wishes;
    const [start, length] = [groupStart(superblock, group), groupLength(superblock, group)];
    return Math.ceil(length / superblock.clusterRatio) - space.clustersIn(start, length);
  }

  /** Free inodes of a group. */
  freeInodes(group: number): number {
    const used = this.#inodes.get(group)?.used.length ?? 0;
    return this.#wishes.superblock.inodesPerGroup - used;
  }

  /** Inodes at the end of the table that were never used; 0 where nobody counts them. */
  unusedInodes(group: number): number {
    if (!this.#checksums) return 0;
    const used = this.#inodes.get(group)?.used.at(-1) ?? -1;
    return this.#wishes.superblock.inodesPerGroup - used - 1;
  }

  /** The block bitmap; undefined where it follows from the layout and is not stored. */
  blockBitmap(group: number): Uint8Array | undefined {
    if ((this.#flags(group) & EXT4_BG_BLOCK_UNINIT) !== 0) return undefined;
    const { superblock, space } = this.#wishes;
    const { blockSize, clusterRatio, clustersPerGroup } = superblock;
    const [start, length] = [groupStart(superblock, group), groupLength(superblock, group)];
    const bytes = new Uint8Array(blockSize);
    for (const run of space.used.intersect(start, length)) {
      const first = Math.floor((run.start - start) / clusterRatio);
      const after = Math.ceil((run.start + run.length - start) / clusterRatio);
      setBits(bytes, first, after);
    }
    setBits(bytes, Math.min(Math.ceil(length / clusterRatio), clustersPerGroup), blockSize * 8);
    return bytes;
  }

  /** The inode bitmap; undefined where no inode is in use and it is not stored. */
  inodeBitmap(group: number): Uint8Array | undefined {
    if ((this.#flags(group) & EXT4_BG_INODE_UNINIT) !== 0) return undefined;
    const { blockSize, inodesPerGroup } = this.#wishes.superblock;
    const bytes = new Uint8Array(blockSize);
    for (const bit of this.#inodes.get(group)?.used ?? []) setBit(bytes, bit);
    setBits(bytes, inodesPerGroup, blockSize * 8);
    return bytes;
  }

  /** The last group's bitmap is stored, for its padding. */
  #flags(group: number): number {
    const { tables, touched, superblock, itablesZeroed } = this.#wishes;
    const zeroed = itablesZeroed ? EXT4_BG_INODE_ZEROED : 0;
    if (!this.#checksums) return zeroed;
    const last = group === superblock.groups - 1;
    const own = !tables.shared.has(group) && !touched.has(group);
    return (
      (own && !last ? EXT4_BG_BLOCK_UNINIT : 0) |
      (this.#inodes.has(group) ? 0 : EXT4_BG_INODE_UNINIT) |
      zeroed
    );
  }

  /** Writes a descriptor of `descSize` bytes at `at`. */
  descriptor(group: number, bytes: Uint8Array<ArrayBuffer>, at: number): void {
    const { superblock, tables } = this.#wishes;
    const whole = new Uint8Array(Math.max(superblock.descSize, sizeof(GD)));
    const view = new DataView(whole.buffer);
    set(view, GD.blockBitmapLo, GD.blockBitmapHi, 32, tables.blockBitmap[group] as number);
    set(view, GD.inodeBitmapLo, GD.inodeBitmapHi, 32, tables.inodeBitmap[group] as number);
    set(view, GD.inodeTableLo, GD.inodeTableHi, 32, tables.inodeTable[group] as number);
    set(view, GD.freeBlocksCountLo, GD.freeBlocksCountHi, 16, this.freeClusters(group));
    set(view, GD.freeInodesCountLo, GD.freeInodesCountHi, 16, this.freeInodes(group));
    const directories = this.#inodes.get(group)?.directories ?? 0;
    set(view, GD.usedDirsCountLo, GD.usedDirsCountHi, 16, directories);
    set(view, GD.itableUnusedLo, GD.itableUnusedHi, 16, this.unusedInodes(group));
    GD.flags.set(view, 0, this.#flags(group));
    this.#bitmapChecksums(view, group);
    const checksum = descriptorChecksum(superblock, group, whole);
    if (checksum !== undefined) GD.checksum.set(view, 0, checksum);
    bytes.set(whole.subarray(0, superblock.descSize), at);
  }

  #bitmapChecksums(view: DataView, group: number): void {
    const { metadataCsum, checksumSeed, clustersPerGroup, inodesPerGroup } =
      this.#wishes.superblock;
    if (!metadataCsum) return;
    const blocks = this.blockBitmap(group)?.subarray(0, clustersPerGroup / 8);
    const inodes = this.inodeBitmap(group)?.subarray(0, inodesPerGroup / 8);
    const blockSum = blocks === undefined ? 0 : crc32c(checksumSeed, blocks);
    const inodeSum = inodes === undefined ? 0 : crc32c(checksumSeed, inodes);
    set(view, GD.blockBitmapCsumLo, GD.blockBitmapCsumHi, 16, blockSum);
    set(view, GD.inodeBitmapCsumLo, GD.inodeBitmapCsumHi, 16, inodeSum);
  }
}

/** The upper half is cut off with descriptors of 32 bytes. */
function set(
  view: DataView,
  lo: Field<number>,
  hi: Field<number>,
  shift: number,
  value: number,
): void {
  lo.set(view, 0, value % 2 ** shift);
  hi.set(view, 0, Math.floor(value / 2 ** shift));
}

/** Sets bits `[from, to)`. */
function setBits(bytes: Uint8Array, from: number, to: number): void {
  let at = from;
  for (; at < to && at % 8 !== 0; at++) setBit(bytes, at);
  const whole = Math.floor((to - at) / 8);
  if (whole > 0) {
    bytes.fill(0xff, at / 8, at / 8 + whole);
    at += whole * 8;
  }
  for (; at < to; at++) setBit(bytes, at);
}

function setBit(bytes: Uint8Array, at: number): void {
  bytes[at >>> 3] = (bytes[at >>> 3] as number) | (1 << (at & 7));
}

function inodesByGroup({ superblock, contents }: GroupWishes): Map<number, GroupInodes> {
  const { firstIno, inodesPerGroup } = superblock;
  const reserved = Array.from({ length: firstIno - 1 }, (_, i) => i + 1);
  const directories = new Set(contents.directories);
  const groups = new Map<number, { used: number[]; directories: number }>();
  for (const ino of [...reserved, ...contents.used].toSorted((a, b) => a - b)) {
    const group = Math.floor((ino - 1) / inodesPerGroup);
    const known = groups.get(group) ?? { used: [], directories: 0 };
    known.used.push((ino - 1) % inodesPerGroup);
    if (directories.has(ino)) known.directories++;
    groups.set(group, known);
  }
  return groups;
}
