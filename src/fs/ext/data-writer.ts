/**
 * Writing files. What is mapped and written already is copied over, without a transaction. All else
 * goes in steps, each in one handle: blocks are mapped, the bytes put into them and zeros around,
 * and only then they become part of the file, its size included. So a power cut leaves a step
 * whole or absent, and no file ever shows what a block held before.
 *
 * @module
 */
import type { Iomap } from "../../dax/iomap.ts";
import { EXT4_IMMUTABLE_FL, EXT4_INLINE_DATA_FL, EXT4_VERITY_FL } from "../../format/ext-inode.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import { corrupt } from "./corruption.ts";
import type { MappedRun } from "./extent-mapper.ts";
import { giveSize, mostBytesOf } from "./file-limits.ts";
import { becomePlain, stamp, touch } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import { writeInInode } from "./inline-file.ts";
import type { InodeState } from "./inode-state.ts";
import { claim } from "./map-context.ts";
import { convertBlocks, mapBlocks, mapCredits, mapRevokes, removeBlocks } from "./map-writer.ts";
import { assertContents, refusal } from "./new-names.ts";
import { isKnownPlain, isPrivileged } from "./privileges.ts";
import { SUPERBLOCK_CREDITS } from "./superblock-writer.ts";
import { settleCut, zeroTail } from "./tail.ts";
import type { ExtWriting } from "./writing.ts";

/** Nobody writes to the first two; the last has bytes where others have their map. */
const NOT_IN_BLOCKS = EXT4_IMMUTABLE_FL | EXT4_VERITY_FL | EXT4_INLINE_DATA_FL;

/**
 * Writes `source` at byte `offset` of a regular file; returns how many bytes: fewer when space, or
 * the largest size, comes to an end on the way.
 * @throws ENOSPC, EFBIG, EPERM, EINVAL, EIO, EUCLEAN, EBADMSG: each only when not a byte was
 *   written
 */
export function writeData(
  writing: ExtWriting,
  state: InodeState,
  source: Uint8Array,
  offset: number,
): number {
  assertContents(state, "write");
  const length = permitted(writing, state, source.length, offset);
  if (length === 0) return 0;
  becomePlain(writing, state);
  const bytes = length === source.length ? source : source.subarray(0, length);
  if (writeInInode(writing, state, bytes, offset)) return length;
  let done = 0;
  try {
    while (done < length) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const at = offset + done;
      done += copyOver(writing, state, rest, at) || extend(writing, state, rest, at);
    }
  } catch (error) {
    if (done === 0 || !isDaxError(error)) throw error;
  }
  return done;
}

/**
 * The way of a write that changes nothing but bytes: all of it lies in one run that is written, and
 * nobody has privileges to lose. Returns how many bytes were written, 0 when that is not so. Unless
 * the clock has ticked, no object is made and no journal is asked. @throws EIO, EUCLEAN
 */
export function overwrite(
  writing: ExtWriting,
  state: InodeState,
  source: Uint8Array,
  offset: number,
): number {
  const { record } = state;
  const { length } = source;
  const inside = offset >= 0 && Number.isInteger(offset) && offset + length <= record.size;
  const plain = record.type === S_IFREG && (record.flags & NOT_IN_BLOCKS) === 0;
  if (!inside || length === 0 || !plain || !isKnownPlain(state)) return 0;
  return copyOver(writing, state, source, offset);
}

/**
 * Brings bytes to their place that were written before, and waited: the file was asked then whether
 * they may, and its times are those of then, or what was set since.
 * @throws ENOSPC, EIO, EUCLEAN
 */
export function writeBack(
  writing: ExtWriting,
  state: InodeState,
  source: Uint8Array,
  offset: number,
): void {
  if (writeInInode(writing, state, source, offset, false)) return;
  for (let done = 0; done < source.length;) {
    const rest = source.subarray(done);
    const at = offset + done;
    done += copyOver(writing, state, rest, at, false) || extend(writing, state, rest, at, false);
  }
}

/** Whether a write may wait: it cannot fail but for want of room, and is not one of metadata. */
export function mayBeDelayed(
  { editor }: ExtWriting,
  state: InodeState,
  length: number,
  offset: number,
): boolean {
  const { record } = state;
  const most = mostBytesOf(editor.volume.superblock, record);
  const inside = offset >= 0 && Number.isSafeInteger(offset) && offset + length <= most;
  const free = (record.flags & NOT_IN_BLOCKS) === 0;
  return length > 0 && inside && free && !isPrivileged(editor, state);
}

/** How many bytes may be written. @throws EINVAL, EFBIG */
function permitted(
  { editor }: ExtWriting,
  { record }: InodeState,
  length: number,
  offset: number,
): number {
  if (!(offset >= 0 && Number.isSafeInteger(offset))) {
    throw refusal("EINVAL", "write", `offset ${offset} is no byte of a file`);
  }
  const most = mostBytesOf(editor.volume.superblock, record);
  if (length === 0 || offset < most) return Math.min(length, most - offset);
  throw refusal("EFBIG", "write", `offset ${offset}; inode ${record.ino} ends at ${most} at most`);
}

