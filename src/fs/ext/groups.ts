/**
 * Group descriptors, each read and checked when somebody asks for it, never all at once.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import { EXT4_BG_INODE_UNINIT, Ext4GroupDesc as GD } from "../../format/ext-group.ts";
import { EXT4_FEATURE_INCOMPAT_FLEX_BG } from "../../format/ext-superblock.ts";
import { crc16 } from "../../lib/crc16.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import {
  descriptorBlock,
  groupLength,
  groupStart,
  inodeTableBlocks,
  plainDescriptorBlocks,
  superBlockNumber,
} from "./geometry.ts";
import { Recent } from "./recent.ts";
import type { SharedReads } from "./shared-reads.ts";
import type { Superblock } from "./superblock.ts";

/** How many descriptors are remembered. */
const CACHED = 1024;

/** A group descriptor as stored: nothing about it is believed yet. */
export interface StoredGroup {
  readonly group: number;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  /** Clusters (blocks, without bigalloc). */
  readonly freeClusters: number;
  readonly freeInodes: number;
  readonly usedDirs: number;
  readonly flags: number;
  /** Inodes at the end of the table that were never used. */
  readonly itableUnused: number;
  readonly blockBitmapCsum: number;
  readonly inodeBitmapCsum: number;
}

/**
 * A group descriptor to go by: block numbers lie inside the filesystem, and `flags` is 0 without
 * descriptor checksums, where they mean nothing.
 */
export type GroupDescriptor = StoredGroup;

/** A descriptor that is being changed: what may change of one. */
export type ChangingGroup = StoredGroup & {
  freeClusters: number;
  freeInodes: number;
  usedDirs: number;
  flags: number;
  itableUnused: number;
};

/** The descriptors of one filesystem. */
export class Groups {
  readonly #superblock: Superblock;
  readonly #buffers: Buffers;
  readonly #shared: SharedReads | undefined;
  readonly #known = new Recent<GroupDescriptor>(CACHED);
  /** Changed since the last commit: their stored checksums follow when it comes. */
  readonly #changed = new Map<number, ChangingGroup>();

  constructor(superblock: Superblock, buffers: Buffers, shared: SharedReads | undefined) {
    this.#superblock = superblock;
    this.#buffers = buffers;
    this.#shared = shared;
  }

  /** The descriptor of `group`, which must exist. @throws EUCLEAN, EBADMSG, EIO */
  get(group: number): GroupDescriptor {
    const known = this.#changed.get(group) ?? this.#known.get(group);
    if (known !== undefined) return known;
    const descriptor = this.read(group);
    this.#known.set(group, descriptor);
    return descriptor;
  }

