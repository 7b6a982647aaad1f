/**
 * Changes of the classic block map: twelve direct pointers, then single, double and triple indirect
 * blocks. It knows nothing unwritten.
 *
 * @module
 */
import { EXT4_IND_BLOCK, EXT4_N_BLOCKS, EXT4_NDIR_BLOCKS } from "../../format/ext-inode.ts";
import { DaxError } from "../../lib/errno.ts";
import { goalOfInode } from "./block-goal.ts";
import { corrupt } from "./corruption.ts";
import type { MapOptions, MappedRun } from "./extent-mapper.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { setBlockWord } from "./inode-writer.ts";
import {
  type MapContext,
  addClusters,
  claim,
  freeNode,
  hasJournaledContents,
  takeNode,
  treeCredits,
  treeRevokes,
} from "./map-context.ts";

/** Pointers are 32 bits wide. */
const MOST_BLOCK = 2 ** 32;
/** Indirect blocks on the longest way. */
export const BLOCK_MAP_DEPTH = 3;
/** Blocks that are unmapped in one transaction at most. */
const MOST_FREED = 1 << 17;

/** The words of a block map's node: the inode's own, or those of an indirect block. */
interface Words {
  /** 0 for the inode. */
  readonly block: number;
  /** The file's block behind the first word, and how many blocks each word stands for. */
  readonly first: number;
  readonly reach: number;
  readonly count: number;
  get(index: number): number;
}

/** Where a block of the file is pointed to: the words on the way, and the place in each. */
interface Place {
  readonly words: Words;
  readonly index: number;
}

/** The first block that no pointer can reach. */
export function blockMapLimit(blockSize: number): number {
  const a = blockSize / 4;
  return Math.min(EXT4_NDIR_BLOCKS + a + a ** 2 + a ** 3, 2 ** 32 - 1);
}

/** The pointers of one inode within one handle. */
class BlockMap {
  readonly #context: MapContext;
  readonly #handle: Handle;
  readonly #record: InodeRecord;
  readonly #perBlock: number;

  constructor(context: MapContext, handle: Handle, record: InodeRecord) {
    this.#context = context;
    this.#handle = handle;
    this.#record = record;
    this.#perBlock = context.volume.superblock.blockSize / 4;
  }

  /** The way to a block's pointer, as far as there is one: it ends where a pointer is 0. */
  walk(logical: number): Place[] {
    const root = this.#root(logical);
    const path = [root];
    for (let last = root; last.words.reach > 1;) {
      const pointer = last.words.get(last.index);
      if (pointer === 0) return path;
      const words = this.#node(last, pointer);
      last = { words, index: Math.floor((logical - words.first) / words.reach) };
      path.push(last);
    }
    return path;
  }

  /** Indirect blocks that the way to a block takes. */
  levels(logical: number): number {
    const reaches = [1, this.#perBlock, this.#perBlock ** 2, this.#perBlock ** 3];
    return reaches.indexOf(this.#root(logical).words.reach);
  }

  #root(logical: number): Place {
    const get = (index: number) => this.#record.blockWord(index);
    if (logical < EXT4_NDIR_BLOCKS) {
      const words = { block: 0, first: 0, reach: 1, count: EXT4_NDIR_BLOCKS, get };
      return { words, index: logical };
    }
    let first = EXT4_NDIR_BLOCKS;
    let reach = this.#perBlock;
    let index = EXT4_IND_BLOCK;
    for (; index < EXT4_N_BLOCKS - 1 && logical >= first + reach; index++) {
      first += reach;
      reach *= this.#perBlock;
    }
    // As if all words of the inode stood for as much as this one.
    return {
      words: { block: 0, first: first - index * reach, reach, count: index + 1, get },
      index,
    };
  }

  #node({ words, index }: Place, pointer: number): Words {
    const { blocks } = this.#context.volume;
    const where = `inode ${this.#record.ino} indirect block`;
    const { view } = blocks.get(pointer, where, `entry ${index}`);
    return {
      block: pointer,
      first: words.first + index * words.reach,
      reach: words.reach / this.#perBlock,
      count: this.#perBlock,
      get: (at) => view.getUint32(at * 4, true),
    };
  }

