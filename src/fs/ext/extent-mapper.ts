/**
 * Backs holes of a file with blocks, in its extent tree.
 *
 * With bigalloc a cluster belongs to as many blocks of the file as it has blocks, whether they are
 * mapped or not: a block whose cluster is there already is mapped without an allocation.
 *
 * @module
 */
import { goalOfInode } from "./block-goal.ts";
import { corrupt } from "./corruption.ts";
import type { Extent } from "./extent-node.ts";
import { ExtentTree, type Leaf, cut, firstBehind, longestExtent } from "./extent-tree.ts";
import type { Handle } from "./handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import { type MapContext, addClusters, hasJournaledContents } from "./map-context.ts";

/** How holes are filled. */
export interface MapOptions {
  /** Allocated, and reads as zeros until it is converted. */
  readonly unwritten?: boolean;
  /** Where a file without neighbouring blocks should lie; by the inode unless given. */
  readonly goal?: number;
  /** As in a request to the allocator. */
  readonly reserved?: boolean;
}

/** What backs a part of a file. */
export interface MappedRun extends Extent {
  /** Whether it was a hole. What the blocks hold is somebody else's then. */
  readonly fresh: boolean;
}

/** Bytes of a huge page: what can be mapped with one should lie so that it is. */
const HUGE = 2 << 20;

/** The hole to be filled: its neighbours, and where the next mapping starts. */
interface Hole {
  readonly leaf: Leaf;
  readonly before: Extent | undefined;
  readonly behind: Extent | undefined;
  readonly limit: number;
}

/**
 * What backs up to `count` blocks from `logical`, in one run from there; a hole is filled first.
 * @throws ENOSPC, EFBIG with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function mapExtents(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  logical: number,
  count: number,
  options: MapOptions,
): MappedRun {
  const tree = new ExtentTree(context, handle, record);
  const leaf = tree.leaf(logical);
  const place = firstBehind(leaf.extents, logical);
  const found = leaf.extents[place];
  if (found !== undefined && found.logical <= logical) {
    const part = cut(found, logical, Math.min(found.logical + found.count, logical + count));
    checkPlace(context, record, part);
    return { ...part, fresh: false };
  }
  const { clusterRatio } = context.volume.superblock;
  const further = clusterRatio > 1 && leaf.limit < MAX_LOGICAL_BLOCKS;
  const behind = found ?? (further ? tree.leaf(leaf.limit).extents[0] : undefined);
  const limit = Math.min(logical + count, behind?.logical ?? leaf.limit);
  const hole = { leaf, before: leaf.extents[place - 1], behind, limit };
  const unwritten = options.unwritten === true;
  const shared = clusterRatio > 1 ? inSharedCluster(clusterRatio, hole, logical) : undefined;
  if (shared !== undefined) {
    checkPlace(context, record, shared);
    const extent = { ...shared, logical, unwritten };
    tree.replace(leaf, logical, logical + extent.count, [extent]);
    return { ...extent, fresh: true };
  }
  return allocate({ context, handle, record, tree }, hole, logical, options);
}

/** Where `logical` has to lie because a neighbour is in its cluster. */
function inSharedCluster(
  ratio: number,
  { before, behind, limit }: Hole,
  logical: number,
): { logical: number; block: number; count: number } | undefined {
  const cluster = Math.floor(logical / ratio);
  const count = Math.min(limit, (cluster + 1) * ratio) - logical;
  const last = before === undefined ? -1 : before.logical + before.count - 1;
  if (before !== undefined && Math.floor(last / ratio) === cluster) {
    return { logical, block: before.block + logical - before.logical, count };
  }
  if (behind !== undefined && Math.floor(behind.logical / ratio) === cluster) {
    return { logical, block: behind.block - (behind.logical - logical), count };
  }
  return undefined;
}

/** Blocks lie in their clusters as the file's blocks do, and are none of the filesystem's own. */
function checkPlace(
  { volume, allocator }: MapContext,
  { ino }: InodeRecord,
  { logical, block, count }: { logical: number; block: number; count: number },
): void {
  const ratio = volume.superblock.clusterRatio;
  const where = `inode ${ino} extent near block ${logical}`;
  if (block % ratio !== logical % ratio) {
    throw corrupt(where, "start", block, `the cluster of ${ratio} blocks lies otherwise`);
  }
  if (allocator.isOwnable(block, count)) return;
  throw corrupt(where, "start", block, `${count} blocks there are not a file's`);
}

interface Mapping {
  readonly context: MapContext;
  readonly handle: Handle;
  readonly record: InodeRecord;
  readonly tree: ExtentTree;
}

function allocate(
  { context, handle, record, tree }: Mapping,
  hole: Hole,
  logical: number,
  options: MapOptions,
): MappedRun {
  const { superblock } = context.volume;
  const unwritten = options.unwritten === true;
  const lead = logical % superblock.clusterRatio;
  const { count, align } = shape(context, hole, logical, unwritten);
  const run = context.allocator.allocate(handle, {
    goal: goalFor(context, record, hole, logical, options.goal) - lead,
    count: lead + count,
    align,
    reserved: options.reserved,
  });
  const clusters = Math.ceil(run.count / superblock.clusterRatio);
  let accounted = 0;
  try {
    const block = run.start + lead;
    const extent = { logical, block, count: run.count - lead, unwritten };
    checkPlace(context, record, extent);
    addClusters(context, record, clusters);
    accounted = clusters;
    tree.replace(hole.leaf, logical, logical + extent.count, [extent]);
    return { logical, block, count: extent.count, unwritten, fresh: true };
  } catch (error) {
    addClusters(context, record, -accounted);
    context.allocator.free(handle, run.start, run.count, { metadata: false });
    throw error;
  }
}

/**
 * How much to ask for. A large request is cut where huge pages start, so that all but its head can
 * lie on them; an extent's length is a number of them then, too.
 */
function shape(
  { volume }: MapContext,
  { behind, limit }: Hole,
  logical: number,
  unwritten: boolean,
): { readonly count: number; readonly align: number } {
  const { blockSize, clusterRatio } = volume.superblock;
  // A cluster that the next mapping has begun is not allocated again.
  const room = behind === undefined ? limit : behind.logical - (behind.logical % clusterRatio);
  const count = Math.min(limit, room) - logical;
  const longest = longestExtent(unwritten);
  const huge = HUGE / blockSize;
  const head = (huge - (logical % huge)) % huge;
  if (count < head + huge) return { count: Math.min(count, longest), align: 1 };
  if (head > 0) return { count: head, align: 1 };
  return { count: Math.min(count, longest - (longest % huge)), align: huge };
}

/** Next to what is mapped already, as if it were one run; else where the tree or the inode is. */
function goalFor(
  { volume }: MapContext,
  record: InodeRecord,
  { before, behind, leaf }: Hole,
  logical: number,
  goal: number | undefined,
): number {
  if (before !== undefined) return before.block + logical - before.logical;
  if (behind !== undefined) {
    return Math.max(behind.block - (behind.logical - logical), volume.superblock.firstDataBlock);
  }
  const node = leaf.path.at(-1)?.node.block ?? 0;
  return (
    goal ??
    (node === 0 ? goalOfInode(volume.superblock, record.ino, !hasJournaledContents(record)) : node)
  );
}
