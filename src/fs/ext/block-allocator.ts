/**
 * Giving out blocks, and taking them back. What is freed is not given out again before the
 * transaction that freed it is durable; what was given out within the same transaction is.
 *
 * @module
 */
import { PAGE_SIZE } from "../../dax/operations.ts";
import { EXT4_FEATURE_INCOMPAT_EXTENTS } from "../../format/ext-superblock.ts";
import { DaxError, assert, isDaxError } from "../../lib/errno.ts";
import type { BitmapWriter } from "./bitmap-writer.ts";
import { type SpaceFound, type SpaceWanted, findSpace } from "./block-search.ts";
import { corrupt } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import { groupStart } from "./geometry.ts";
import { type GroupSpace, GroupSpaces } from "./group-space.ts";
import type { GroupWriter } from "./group-writer.ts";
import type { Handle } from "./handle.ts";
import { SystemZone } from "./system-zone.ts";
import type { Volume } from "./volume.ts";
import { type WriteStream, WriteStreams } from "./write-streams.ts";

/** Blocks wanted. */
export interface BlockRequest {
  /** The block to be near to; where it is free and enough follow, they start right there. */
  readonly goal: number;
  /** How many at most, at least 1. */
  readonly count: number;
  /** Start at a multiple of so many blocks where that is possible (a power of two). */
  readonly align?: number;
  /** Only right at the goal. */
  readonly exact?: boolean;
  /**
   * Whether the blocks that are reserved for the superuser may be taken; as
   * {@link BlockAllocator.privileged} says unless given. `all`: those too that Linux keeps for
   * maps that have to grow (2 %, at most 4096 clusters).
   */
  readonly reserved?: boolean | "all" | undefined;
}

/** Contiguous blocks. */
export interface BlockRun {
  readonly start: number;
  readonly count: number;
}

/** Credits that `allocate` takes: a bitmap and a descriptor. */
export const ALLOCATE_CREDITS = 2;

/** Clusters that Linux keeps back, at most (`ext4_calculate_resv_clusters`). */
const MOST_KEPT_CLUSTERS = 4096;

/** A run right at the goal is taken when it is this long, though a longer one was asked for. */
const GOAL_RUN = 256;

/** Who asks for so many clusters at once needs nothing to be kept behind them. */
const MOST_APPENDED = 512;

/** Of a request that is no part of a file that grows piece by piece. */
const NO_STREAM: WriteStream = { given: 0, appends: 0, kept: undefined };

/** Space, and who asks for it. */
interface StreamSpace extends SpaceFound {
  readonly stream: WriteStream | undefined;
}

/** The blocks of one filesystem. */
export class BlockAllocator {
  /** Whether reserved blocks are given out to requests that do not say. */
  privileged = true;
  /** Clusters that are kept for contents which wait for theirs, and given to nobody else. */
  promised = 0;
  readonly #volume: Volume;
  readonly #writer: GroupWriter;
  readonly #bitmaps: BitmapWriter;
  readonly #zone: SystemZone;
  readonly #spaces: GroupSpaces;
  readonly #streams: WriteStreams;
  /** Blocks between physical address 0 and the filesystem: huge pages count from there. */
  readonly #shift: number;
  /** Clusters freed since the last commit. */
  #waiting = 0;
  #scheduled = false;

  /** @throws EUCLEAN, EBADMSG for descriptors that cannot be, EIO */
  constructor(volume: Volume, writer: GroupWriter, bitmaps: BitmapWriter) {
    this.#volume = volume;
    this.#writer = writer;
    this.#bitmaps = bitmaps;
    this.#zone = new SystemZone(volume);
    this.#shift = physicalBlock(volume);
    this.#spaces = new GroupSpaces(volume, { bitmaps, zone: this.#zone, writer });
    this.#streams = new WriteStreams(this.#spaces, volume.superblock.clustersPerGroup);
  }

  /** Free blocks, those included that wait for a commit. */
  get freeBlocks(): number {
    return this.#writer.totalClusters * this.#volume.superblock.clusterRatio;
  }

  /** Freed blocks that can be given out after the next commit: what ENOSPC may be cured by. */
  get waitingBlocks(): number {
    return this.#waiting * this.#volume.superblock.clusterRatio;
  }

  /** Blocks that requests may have in the end, those included that wait for a commit. */
  get grantableBlocks(): number {
    const clusters = this.#available(this.privileged) + this.#waiting;
    return clusters * this.#volume.superblock.clusterRatio;
  }

