/**
 * Inodes one after the other, or one by number, as a check reads them: no descriptor is believed
 * more than its bounds.
 *
 * @module
 */
import { EXT4_BG_INODE_UNINIT } from "../../format/ext-group.ts";
import type { CheckContext } from "./check-context.ts";
import type { StoredGroup } from "./groups.ts";
import { readDescriptor } from "./check-groups.ts";
import { CheckedInode } from "./check-inode-record.ts";

/** Inodes at the start of the group's table that may hold something. */
export function inodesToRead(context: CheckContext, descriptor: StoredGroup): number {
  const { inodesPerGroup } = context.superblock;
  if (context.tablesLost.has(descriptor.group)) return 0;
  if (!context.descriptorsChecked) return inodesPerGroup;
  if ((descriptor.flags & EXT4_BG_INODE_UNINIT) !== 0) return 0;
  return Math.max(0, inodesPerGroup - descriptor.itableUnused);
}

/** Reads one inode; undefined when its table is lost. `ino` must exist. @throws EIO */
export function readInode(context: CheckContext, ino: number): CheckedInode | undefined {
  const { inodesPerGroup, inodeSize, blockSize } = context.superblock;
  const group = Math.floor((ino - 1) / inodesPerGroup);
  if (context.tablesLost.has(group)) return undefined;
  const { inodeTable } = readDescriptor(context, group);
  const at = ((ino - 1) % inodesPerGroup) * inodeSize;
  const block = inodeTable + Math.floor(at / blockSize);
  const bytes = new Uint8Array(inodeSize);
  context.buffers.read(block, bytes, "inode table", at % blockSize);
  return new CheckedInode(context, ino, bytes);
}

/** All inodes of all tables that may hold something, in ascending order. @throws EIO */
export function* allInodes(context: CheckContext): Generator<CheckedInode> {
  const { groups, inodesPerGroup, inodeSize, blockSize } = context.superblock;
  const perBlock = blockSize / inodeSize;
  for (let group = 0; group < groups; group++) {
    const descriptor = readDescriptor(context, group);
    const count = inodesToRead(context, descriptor);
    const first = group * inodesPerGroup + 1;
    for (let i = 0; i < count; i += perBlock) {
      const block = descriptor.inodeTable + i / perBlock;
      for (let k = 0; k < perBlock && i + k < count; k++) {
        const bytes = new Uint8Array(inodeSize);
        context.buffers.read(block, bytes, "inode table", k * inodeSize);
        yield new CheckedInode(context, first + i + k, bytes);
      }
    }
  }
}
