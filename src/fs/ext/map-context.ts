/**
 * What changing the map of a file takes: blocks to be had and given back, and the account of them
 * in the inode.
 *
 * @module
 */
import { EXT4_EA_INODE_FL, EXT4_JOURNAL_DATA_FL } from "../../format/ext-inode.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import type { ExtEditor } from "./editor.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { addBlocks } from "./inode-writer.ts";

/** The part of an editor that maps need. */
export type MapContext = Pick<ExtEditor, "volume" | "allocator">;

/**
 * A block for metadata of a map (and with bigalloc the cluster that it starts), even from what is
 * kept for this: a map that cannot be cut could not be made shorter. @throws ENOSPC
 */
export function takeNode({ allocator }: MapContext, handle: Handle, goal: number): number {
  return allocator.allocate(handle, { goal, count: 1, reserved: "all" }).start;
}

/** Gives a block of metadata back; what the log or a cache holds of it is forgotten. */
export function freeNode(context: MapContext, handle: Handle, block: number): void {
  context.volume.blocks.forget(block);
  context.allocator.free(handle, block, 1, { metadata: true });
}

/** Accounts `clusters` more or fewer to the inode. @throws EFBIG before anything is changed */
export function addClusters(context: MapContext, record: InodeRecord, clusters: number): void {
  const { superblock } = context.volume;
  addBlocks(superblock, record, clusters * superblock.clusterRatio);
}

/**
 * Credits that one change in a tree of `depth` takes at most, of extents or of indirect blocks: the
 * inode, the nodes on the way, and on each level a new node with its bitmap and descriptor, or the
 * bitmaps and descriptors of two that go.
 */
export function treeCredits(depth: number): number {
  return 5 * (depth + 1) + 1;
}

/** Nodes that may go with one change. */
export function treeRevokes(depth: number): number {
  return 2 * (depth + 1);
}

/** Sees to it that a handle can take so many more; false: stop it, and go on in another. */
export function claim(handle: Handle, copies: number, revokes: number): boolean {
  const missing = Math.max(0, copies - handle.credits);
  return (missing === 0 && revokes === 0) || handle.extend(missing, revokes);
}

/** Whether the blocks of a file's contents take part in transactions as metadata do. */
export function hasJournaledContents(record: InodeRecord): boolean {
  return (
    record.type !== S_IFREG || (record.flags & (EXT4_EA_INODE_FL | EXT4_JOURNAL_DATA_FL)) !== 0
  );
}
