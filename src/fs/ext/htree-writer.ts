/**
 * Names put into hash trees: leaves and index blocks are split when they are full, the tree grows
 * at its root, and a directory of one block gets a tree when a second one is needed.
 *
 * @module
 */
import {
  DX_HASH_TEA,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  Ext4DirEntry2 as DE,
} from "../../format/ext-directory.ts";
import { EXT4_INDEX_FL } from "../../format/ext-inode.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { corrupt } from "./corruption.ts";
import type { DirectoryEdit } from "./directory-edit.ts";
import { storedLength } from "./directory-entries.ts";
import { FIRST_ENTRY } from "./directory-growth.ts";
import { countLimitOffset, indexLimit } from "./directory-seal.ts";
import type { EntryArea, EntryTarget, NamedEntry } from "./entry-area.ts";
import { nameHash } from "./htree.ts";
import { Frame, descend, hashBy, leafOf, mostLevels, readRootInfo } from "./htree-frames.ts";
import { type HashedEntry, splitLeaf } from "./htree-split.ts";
import { setFlags, storeRecord } from "./inode-writer.ts";
import type { JournaledBlock } from "./transaction.ts";

const ENTRY = sizeof(DxEntry);
const INFO = sizeof(DxRootInfo);
/** `.` takes 12 bytes, and `..` so many with its name; the index hides in the rest of its room. */
const DOT_LENGTH = 12;

/** A block of the directory, with its number there. */
interface Numbered {
  readonly index: number;
  readonly block: JournaledBlock;
}

/**
 * Puts a name into an indexed directory. Whatever blocks it takes are there before anything else
 * changes. @throws EEXIST, ENOSPC also for a tree that cannot grow, EUCLEAN, EBADMSG, EIO
 */
export function addHashed(edit: DirectoryEdit, name: Uint8Array, target: EntryTarget): void {
  const { directory } = edit;
  const hash = nameHash(directory, name);
  const frames = descend(directory, hash);
  const index = leafOf(directory, frames);
  const leaf = { index, block: edit.open(index) };
  const area = edit.area(leaf.block, index);
  // Where an entry stands in a leaf matters to nobody, so it is split only when it is full.
  if (area.add(name, target) || area.squeezeIn({ name, ...target })) {
    edit.sealLeaf(leaf.block);
    return;
  }
  const entries = [...hashed(edit, area.list()), { name, ...target, hash }];
  const fresh = append(edit, 1 + nodesNeeded(edit, frames));
  const changed = new IndexChange(edit);
  for (const frame of frames) changed.open(frame);
  makeRoom(changed, frames, fresh);
  const half = fresh.pop();
  assert(half !== undefined && fresh.length === 0, "blocks that nobody needed");
  divide(edit, entries, leaf, half, frames.at(-1) as Frame);
  changed.seal();
}

/**
 * Gives a directory of one block its tree, with a name more in it, unless it is not quite full.
 * @throws ENOSPC with nothing changed, EUCLEAN, EBADMSG, EIO
 */
export function makeIndexed(edit: DirectoryEdit, name: Uint8Array, target: EntryTarget): void {
  const { directory, editor, handle } = edit;
  const { superblock } = editor.volume;
  const root = edit.open(0);
  checkDots(edit, root);
  const added: NamedEntry = { name, ...target };
  if (edit.area(root, 0).squeezeIn(added)) {
    edit.sealLeaf(root);
    return;
  }
  const entries = hashed(edit, [...edit.area(root, 0).list(FIRST_ENTRY), added]);
  const [first, second] = append(edit, 2) as [Numbered, Numbered];
  writeRoot(edit, root, superblock.defHashVersion);
  const frame = new Frame(0, root.memory);
  setBlock(frame, 0, first.index);
  divide(edit, entries, first, second, frame);
  setFlags(directory.record, directory.record.flags | EXT4_INDEX_FL);
  storeRecord(editor.volume, handle, directory.record);
  edit.sealIndex(root, 0);
}