  /** Sets consecutive pointers to consecutive blocks, or all of them to 0. */
  set({ words, index }: Place, count: number, start: number): void {
    const step = start === 0 ? 0 : 1;
    if (words.block === 0) {
      for (let i = 0; i < count; i++) setBlockWord(this.#record, index + i, start + i * step);
      return;
    }
    const copy = this.#handle.get(words.block, "indirect block");
    for (let i = 0; i < count; i++) copy.memory.setUint32((index + i) * 4, start + i * step, true);
    this.#context.volume.blocks.put(copy, "indirect", this.#record.seed);
  }

  /** Makes a new indirect block, which nothing points to yet, with one run of pointers. */
  create(block: number, index: number, count: number, start: number): void {
    const copy = this.#handle.create(block);
    for (let i = 0; i < count; i++) copy.memory.setUint32((index + i) * 4, start + i, true);
    this.#context.volume.blocks.put(copy, "indirect", this.#record.seed);
  }

  /** Frees the indirect blocks at the end of a way that point to nothing. */
  prune(path: readonly Place[]): void {
    for (let level = path.length - 1; level > 0; level--) {
      const { words } = path[level] as Place;
      const { view } = this.#context.volume.blocks.get(words.block, "block map", "entry");
      for (let i = 0; i < words.count; i++) if (view.getUint32(i * 4, true) !== 0) return;
      this.set(path[level - 1] as Place, 1, 0);
      freeNode(this.#context, this.#handle, words.block);
      addClusters(this.#context, this.#record, -1);
    }
  }
}

/**
 * As `mapExtents`, for a block map.
 * @throws ENOTSUP for unwritten blocks, EFBIG behind what pointers reach; ENOSPC with nothing
 *   changed; EUCLEAN, EIO
 */
export function mapPointers(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  logical: number,
  count: number,
  options: MapOptions,
): MappedRun {
  const map = new BlockMap(context, handle, record);
  const path = map.walk(logical);
  const { words, index } = path.at(-1) as Place;
  const pointer = words.get(index);
  const state = { unwritten: false } as const;
  if (words.reach === 1 && pointer !== 0) {
    const length = runAt(words, index, Math.min(count, words.count - index));
    checkOwnable(context, record, pointer, length);
    return { logical, block: pointer, count: length, ...state, fresh: false };
  }
  if (options.unwritten === true) {
    const detail = `inode ${record.ino} has a block map, which cannot say what is unwritten`;
    throw new DaxError("ENOTSUP", { syscall: "fallocate", detail });
  }
  const missing = map.levels(logical) + 1 - path.length;
  const most = Math.min(count, roomAt(context, words, index, logical));
  const { nodes, start, length } = allocate(context, handle, record, {
    goal: goalFor(context, record, path, options.goal),
    nodes: missing,
    count: most,
    reserved: options.reserved,
  });
  hang(context, map, path.at(-1) as Place, { nodes, logical, start, length });
  return { logical, block: start, count: length, ...state, fresh: true };
}

/** How many pointers from `index`, at most `most`, name blocks that follow each other. */
function runAt(words: Words, index: number, most: number): number {
  const start = words.get(index);
  let length = 1;
  while (length < most && words.get(index + length) === start + length) length++;
  return length;
}

/** Holes from `logical` on within the lowest node that holds, or will hold, its pointer. */
function roomAt(context: MapContext, words: Words, index: number, logical: number): number {
  if (words.reach > 1) {
    const perBlock = context.volume.superblock.blockSize / 4;
    return perBlock - ((logical - words.first) % perBlock);
  }
  let room = 1;
  while (index + room < words.count && words.get(index + room) === 0) room++;
  return room;
}

/** Behind the pointer before it; else near the node; else near the inode. */
function goalFor(
  { volume }: MapContext,
  record: InodeRecord,
  path: readonly Place[],
  goal: number | undefined,
): number {
  const { words, index } = path.at(-1) as Place;
  if (words.reach === 1) {
    for (let i = index - 1; i >= 0; i--) {
      const pointer = words.get(i);
      if (pointer !== 0) return pointer + index - i;
    }
  }
  if (words.block !== 0) return words.block;
  // The last direct block, or the last block of the map before this one.
  for (let i = index - 1; i >= 0; i--) {
    const pointer = record.blockWord(i);
    if (pointer !== 0) return pointer + 1;
  }
  return goal ?? goalOfInode(volume.superblock, record.ino, !hasJournaledContents(record));
}

interface Wanted {
  readonly goal: number;
  readonly nodes: number;
  readonly count: number;
  readonly reserved: boolean | undefined;
}

/** All blocks that a new run takes, its indirect blocks before it, as Linux lays them. */
function allocate(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  { goal, nodes: missing, count, reserved }: Wanted,
): { readonly nodes: number[]; readonly start: number; readonly length: number } {
  const { allocator } = context;
  const nodes: number[] = [];
  let [start, length] = [0, 0];
  try {
    for (let next = goal; nodes.length < missing; next = (nodes.at(-1) as number) + 1) {
      nodes.push(takeNode(context, handle, next));
    }
    const request = { goal: nodes.length > 0 ? (nodes.at(-1) as number) + 1 : goal, count };
    const run = allocator.allocate(handle, {
      ...request,
      ...(reserved === undefined ? {} : { reserved }),
    });
    [start, length] = [run.start, run.count];
    checkWidth([...nodes, start + length - 1], record);
    addClusters(context, record, nodes.length + length);
    return { nodes, start, length };
  } catch (error) {
    for (const node of nodes) allocator.free(handle, node, 1, { metadata: false });
    if (length > 0) allocator.free(handle, start, length, { metadata: false });
    throw error;
  }
}

function checkWidth(blocks: readonly number[], { ino }: InodeRecord): void {
  const far = blocks.find((block) => block >= MOST_BLOCK);
  if (far === undefined) return;
  const detail = `inode ${ino} has a block map, which cannot point to block ${far}`;
  throw new DaxError("ENOSPC", { detail });
}

interface NewRun {
  readonly nodes: readonly number[];
  readonly logical: number;
  readonly start: number;
  readonly length: number;
}

/** Links what was allocated, from the bottom: nothing points to what is not there. */
function hang(context: MapContext, map: BlockMap, place: Place, run: NewRun): void {
  const perBlock = context.volume.superblock.blockSize / 4;
  const { words } = place;
  let [child, count] = [run.start, run.length];
  let reach = 1;
  for (const node of run.nodes.toReversed()) {
    const index = Math.floor((run.logical - words.first) / reach) % perBlock;
    map.create(node, index, count, child);
    [child, count] = [node, 1];
    reach *= perBlock;
  }
  map.set(place, count, child);
}

function checkOwnable(
  { allocator }: MapContext,
  { ino }: InodeRecord,
  start: number,
  count: number,
): void {
  if (allocator.isOwnable(start, count)) return;
  throw corrupt(`inode ${ino} block map`, "block", start, `${count} there are not a file's`);
}

/**
 * As `removeExtents`, for a block map. @throws EUCLEAN, EIO
 */
export function removePointers(
  context: MapContext,
  handle: Handle,
  record: InodeRecord,
  from: number,
  to: number,
): number {
  const map = new BlockMap(context, handle, record);
  let limit = Math.min(to, blockMapLimit(context.volume.superblock.blockSize));
  for (let freed = 0; limit > from;) {
    const path = map.walk(limit - 1);
    const { words, index } = path.at(-1) as Place;
    if (words.get(index) === 0) {
      limit = holeBefore(words, index, from);
      continue;
    }
    const run = runBefore(words, index, Math.max(from, words.first));
    checkOwnable(context, record, run.start, run.count);
    const journaled = hasJournaledContents(record);
    const copies = context.allocator.creditsToFree(run.start, run.count);
    const revokes = treeRevokes(BLOCK_MAP_DEPTH) + (journaled ? run.count : 0);
    const more = freed < MOST_FREED;
    if (!more || !claim(handle, treeCredits(BLOCK_MAP_DEPTH) + copies, revokes)) return limit;
    const first = index - run.count + 1;
    map.set({ words, index: first }, run.count, 0);
    if (journaled) for (let i = 0; i < run.count; i++) context.volume.blocks.forget(run.start + i);
    context.allocator.free(handle, run.start, run.count, { metadata: journaled });
    addClusters(context, record, -run.count);
    map.prune(path);
    freed += run.count;
    limit = words.first + first;
  }
  return from;
}

/** Where a hole begins that ends with a pointer of 0, as far as its node shows it. */
function holeBefore(words: Words, index: number, from: number): number {
  let first = index;
  // Words of the inode that stand for less than this one are not looked at.
  const lowest = words.block === 0 && words.reach > 1 ? index : 0;
  while (first > lowest && words.get(first - 1) === 0) first--;
  return Math.max(from, words.first + first * words.reach);
}

/** The consecutive blocks that end with a pointer, not before the file's block `from`. */
function runBefore(words: Words, index: number, from: number): { start: number; count: number } {
  const end = words.get(index);
  let count = 1;
  for (; index - count >= 0 && words.first + index - count >= from; count++) {
    if (words.get(index - count) !== end - count) break;
  }
  return { start: end - count + 1, count };
}
