/**
 * Check of the group descriptors, and of the places they name: superblock copies, descriptors,
 * bitmaps and inode tables must lie inside and must not overlap.
 *
 * @module
 */
import {
  EXT4_BG_BLOCK_UNINIT,
  EXT4_BG_INODE_UNINIT,
  Ext4GroupDesc as GD,
} from "../../format/ext-group.ts";
import {
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_INCOMPAT_MMP,
} from "../../format/ext-superblock.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { sizeof } from "../../lib/struct.ts";
import { type CheckContext, hex } from "./check-context.ts";
import {
  descriptorBlock,
  fixedBlocks,
  groupLength,
  groupStart,
  inodeTableBlocks,
  superBlockNumber,
} from "./geometry.ts";
import { type StoredGroup, decodeStored, descriptorChecksum } from "./groups.ts";

/** The stored bytes of a descriptor, padded with zeros to the longest form. */
function descriptorBytes(context: CheckContext, group: number): Uint8Array<ArrayBuffer> {
  const { descriptorsPerBlock, descSize } = context.superblock;
  const block = descriptorBlock(context.superblock, Math.floor(group / descriptorsPerBlock));
  const bytes = new Uint8Array(Math.max(descSize, sizeof(GD)));
  const within = (group % descriptorsPerBlock) * descSize;
  context.buffers.read(block, bytes.subarray(0, descSize), "group descriptors", within);
  return bytes;
}

/** Reads a descriptor, believing nothing. @throws EIO */
export function readDescriptor(context: CheckContext, group: number): StoredGroup {
  const bytes = descriptorBytes(context, group);
  return decodeStored(context.superblock, group, new DataView(bytes.buffer));
}

/** Checks every descriptor and claims the blocks of the filesystem itself. */
export function* checkGroups(context: CheckContext): Generator<Finding> {
  const { groups } = context.superblock;
  claimBootBlock(context);
  for (let group = 0; group < groups; group++) {
    const bytes = descriptorBytes(context, group);
    const raw = new DataView(bytes.buffer);
    const descriptor = decodeStored(context.superblock, group, raw);
    checkChecksum(context, group, bytes);
    checkFlags(context, descriptor);
    claimFixed(context, group);
    claimPlaces(context, descriptor);
    yield* context.findings.take();
  }
}

function checkChecksum(context: CheckContext, group: number, bytes: Uint8Array): void {
  const computed = descriptorChecksum(context.superblock, group, bytes);
  if (computed === undefined) return;
  const at = GD.checksum.offset;
  const stored = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if (stored === computed) return;
  const text = `checksum is ${hex(stored)}, expected ${hex(computed)}`;
  context.error("ext.group.checksum", `group ${group} descriptor`, text);
}

function checkFlags(context: CheckContext, descriptor: StoredGroup): void {
  const { group, flags, itableUnused, freeInodes } = descriptor;
  const { groups, inodesPerGroup } = context.superblock;
  const report = (text: string): void =>
    context.error("ext.group.flags", `group ${group} descriptor`, text);
  const uninit = EXT4_BG_BLOCK_UNINIT | EXT4_BG_INODE_UNINIT;
  if (!context.descriptorsChecked) {
    if ((flags & uninit) !== 0 || itableUnused !== 0) {
      const found = `flags are ${hex(flags)} and itable_unused is ${itableUnused}`;
      report(`${found}, expected 0 without descriptor checksums`);
    }
    return;
  }
  if (group === groups - 1 && (flags & EXT4_BG_BLOCK_UNINIT) !== 0) {
    report("the last group's block bitmap is flagged uninitialised, which Linux never does");
  }
  if (itableUnused > freeInodes || itableUnused > inodesPerGroup) {
    const found = `itable_unused is ${itableUnused}`;
    report(`${found}, expected at most the ${freeInodes} free inodes`);
  }
}

/** With 1 KiB blocks and bigalloc, block 0 is the boot block and belongs to group 0. */
function claimBootBlock(context: CheckContext): void {
  const { firstDataBlock } = context.superblock;
  if (firstDataBlock < superBlockNumber(context.superblock)) claimOwn(context, 0);
  if (context.incompat(EXT4_FEATURE_INCOMPAT_MMP)) {
    const { mmpBlock } = context.superblock;
    if (context.isInside(mmpBlock)) claimOwn(context, mmpBlock);
  }
}

/** Claims a block for the filesystem itself; false when it was claimed before. */
function claimOwn(context: CheckContext, block: number): boolean {
  if (!context.metadata.add(block - context.superblock.firstDataBlock)) return false;
  // Neighbouring metadata may share a cluster; a file may not.
  context.used.add(context.clusterOf(block));
  return true;
}

function claimFixed(context: CheckContext, group: number): void {
  const { start, count } = fixedBlocks(context.superblock, group);
  for (let i = 0; i < count; i++) claimOwn(context, start + i);
}

function claimPlaces(context: CheckContext, descriptor: StoredGroup): void {
  const table = inodeTableBlocks(context.superblock);
  const { group, inodeTable, blockBitmap, inodeBitmap } = descriptor;
  if (!claimPlace(context, group, "inode table", inodeTable, table)) context.tablesLost.add(group);
  claimPlace(context, group, "block bitmap", blockBitmap, 1);
  claimPlace(context, group, "inode bitmap", inodeBitmap, 1);
}

/** Returns false when the place cannot be read at all. */
function claimPlace(
  context: CheckContext,
  group: number,
  what: string,
  block: number,
  count: number,
): boolean {
  const { superblock } = context;
  const { blocks, firstDataBlock } = superblock;
  const flex = context.incompat(EXT4_FEATURE_INCOMPAT_FLEX_BG);
  const low = flex ? firstDataBlock : groupStart(superblock, group);
  const high = flex ? blocks : low + groupLength(superblock, group);
  const where = `group ${group} descriptor`;
  if (block < low || block + count > high || block === 0) {
    const text = `${what} at block ${block}, expected within ${low} to ${high - 1}`;
    context.error("ext.group.place", where, text);
  }
  if (block < firstDataBlock || block + count > blocks || block === 0) return false;
  let overlaps = 0;
  for (let i = 0; i < count; i++) if (!claimOwn(context, block + i)) overlaps++;
  if (overlaps > 0) {
    const text = `${what} at block ${block} overlaps other metadata in ${overlaps} blocks`;
    context.error("ext.group.overlap", where, text);
  }
  return true;
}