  /** What finding space cost so far: bitmaps read, and words of bitmaps looked at. */
  get effort(): { readonly loads: number; readonly words: number } {
    return { loads: this.#spaces.loads, words: this.#spaces.looked };
  }

  /** Credits that freeing these blocks takes, besides their own revokes. */
  creditsToFree(start: number, count: number): number {
    const { firstDataBlock, blocksPerGroup } = this.#volume.superblock;
    const first = Math.floor((start - firstDataBlock) / blocksPerGroup);
    const last = Math.floor((start + count - 1 - firstDataBlock) / blocksPerGroup);
    return 2 * (last - first + 1);
  }

  /**
   * Takes 1 to `count` contiguous blocks of one group. With bigalloc they start with a cluster, and
   * all of the last cluster is the caller's. Takes {@link ALLOCATE_CREDITS}.
   * @throws ENOSPC, also for what may be had after a commit; EUCLEAN, EBADMSG for a damaged group,
   *   EIO, EROFS. Nothing has changed then.
   */
  allocate(handle: Handle, request: BlockRequest): BlockRun {
    const { superblock } = this.#volume;
    const { clusterRatio } = superblock;
    assert(request.count > 0, () => `${request.count} blocks wanted`);
    const wanted = Math.ceil(request.count / clusterRatio);
    const permitted = Math.min(wanted, this.#available(request.reserved ?? this.privileged));
    const found = permitted > 0 ? this.#search(request, permitted) : undefined;
    if (found === undefined) return this.#full(request);
    this.#take(handle, found);
    if (found.stream !== NO_STREAM) this.#streams.note(found, found.stream);
    const start = groupStart(superblock, found.group) + found.bit * clusterRatio;
    const inside = Math.min(found.count * clusterRatio, superblock.blocks - start);
    return { start, count: Math.min(request.count, inside) };
  }

  /**
   * Frees blocks, with bigalloc every cluster that they touch. Metadata are forgotten by the
   * journal, too, which takes a revoke for each block. Takes {@link creditsToFree}.
   * @throws EUCLEAN for blocks that are free, outside, or the filesystem's own, EIO, EROFS
   */
  free(handle: Handle, start: number, count: number, how: { readonly metadata: boolean }): void {
    const { superblock } = this.#volume;
    const { clustersPerGroup, clusterRatio, firstDataBlock } = superblock;
    this.#checkOwned(start, count);
    if (how.metadata) for (let i = 0; i < count; i++) handle.forget(start + i);
    const first = Math.floor((start - firstDataBlock) / clusterRatio);
    const last = Math.floor((start + count - 1 - firstDataBlock) / clusterRatio);
    // A file that is cut is not about to grow.
    this.#streams.resume(last + 1);
    for (let cluster = first; cluster <= last;) {
      const group = Math.floor(cluster / clustersPerGroup);
      const stop = Math.min(last + 1, (group + 1) * clustersPerGroup);
      const bit = cluster - group * clustersPerGroup;
      this.#give(handle, { group, bit, count: stop - cluster });
      cluster = stop;
    }
  }

  /** Whether every block from `start` may belong to a file. */
  isOwnable(start: number, count: number): boolean {
    const inside = this.#volume.blocks.isInside(start, count);
    return inside && this.#zone.overlap(start, count) === undefined;
  }

  /** Clusters that a request may take. */
  #available(reserved: boolean | "all"): number {
    const { superblock } = this.#volume;
    const { clusterRatio, reservedBlocks, blocks } = superblock;
    const free = this.#writer.totalClusters - this.#waiting;
    if (reserved === "all") return free;
    const extents = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_EXTENTS);
    const fiftieth = extents ? Math.floor(Math.floor(blocks / clusterRatio) / 50) : 0;
    const kept = Math.min(fiftieth, MOST_KEPT_CLUSTERS);
    return free - this.promised - kept - (reserved ? 0 : Math.ceil(reservedBlocks / clusterRatio));
  }