/** Whether the filesystem's hash is one by which a tree can be made. */
export function canIndex(edit: DirectoryEdit): boolean {
  return edit.editor.volume.superblock.defHashVersion <= DX_HASH_TEA;
}

function append(edit: DirectoryEdit, count: number): Numbered[] {
  const first = edit.directory.count;
  return edit.append(count).map((block, i) => ({ index: first + i, block }));
}

function hashed(edit: DirectoryEdit, entries: readonly NamedEntry[]): HashedEntry[] {
  const { directory, editor } = edit;
  const { superblock } = editor.volume;
  const version = directory.isIndexed ? readRootInfo(directory).version : superblock.defHashVersion;
  return entries.map((entry) => {
    const found = hashBy(superblock, version, entry.name);
    assert(found !== undefined, () => `hash version ${version}`);
    return { ...entry, hash: found.hash };
  });
}

/** Fills two leaves with the entries, and puts the second one behind the first into the index. */
function divide(
  edit: DirectoryEdit,
  entries: readonly HashedEntry[],
  leaf: Numbered,
  half: Numbered,
  parent: Frame,
): void {
  const { lower, upper, key } = splitLeaf(entries);
  const fill = ({ index, block }: Numbered, list: readonly HashedEntry[]): void => {
    const area: EntryArea = edit.area(block, index);
    area.setEntries(list);
    edit.sealLeaf(block);
  };
  fill(half, upper);
  fill(leaf, lower);
  insertKey(parent, key, half.index);
}

/** Index blocks that have to be made for one more leaf. @throws ENOSPC for a tree that is full */
function nodesNeeded(edit: DirectoryEdit, frames: readonly Frame[]): number {
  const full = fullFrames(frames);
  if (full < frames.length) return full;
  // The root cannot be split: it moves into a node of its own, which has room for more.
  if (frames.length <= mostLevels(edit.editor.volume.superblock)) return full;
  const detail = `${edit.directory.where(0)}: its index is full, and may not get another level`;
  throw new DaxError("ENOSPC", { detail });
}

/** How many frames are full, from the leaf upwards. */
function fullFrames(frames: readonly Frame[]): number {
  let full = 0;
  while (full < frames.length) {
    const frame = frames[frames.length - 1 - full] as Frame;
    if (frame.count < frame.limit) break;
    full++;
  }
  return full;
}

/** Splits what is full on the way to the leaf; the way then leads through the right halves. */
function makeRoom(changed: IndexChange, frames: Frame[], fresh: Numbered[]): void {
  let first = frames.length - fullFrames(frames);
  if (first === 0) {
    deepen(changed, frames, fresh);
    first = 2;
  }
  for (let depth = first; depth < frames.length; depth++) {
    const [parent, frame] = [frames[depth - 1], frames[depth]] as [Frame, Frame];
    frames[depth] = splitNode(changed, parent, frame, fresh);
  }
}

/** The root's entries move into a node, which takes a few more; the root leads there only. */
function deepen(changed: IndexChange, frames: Frame[], fresh: Numbered[]): void {
  const root = frames[0] as Frame;
  const node = changed.create(fresh);
  copyEntries(root, 0, node, root.count);
  setCount(root, 1);
  setBlock(root, 0, node.index);
  const levels = DxRootInfo.indirectLevels.get(root.view, DX_ROOT_INFO_OFFSET);
  DxRootInfo.indirectLevels.set(root.view, DX_ROOT_INFO_OFFSET, levels + 1);
  node.at = root.at;
  root.at = 0;
  frames.splice(1, 0, node);
}

/** Moves the upper half of a node's entries into a new one; the half that the way goes through. */
function splitNode(changed: IndexChange, parent: Frame, frame: Frame, fresh: Numbered[]): Frame {
  const { count } = frame;
  const half = count >>> 1;
  const key = frame.key(half);
  const node = changed.create(fresh);
  copyEntries(frame, half, node, count - half);
  setCount(frame, half);
  insertKey(parent, key, node.index);
  if (frame.at < half) return frame;
  node.at = frame.at - half;
  parent.at++;
  return node;
}

