/**
 * Changing extended attributes: in the inode while it has room, else in a block, which inodes may
 * share and which is copied then.
 *
 * @module
 */
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_FEATURE_INCOMPAT_EA_INODE,
} from "../../format/ext-superblock.ts";
import { Ext4XattrHeader as XH } from "../../format/ext-xattr.ts";
import { DaxError } from "../../lib/errno.ts";
import { XATTR_SIZE_MAX } from "../../vfs/filesystem.ts";
import { S_IFLNK } from "../../vfs/modes.ts";
import { ALLOCATE_CREDITS } from "./block-allocator.ts";
import { goalOfInode } from "./block-goal.ts";
import type { ExtEditor } from "./editor.ts";
import { hasIncompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import { fitsInode, inodeAttributes, setInodeAttributes } from "./inode-attributes.ts";
import { I_BLOCK_SIZE, type InodeRecord, fileAcl } from "./inode-record.ts";
import { setFileAcl, storeRecord } from "./inode-writer.ts";
import { addClusters, claim } from "./map-context.ts";
import type { JournaledBlock } from "./transaction.ts";
import type { Volume } from "./volume.ts";
import { blockEntries } from "./xattr-entries.ts";
import {
  dropValueCredits,
  dropValueInode,
  makeValueInode,
  referToValue,
  valueInodeCredits,
} from "./xattr-value-inodes.ts";
import {
  type Attribute,
  type KeptAttribute,
  compareAttributes,
  fitsBlock,
  keepEntry,
  plainAttribute,
  sealBlock,
  writeBlock,
} from "./xattr-layout.ts";
import type { StoredName } from "./xattr-names.ts";

/** Credits of one change: inode, superblock, both blocks, and what allocating and freeing take. */
export const XATTR_CREDITS = 4 + 2 * ALLOCATE_CREDITS;
/** Blocks of metadata that one change may free. */
export const XATTR_REVOKES = 1;

/** Credits for setting a value of so many bytes: more where it may get an inode of its own. */
export function xattrCredits(volume: Volume, length: number): number {
  const apart = hasIncompat(volume.superblock, EXT4_FEATURE_INCOMPAT_EA_INODE);
  return XATTR_CREDITS + (apart ? valueInodeCredits(volume, length) : 0);
}

/** What setxattr(2) is told. */
export type XattrMode = "create" | "replace" | "any";

/** The attributes of an inode, by where they stand. */
interface Stored {
  readonly inode: readonly KeptAttribute[];
  readonly block: readonly KeptAttribute[];
}

/**
 * Sets an attribute to bytes as they are stored; the record is stored, its times are not set.
 * @throws EEXIST and ENODATA as `mode` says, E2BIG, ENOSPC when neither the inode nor a block has
 *   the room or no block can be had (with `ea_inode` a value may get an inode of its own); nothing
 *   has changed then. EUCLEAN, EBADMSG, EIO
 */
export function storeXattr(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  name: StoredName,
  value: Uint8Array,
  mode: XattrMode = "any",
): void {
  if (value.length > XATTR_SIZE_MAX) {
    const detail = `a value of ${value.length} bytes; at most ${XATTR_SIZE_MAX}`;
    throw new DaxError("E2BIG", { syscall: "setxattr", detail });
  }
  const stored = readStored(editor, record);
  const before = find(stored, name);
  if (before !== undefined && mode === "create") throw refusal("EEXIST", "it is there");
  if (before === undefined && mode === "replace") throw refusal("ENODATA", "it is not there");
  const { inode, block } = without(stored, name);
  const added = plainAttribute(name.nameIndex, name.name, value.slice());
  if (fitsInode(record, [...inode, added])) {
    write(editor, handle, record, stored, { inode: [...inode, added], block });
    return;
  }
  const longer = [...block, added];
  const { superblock } = editor.volume;
  if (!fitsBlock(longer, superblock.blockSize)) {
    if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_EA_INODE)) {
      storeApart(editor, handle, record, stored, { inode, block }, added);
      return;
    }
    const rule = `its ${value.length} bytes fit neither the inode nor a block beside the others`;
    throw refusal("ENOSPC", rule);
  }
  write(editor, handle, record, stored, { inode, block: longer });
}