/** Copies over what is written already, up to the end of the file; 0 when nothing is there. */
function copyOver(
  writing: ExtWriting,
  state: InodeState,
  source: Uint8Array,
  offset: number,
  stamps = true,
): number {
  const most = Math.min(source.length, state.record.size - offset);
  let done = 0;
  while (done < most) {
    const at = offset + done;
    const map = state.map.iomap(at);
    if (map.type !== "mapped") break;
    if (map !== state.proved) prove(writing, state, map);
    if (done === 0 && stamps) touch(writing, state);
    const skip = at - map.offset;
    const run = Math.min(map.length - skip, most - done);
    const piece = run === source.length ? source : source.subarray(done, done + run);
    const copied = writing.contents.storeInto(map, skip, piece);
    done += copied;
    if (copied < run) break;
  }
  return done;
}

/** Nothing is written to blocks of the filesystem's own, whatever a map says. @throws EUCLEAN */
export function prove({ editor }: ExtWriting, state: InodeState, map: Iomap): void {
  const { blockSize } = editor.volume.superblock;
  const [block, count] = [map.addr / blockSize, map.length / blockSize];
  if (!editor.allocator.isOwnable(block, count)) {
    const where = `inode ${state.record.ino} map at byte ${map.offset}`;
    throw corrupt(where, "start", block, `some of ${count} blocks there are not a file's`);
  }
  state.proved = map;
}

/** A step in which the file gets blocks, or its size; returns how many bytes were written. */
function extend(
  writing: ExtWriting,
  state: InodeState,
  source: Uint8Array,
  offset: number,
  stamps = true,
): number {
  const { record } = state;
  if (offset + source.length > record.size) settleCut(writing, state);
  const copies = 2 * mapCredits(record) + SUPERBLOCK_CREDITS + 1;
  const step = (handle: Handle) => extendStep(writing, handle, state, { source, offset, stamps });
  const result = writing.operate(copies, step, mapRevokes(record));
  if (isDaxError(result)) throw result;
  return result;
}

interface Piece {
  readonly source: Uint8Array;
  readonly offset: number;
  /** Whether it is written now, and not only brought to its place. */
  readonly stamps: boolean;
}

/** An error that left nothing changed is returned: a handle that throws ends the journal. */
function extendStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  { source, offset, stamps }: Piece,
): number | DaxError {
  const { editor, contents } = writing;
  const { record, map } = state;
  const { blockSize } = editor.volume.superblock;
  const end = offset + source.length;
  if (end > record.size) zeroTail(writing, state, offset, end);
  const first = Math.floor(offset / blockSize);
  const run = mapBlocks(editor, handle, record, first, Math.ceil(end / blockSize) - first);
  if (run.fresh) map.put(first, run.block, run.count);
  const stop = Math.min(end, (first + run.count) * blockSize);
  const bytes = stop === end ? source : source.subarray(0, stop - offset);
  contents.join(handle);
  const failed = putAround(writing, run, bytes, offset);
  if (failed !== undefined) return takeBack(writing, handle, state, run, failed);
  const reached = run.unwritten ? convert(writing, handle, state, run, stop) : stop;
  if (reached > record.size) giveSize(editor, handle, record, reached);
  if (stamps) writing.store(handle, state, stamp(writing, state));
  else writing.storeKept(handle, state);
  return reached - offset;
}

/** Puts bytes into their blocks, and zeros into what else these hold when they are new. */
function putAround(
  { editor, contents }: ExtWriting,
  { logical, block, fresh, unwritten }: MappedRun,
  bytes: Uint8Array,
  offset: number,
): DaxError | undefined {
  const { blockSize } = editor.volume.superblock;
  const shift = (block - logical) * blockSize;
  const end = offset + bytes.length;
  const head = offset - (offset % blockSize);
  const tail = end - (end % blockSize);
  try {
    if (fresh || unwritten) {
      // Whole blocks: that heals bad memory, too.
      if (head < offset) contents.zero(head + shift, blockSize);
      if (tail < end && (tail > head || head === offset)) contents.zero(tail + shift, blockSize);
    }
    contents.store(offset + shift, bytes);
    return undefined;
  } catch (error) {
    if (isDaxError(error)) return error;
    throw error;
  }
}

/** What was mapped for bytes that could not be written is a hole again. */
function takeBack(
  { editor }: ExtWriting,
  handle: Handle,
  { record, map }: InodeState,
  { fresh, logical, count }: MappedRun,
  error: DaxError,
): DaxError {
  if (!fresh) return error;
  if (!claim(handle, mapCredits(record), mapRevokes(record))) throw error;
  const reached = removeBlocks(editor, handle, record, [logical, logical + count]);
  map.forget(logical, count);
  if (reached !== logical) throw error;
  return error;
}

/** Makes blocks of the file written that have just been; returns the byte up to which they are. */
function convert(
  { editor, contents }: ExtWriting,
  handle: Handle,
  { record, map }: InodeState,
  { logical, block }: MappedRun,
  stop: number,
): number {
  const { blockSize } = editor.volume.superblock;
  const range = [logical, Math.ceil(stop / blockSize)] as const;
  let wider = false;
  const zero = (start: number, count: number) => {
    wider = true;
    contents.zero(start * blockSize, count * blockSize);
  };
  const reached = convertBlocks(editor, handle, record, range, "written", { zero });
  if (wider) map.clear();
  else if (reached > logical) map.put(logical, block, reached - logical);
  if (reached > logical) return Math.min(stop, reached * blockSize);
  const detail = `a write to inode ${record.ino} does not fit into the journal`;
  throw new DaxError("ENOSPC", { syscall: "write", detail });
}