/** The index blocks that one operation changes. */
class IndexChange {
  readonly #edit: DirectoryEdit;
  readonly #blocks: Numbered[] = [];

  constructor(edit: DirectoryEdit) {
    this.#edit = edit;
  }

  /** A frame that may be changed from now on. */
  open(frame: Frame): void {
    const block = this.#edit.open(frame.index);
    frame.view = block.memory;
    this.#blocks.push({ index: frame.index, block });
  }

  /** A node made of one of the new blocks. */
  create(fresh: Numbered[]): Frame {
    const made = fresh.pop();
    assert(made !== undefined, "a block was reckoned with");
    this.#blocks.push(made);
    const view = made.block.memory;
    const { superblock } = this.#edit.editor.volume;
    DE.recLen.set(view, 0, storedLength(superblock.blockSize, superblock.blockSize));
    const frame = new Frame(made.index, view);
    DxCountlimit.limit.set(view, frame.base, indexLimit(superblock, frame.base));
    return frame;
  }

  /** Everything is as it is to be. */
  seal(): void {
    for (const { index, block } of this.#blocks) this.#edit.sealIndex(block, index);
  }
}

/** The index hides behind these two. @throws EUCLEAN where they stand elsewhere */
export function checkDots({ directory }: DirectoryEdit, { memory }: JournaledBlock): void {
  const dots = DE.recLen.get(memory, 0) === DOT_LENGTH && DE.nameLen.get(memory, DOT_LENGTH) === 2;
  if (dots) return;
  throw corrupt(directory.where(0), "rec_len", DE.recLen.get(memory, 0), "'.' takes 12 bytes");
}

/** Turns a linear block into a root without keys: `.`, `..`, and the index in the rest. */
function writeRoot(edit: DirectoryEdit, { bytes, memory }: JournaledBlock, version: number): void {
  const { superblock } = edit.editor.volume;
  const { blockSize } = superblock;
  bytes.fill(0, FIRST_ENTRY);
  DE.recLen.set(memory, 0, DOT_LENGTH);
  DE.recLen.set(memory, DOT_LENGTH, storedLength(blockSize - DOT_LENGTH, blockSize));
  DxRootInfo.hashVersion.set(memory, DX_ROOT_INFO_OFFSET, version);
  DxRootInfo.infoLength.set(memory, DX_ROOT_INFO_OFFSET, INFO);
  const base = countLimitOffset(0);
  DxCountlimit.limit.set(memory, base, indexLimit(superblock, base));
  DxCountlimit.count.set(memory, base, 1);
}

function setCount(frame: Frame, count: number): void {
  DxCountlimit.count.set(frame.view, frame.base, count);
}

function setBlock(frame: Frame, entry: number, block: number): void {
  DxEntry.block.set(frame.view, frame.base + entry * ENTRY, block);
}

/** Copies `count` entries to the start of an empty node; its first key is not stored. */
function copyEntries(from: Frame, first: number, to: Frame, count: number): void {
  setBlock(to, 0, from.block(first));
  for (let i = 1; i < count; i++) {
    const at = to.base + i * ENTRY;
    DxEntry.hash.set(to.view, at, from.key(first + i));
    DxEntry.block.set(to.view, at, from.block(first + i));
  }
  setCount(to, count);
}

/** Puts a key behind the entry that the way took. */
function insertKey(frame: Frame, key: number, block: number): void {
  const { view, base, count } = frame;
  assert(count < frame.limit, "an index block that is full");
  const at = base + (frame.at + 1) * ENTRY;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  bytes.copyWithin(at + ENTRY, at, base + count * ENTRY);
  DxEntry.hash.set(view, at, key);
  DxEntry.block.set(view, at, block);
  setCount(frame, count + 1);
}