/** The value in an inode of its own, and the name where there is room for that. */
function storeApart(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  stored: Stored,
  { inode, block }: Stored,
  plain: KeptAttribute,
): void {
  // Its sectors would count as the link's, whose target would pass for the numbers of blocks then,
  // with Linux as with e2fsck.
  if (isShortLink(record)) throw refusal("ENOSPC", "a short link has no value in another inode");
  const { superblock } = editor.volume;
  const bare = { ...plain, value: new Uint8Array(0) };
  const inside = fitsInode(record, [...inode, bare]);
  if (!inside && !fitsBlock([...block, bare], superblock.blockSize)) {
    throw refusal("ENOSPC", "neither the inode nor a block has room for its name");
  }
  const { ino, hash } = makeValueInode(editor, handle, record, plain.value);
  const added = { ...bare, valueInum: ino, valueHash: hash };
  try {
    if (inside) write(editor, handle, record, stored, { inode: [...inode, added], block });
    else write(editor, handle, record, stored, { inode, block: [...block, added] });
  } catch (error) {
    dropValueInode(editor, handle, ino);
    throw error;
  }
  addClusters(editor, record, valueClusters(editor, [added]));
  storeRecord(editor.volume, handle, record);
}

/** Whether the target is where others have their map. */
function isShortLink(record: InodeRecord): boolean {
  const short = record.size < I_BLOCK_SIZE && !record.has(EXT4_INLINE_DATA_FL);
  return record.type === S_IFLNK && short;
}

/** Takes an attribute out. @throws ENODATA, ENOSPC as {@link storeXattr}, EUCLEAN, EBADMSG, EIO */
export function dropXattr(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  name: StoredName,
): void {
  const stored = readStored(editor, record);
  const before = find(stored, name);
  if (before === undefined) throw refusal("ENODATA", "it is not there", "removexattr");
  write(editor, handle, record, stored, without(stored, name));
}

/**
 * Lets go of the attribute block of an inode that is deleted, and of values in inodes of their own;
 * what is in the inode stays there. @throws EUCLEAN, EBADMSG, EIO
 */
export function releaseXattrs(editor: ExtEditor, handle: Handle, record: InodeRecord): void {
  const stored = readStored(editor, record);
  const alone = fileAcl(editor.volume.superblock, record) === 0;
  if (alone && stored.inode.every(isPlain)) return;
  write(editor, handle, record, stored, { inode: stored.inode.filter(isPlain), block: [] });
}

/**
 * How many values in inodes of their own go with an inode that is deleted; others that refer to its
 * attribute block keep those of the block. @throws EUCLEAN, EBADMSG, EIO
 */
export function valuesApart(editor: ExtEditor, record: InodeRecord): number {
  const { inode, block } = readStored(editor, record);
  if ([...inode, ...block].every(isPlain)) return 0;
  return [...inode, ...(isShared(editor, record) ? [] : block)].filter((one) => !isPlain(one))
    .length;
}

/**
 * Lets go of one of {@link valuesApart}, and takes its name out. `false`: the handle has no room
 * for that beside what it did already; go on in another one.
 * @throws ENOSPC for a journal that has none at all, EUCLEAN, EBADMSG, EIO
 */
export function releaseValue(editor: ExtEditor, handle: Handle, record: InodeRecord): boolean {
  const stored = readStored(editor, record);
  const gone = [...stored.inode, ...stored.block].find((one) => !isPlain(one));
  if (gone === undefined) return true;
  const fresh = !handle.touched;
  const [copies, revokes] = dropValueCredits(editor.volume, gone.valueInum);
  if (!claim(handle, XATTR_CREDITS + copies, XATTR_REVOKES + revokes)) {
    if (!fresh) return false;
    throw refusal("ENOSPC", "its value takes more than a transaction of this journal");
  }
  const others = (list: readonly KeptAttribute[]) => list.filter((one) => one !== gone);
  const { inode, block } = stored;
  const after = inode.includes(gone)
    ? { inode: others(inode), block }
    : { inode, block: others(block) };
  write(editor, handle, record, stored, after);
  return true;
}

/** Whether other inodes refer to the attribute block. @throws EUCLEAN, EBADMSG, EIO */
function isShared({ volume }: ExtEditor, record: InodeRecord): boolean {
  const number = fileAcl(volume.superblock, record);
  if (number === 0) return false;
  const { view } = volume.blocks.get(number, `inode ${record.ino}`, "file_acl");
  return XH.refcount.get(view, 0) > 1;
}

function readStored({ volume }: ExtEditor, record: InodeRecord): Stored {
  const inode = inodeAttributes(volume, record);
  return { inode, block: blockEntries(volume, record).map(keepEntry) };
}

function isNamed(one: Attribute, { nameIndex, name }: StoredName): boolean {
  return compareAttributes(one, { ...one, nameIndex, name }) === 0;
}

function find({ inode, block }: Stored, name: StoredName): KeptAttribute | undefined {
  return [...inode, ...block].find((one) => isNamed(one, name));
}

function without({ inode, block }: Stored, name: StoredName): Stored {
  const others = (list: readonly KeptAttribute[]): readonly KeptAttribute[] =>
    list.filter((one) => !isNamed(one, name));
  return { inode: others(inode), block: others(block) };
}