  /** As {@link get}, without remembering: for walks over all groups. */
  read(group: number): GroupDescriptor {
    const changed = this.#changed.get(group);
    if (changed !== undefined) return changed;
    if (this.#shared !== undefined) return this.#share(group, this.#shared);
    const { block, within } = this.#placeOf(group);
    const { descSize } = this.#superblock;
    const bytes = new Uint8Array(Math.max(descSize, sizeof(GD)));
    this.#buffers.read(block, bytes.subarray(0, descSize), "group descriptors", within);
    return proved(this.#superblock, group, bytes);
  }

  #share(group: number, shared: SharedReads): GroupDescriptor {
    const superblock = this.#superblock;
    const { block, within } = this.#placeOf(group);
    const { descSize: length, blockSize } = superblock;
    const place = { offset: block * blockSize + within, length };
    return shared.read(shared.groups, group, place, (found) => {
      const bytes = new Uint8Array(Math.max(length, sizeof(GD)));
      bytes.set(found);
      return proved(superblock, group, bytes);
    });
  }

  /**
   * A descriptor to be changed. `get` and `read` answer this one from now on, until the stored
   * bytes are whole again. @throws as {@link get}
   */
  edit(group: number): ChangingGroup {
    const known = this.#changed.get(group);
    if (known !== undefined) return known;
    const changing = { ...this.get(group) };
    this.#changed.set(group, changing);
    return changing;
  }

  /** The stored bytes of a changed descriptor have their checksum again. */
  settle(group: number): void {
    const changed = this.#changed.get(group);
    if (changed === undefined) return;
    this.#changed.delete(group);
    this.#known.set(group, changed);
  }

  #placeOf(group: number): { readonly block: number; readonly within: number } {
    const { descriptorsPerBlock, descSize, blocks } = this.#superblock;
    const index = Math.floor(group / descriptorsPerBlock);
    const block = descriptorBlock(this.#superblock, index);
    if (block >= blocks) throw corrupt(`group ${group}`, "descriptor block", block, "past the end");
    return { block, within: (group % descriptorsPerBlock) * descSize };
  }
}

/** A descriptor by its bytes, of which the upper half is zero where it has 32 of them. */
function proved(
  superblock: Superblock,
  group: number,
  bytes: Uint8Array<ArrayBuffer>,
): GroupDescriptor {
  checkDescriptorChecksum(superblock, group, bytes);
  const descriptor = decodeDescriptor(superblock, group, new DataView(bytes.buffer));
  checkPlaces(superblock, descriptor);
  return descriptor;
}

/**
 * The checksum of a descriptor's bytes, by whichever rule the features say; undefined when none.
 * `bytes` holds at least `descSize` bytes; the stored checksum among them is passed over.
 */
export function descriptorChecksum(
  superblock: Superblock,
  group: number,
  bytes: Uint8Array,
): number | undefined {
  const { checksum } = GD;
  const before = bytes.subarray(0, checksum.offset);
  const behind = bytes.subarray(checksum.offset + checksum.size, superblock.descSize);
  if (superblock.metadataCsum) {
    let crc = crc32cLe32(superblock.checksumSeed, group);
    crc = crc32c(crc, before);
    crc = crc32c(crc, new Uint8Array(checksum.size));
    return crc32c(crc, behind) & 0xffff;
  }
  if (!superblock.gdtCsum) return undefined;
  const number = Uint8Array.of(group, group >>> 8, group >>> 16, group >>> 24);
  const crc = crc16(crc16(crc16(0xffff, superblock.uuid), number), before);
  return crc16(crc, behind);
}

function checkDescriptorChecksum(superblock: Superblock, group: number, bytes: Uint8Array): void {
  const computed = descriptorChecksum(superblock, group, bytes);
  if (computed === undefined) return;
  const at = GD.checksum.offset;
  const stored = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if (stored !== computed) throw badChecksum(`group ${group} descriptor`, stored, computed);
}

/** A descriptor as stored, at the start of `raw`; what it says is not believed. */
export function decodeStored(superblock: Superblock, group: number, raw: DataView): StoredGroup {
  const wide = superblock.descSize >= sizeof(GD);
  const join = (lo: Field<number>, hi: Field<number>, shift: number): number =>
    lo.get(raw, 0) + (wide ? hi.get(raw, 0) * 2 ** shift : 0);
  return {
    group,
    blockBitmap: join(GD.blockBitmapLo, GD.blockBitmapHi, 32),
    inodeBitmap: join(GD.inodeBitmapLo, GD.inodeBitmapHi, 32),
    inodeTable: join(GD.inodeTableLo, GD.inodeTableHi, 32),
    freeClusters: join(GD.freeBlocksCountLo, GD.freeBlocksCountHi, 16),
    freeInodes: join(GD.freeInodesCountLo, GD.freeInodesCountHi, 16),
    usedDirs: join(GD.usedDirsCountLo, GD.usedDirsCountHi, 16),
    flags: GD.flags.get(raw, 0),
    itableUnused: join(GD.itableUnusedLo, GD.itableUnusedHi, 16),
    blockBitmapCsum: join(GD.blockBitmapCsumLo, GD.blockBitmapCsumHi, 16),
    inodeBitmapCsum: join(GD.inodeBitmapCsumLo, GD.inodeBitmapCsumHi, 16),
  };
}

function decodeDescriptor(superblock: Superblock, group: number, raw: DataView): GroupDescriptor {
  const stored = decodeStored(superblock, group, raw);
  const checked = superblock.metadataCsum || superblock.gdtCsum;
  const flags = checked ? stored.flags : 0;
  const unused = checked ? stored.itableUnused : 0;
  const untouched = (flags & EXT4_BG_INODE_UNINIT) !== 0;
  return { ...stored, flags, itableUnused: untouched ? superblock.inodesPerGroup : unused };
}

/** Bitmaps and table lie in their own group, or with flex_bg in any, and not in the first ones. */
function checkPlaces(superblock: Superblock, descriptor: GroupDescriptor): void {
  const { group } = descriptor;
  const flex = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_FLEX_BG);
  const low = flex ? superblock.firstDataBlock : groupStart(superblock, group);
  const high = flex ? superblock.blocks : low + groupLength(superblock, group);
  const superEnd = superBlockNumber(superblock) + plainDescriptorBlocks(superblock);
  const check = (field: string, block: number, count: number): void => {
    if (block < low || block + count > high) {
      const rule = `not in blocks ${low} to ${high - 1}`;
      throw corrupt(`group ${group} descriptor`, field, block, rule);
    }
    if (block <= superEnd) {
      const rule = "where the superblock and the descriptors are";
      throw corrupt(`group ${group} descriptor`, field, block, rule);
    }
  };
  check("block_bitmap", descriptor.blockBitmap, 1);
  check("inode_bitmap", descriptor.inodeBitmap, 1);
  check("inode_table", descriptor.inodeTable, inodeTableBlocks(superblock));
  if (descriptor.itableUnused > superblock.inodesPerGroup) {
    const rule = `a group has ${superblock.inodesPerGroup}`;
    throw corrupt(`group ${group} descriptor`, "itable_unused", descriptor.itableUnused, rule);
  }
}