  /** A file that grows goes on in what was kept for it, or where there is room for more of it. */
  #search(request: BlockRequest, count: number): StreamSpace | undefined {
    const { goal, align = 1, exact = false } = request;
    const cluster = this.#clusterAt(goal);
    // Whoever goes on here, in whatever steps, is who it was kept for.
    const stream = this.#streams.resume(cluster);
    if (align > 1 || exact || count >= MOST_APPENDED) {
      const found = this.#find(request, cluster, count, exact ? 1 : GOAL_RUN);
      return found === undefined ? undefined : { ...found, stream: NO_STREAM };
    }
    const wanted = stream === undefined ? count : this.#streams.wanted(stream, count);
    const found = this.#find(request, cluster, wanted, stream?.kept === undefined ? GOAL_RUN : 1);
    if (found === undefined) return undefined;
    const { group, bit } = found;
    return { group, bit, count: Math.min(count, found.count), stream };
  }

  /** What is kept for files that grow is given back before anybody is refused. */
  #find(
    request: BlockRequest,
    cluster: number,
    count: number,
    goalRun: number,
  ): SpaceFound | undefined {
    const wanted = this.#wanted(request, cluster, count, goalRun);
    const found = findSpace(this.#spaces, wanted);
    if (found !== undefined || !this.#streams.releaseAll()) return found;
    return findSpace(this.#spaces, wanted);
  }

  #wanted(
    { align = 1, exact = false }: BlockRequest,
    cluster: number,
    count: number,
    goalRun: number,
  ): SpaceWanted {
    const { superblock } = this.#volume;
    const { clusterRatio, clustersPerGroup } = superblock;
    const group = Math.floor(cluster / clustersPerGroup);
    return {
      group,
      bit: cluster - group * clustersPerGroup,
      count: Math.min(count, clustersPerGroup),
      goalRun: Math.max(goalRun, align / clusterRatio),
      exact,
      align: Math.max(1, align / clusterRatio),
      shiftOf: (of) => (groupStart(superblock, of) + this.#shift) / clusterRatio,
    };
  }

  /** The cluster of a block, counted from the first group; 0 for blocks that are none. */
  #clusterAt(block: number): number {
    const { clusterRatio, clustersPerGroup, firstDataBlock, groups } = this.#volume.superblock;
    const cluster = Math.floor((block - firstDataBlock) / clusterRatio);
    return cluster >= 0 && cluster < groups * clustersPerGroup ? cluster : 0;
  }

  #take(handle: Handle, { group, bit, count }: SpaceFound): void {
    const space = this.#spaces.get(group);
    const bitmap = this.#bitmaps.editBlocks(handle, group);
    const used = bitmap.count(bit, count);
    if (used > 0) {
      const rule = `${used} of ${count} clusters from ${bit} on were free when it was read`;
      throw corrupt(`group ${group} block bitmap`, "clusters", "in use", rule);
    }
    const free = (this.#writer.freeClusters[group] as number) - count;
    this.#writer.change(handle, group, { freeClusters: free });
    bitmap.fill(bit, count, true);
    this.#hold(handle, space);
    space.free.take(bit, count);
    space.fresh.add(bit, count);
    this.#spaces.measure(space);
  }

  #give(handle: Handle, { group, bit, count }: SpaceFound): void {
    const space = this.#spaces.get(group);
    const bitmap = this.#bitmaps.editBlocks(handle, group);
    const used = bitmap.count(bit, count);
    if (used !== count) {
      const rule = `${count - used} of them are free already`;
      throw corrupt(`group ${group} block bitmap`, `${count} clusters from ${bit}`, "freed", rule);
    }
    const free = (this.#writer.freeClusters[group] as number) + count;
    this.#writer.change(handle, group, { freeClusters: free });
    bitmap.fill(bit, count, false);
    this.#hold(handle, space);
    this.#giveBack(space, bit, count);
    this.#spaces.measure(space);
  }

  /** What was given out within this transaction may be given out again; the rest waits. */
  #giveBack({ free, fresh, waiting }: GroupSpace, bit: number, count: number): void {
    if (fresh.covers(bit, count)) free.give(bit, count);
    else {
      for (const { start, length } of fresh.intersect(bit, count)) free.give(start, length);
      for (const gap of fresh.gaps(bit, count)) {
        waiting.push(gap);
        this.#waiting += gap.length;
      }
    }
    fresh.remove(bit, count);
  }

  /** The group stays in memory, and what waits in it waits, until the commit. */
  #hold(handle: Handle, space: GroupSpace): void {
    this.#spaces.hold(space);
    if (this.#scheduled) return;
    this.#scheduled = true;
    handle.onCommitted(() => {
      this.#scheduled = false;
      this.#waiting = 0;
      this.#spaces.settle();
    });
  }

  #checkOwned(start: number, count: number): void {
    const { blocks } = this.#volume.superblock;
    if (!this.#volume.blocks.isInside(start, count)) {
      const rule = `not among the ${blocks} blocks of the filesystem`;
      throw corrupt("file map", `${count} blocks`, start, rule);
    }
    const own = this.#zone.overlap(start, count);
    if (own === undefined) return;
    const rule = `blocks ${own.start} to ${own.start + own.length - 1} are the filesystem's own`;
    throw corrupt("file map", `${count} blocks`, start, rule);
  }

  #full({ count, exact }: BlockRequest): never {
    const { freeBlocks, waitingBlocks } = this;
    const wanted = exact === true ? "right at one place" : "in any place";
    const detail =
      `${count} blocks ${wanted}; ${freeBlocks} blocks are free, ${waitingBlocks} of them after ` +
      "the next commit, and some are reserved for the superuser";
    throw new DaxError("ENOSPC", { detail });
  }
}

/** The physical address of block 0, in blocks; 0 where there is no dax, or no such address. */
function physicalBlock({ device, superblock }: Volume): number {
  const range = device.dax;
  if (range === undefined || range.start % PAGE_SIZE !== 0) return 0;
  try {
    const { pfn } = range.device.directAccess(range.start / PAGE_SIZE, 1, "access");
    const block = (pfn * PAGE_SIZE) / superblock.blockSize;
    return Number.isInteger(block) ? block : 0;
  } catch (error) {
    // Poison in the boot block says nothing about the rest.
    if (isDaxError(error, "EHWPOISON")) return 0;
    throw error;
  }
}