function isPlain({ valueInum }: KeptAttribute): boolean {
  return valueInum === 0;
}

function refusal(code: "EEXIST" | "ENODATA" | "ENOSPC", rule: string, syscall = "setxattr") {
  return new DaxError(code, { syscall, detail: `the attribute: ${rule}` });
}

/** The block first: only that can fail. */
function write(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  before: Stored,
  { inode, block }: Stored,
): void {
  const { superblock } = editor.volume;
  const changed = !sameList(before.block, block);
  const gone = before.inode.filter((one) => !inode.includes(one));
  const left = before.block.filter((one) => !block.includes(one));
  let last = true;
  if (block.length === 0 && fileAcl(superblock, record) !== 0) {
    last = leaveBlock(editor, handle, record);
    setFileAcl(superblock, record, 0);
  } else if (changed) {
    editor.superblock.needCompat(handle, EXT4_FEATURE_COMPAT_EXT_ATTR);
    last = putBlock(editor, handle, record, before.block, block);
  }
  releaseValues(editor, handle, gone, last ? left : []);
  addClusters(editor, record, -valueClusters(editor, [...gone, ...left]));
  if (!sameList(before.inode, inode)) setInodeAttributes(record, inode);
  storeRecord(editor.volume, handle, record);
}

/** Who shares a block refers to its values through it: they go when nobody does any more. */
function releaseValues(
  editor: ExtEditor,
  handle: Handle,
  ...lists: readonly (readonly KeptAttribute[])[]
): void {
  for (const { valueInum } of lists.flat()) {
    if (valueInum !== 0) dropValueInode(editor, handle, valueInum);
  }
}

/** Clusters that the owner accounts for values in inodes of their own, shared or not. */
function valueClusters({ volume }: ExtEditor, list: readonly KeptAttribute[]): number {
  const { clusterSize } = volume.superblock;
  return list.reduce((sum, { valueInum, valueSize }) => {
    return valueInum === 0 ? sum : sum + Math.ceil(valueSize / clusterSize);
  }, 0);
}

/** Lists are made of the entries that they were read as, so the same ones are the same objects. */
function sameList(a: readonly KeptAttribute[], b: readonly KeptAttribute[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}

/**
 * Makes a list the attribute block: in its place, or in a new one where others share it. Whether
 * what the old block held, and the list does not, is referred to no more.
 */
function putBlock(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  before: readonly KeptAttribute[],
  list: readonly KeptAttribute[],
): boolean {
  const { volume } = editor;
  const number = fileAcl(volume.superblock, record);
  let copied: readonly KeptAttribute[] = [];
  if (number !== 0) {
    const old = openBlock(editor, handle, number);
    if (XH.refcount.get(old.memory, 0) === 1) {
      writeBlock(old.bytes, list);
      seal(editor, old);
      return true;
    }
    copied = list.filter((one) => !isPlain(one) && before.includes(one));
    if (!claim(handle, copied.length + XATTR_CREDITS, XATTR_REVOKES)) {
      throw refusal("ENOSPC", "its block takes more than a transaction of this journal");
    }
  }
  const goal = goalOfInode(volume.superblock, record.ino, false);
  const { start } = editor.allocator.allocate(handle, { goal, count: 1 });
  if (number !== 0) leaveBlock(editor, handle, record);
  // The copy refers to the values of the old block as well.
  for (const { valueInum } of copied) referToValue(volume, handle, valueInum);
  const fresh = handle.create(start);
  writeBlock(fresh.bytes, list);
  seal(editor, fresh);
  setFileAcl(volume.superblock, record, start);
  addClusters(editor, record, 1);
  return false;
}

/** One inode less refers to its attribute block; the last one frees it, which is the answer. */
function leaveBlock(editor: ExtEditor, handle: Handle, record: InodeRecord): boolean {
  const { volume, allocator } = editor;
  const number = fileAcl(volume.superblock, record);
  const block = openBlock(editor, handle, number);
  const references = XH.refcount.get(block.memory, 0);
  addClusters(editor, record, -1);
  if (references > 1) {
    XH.refcount.set(block.memory, 0, references - 1);
    seal(editor, block);
    return false;
  }
  volume.blocks.forget(number);
  allocator.free(handle, number, 1, { metadata: true });
  return true;
}

/** A block that `blockEntries` has proved. */
function openBlock({ volume }: ExtEditor, handle: Handle, number: number): JournaledBlock {
  return handle.get(volume.blocks.get(number, "inode", "file_acl").number, "attribute block");
}

function seal({ volume }: ExtEditor, block: JournaledBlock): void {
  sealBlock(volume.superblock, block.block, block.bytes);
  volume.blocks.put(block, "xattr", volume.superblock.checksumSeed);
}
