/**
 * Inodes that hold the value of an attribute (`ea_inode`): they count who refers to them, and go
 * with the last one.
 *
 * @module
 */
import { EXT4_EA_INODE_FL, Ext4Inode as DI } from "../../format/ext-inode.ts";
import { EXT4_XATTR_SIZE_MAX } from "../../format/ext-xattr.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { DaxError } from "../../lib/errno.ts";
import { corrupt } from "./corruption.ts";
import type { ExtEditor } from "./editor.ts";
import type { Handle } from "./handle.ts";
import { INODE_CREDITS } from "./inode-allocator.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS, gidOf, uidOf } from "./inode-record.ts";
import { newRecord, setDtime, setLinks, setSize, storeRecord } from "./inode-writer.ts";
import type { Volume } from "./volume.ts";
import { mapBlocks, mapCredits, mapRevokes, removeBlocks } from "./map-writer.ts";

const TWO_32 = 2 ** 32;
/** A map that grows from nothing, in as many groups as it may be. */
const VALUE_MAP_CREDITS = 24;
/** A regular file of its owner. */
const MODE = 0o100600;

/** The count is where other inodes have the time of change and the low half of their version. */
function referencesOf({ view }: InodeRecord): number {
  return DI.ctime.get(view, 0) * TWO_32 + DI.version.get(view, 0);
}

function setReferences({ view }: InodeRecord, references: number): void {
  DI.ctime.set(view, 0, Math.floor(references / TWO_32));
  DI.version.set(view, 0, references % TWO_32);
}

/**
 * Gives a value an inode of its own, to which one attribute refers. Its blocks go through the
 * journal; the handle is extended as far as that takes. The inode's number, and the value's hash.
 * @throws ENOSPC with nothing changed, EUCLEAN, EBADMSG, EIO
 */
export function makeValueInode(
  editor: ExtEditor,
  handle: Handle,
  owner: InodeRecord,
  value: Uint8Array,
): { readonly ino: number; readonly hash: number } {
  const { volume, inodes, now, random } = editor;
  const hash = crc32c(volume.superblock.checksumSeed, value);
  extend(handle, owner, value.length, valueInodeCredits(volume, value.length), 0);
  const ino = inodes.allocate(handle, { parent: owner.ino, directory: false });
  const { sec } = now();
  const record = newRecord(volume, ino, {
    mode: MODE,
    uid: uidOf(owner),
    gid: gidOf(owner),
    links: 1,
    flags: EXT4_EA_INODE_FL,
    generation: random(),
    time: { sec, nsec: 0 },
  });
  DI.atime.set(record.view, 0, hash);
  setReferences(record, 1);
  try {
    writeValue(editor, handle, record, value);
  } catch (error) {
    dropValueInode(editor, handle, ino);
    throw error;
  }
  return { ino, hash };
}

/** Credits that {@link makeValueInode} takes for a value of so many bytes. */
export function valueInodeCredits({ superblock }: Volume, length: number): number {
  const blocks = Math.ceil(length / superblock.blockSize);
  return INODE_CREDITS + 2 * VALUE_MAP_CREDITS + blocks;
}

function writeValue(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  value: Uint8Array,
): void {
  const { volume } = editor;
  const { blockSize } = volume.superblock;
  setSize(volume.superblock, record, value.length);
  storeRecord(volume, handle, record);
  const blocks = Math.ceil(value.length / blockSize);
  for (let done = 0; done < blocks;) {
    extend(handle, record, value.length, mapCredits(record) + blocks - done, 0);
    const { block, count } = mapBlocks(editor, handle, record, done, blocks - done);
    for (let i = 0; i < count; i++, done++) {
      const piece = value.subarray(done * blockSize, (done + 1) * blockSize);
      handle.create(block + i).bytes.set(piece);
    }
  }
}

function extend(
  handle: Handle,
  { ino }: InodeRecord,
  length: number,
  copies: number,
  revokes: number,
): void {
  if (revokes === 0 && handle.credits >= copies) return;
  if (handle.extend(copies, revokes)) return;
  const detail = `inode ${ino}: a value of ${length} bytes takes more than a transaction; commit`;
  throw new DaxError("ENOSPC", { syscall: "setxattr", detail });
}

/**
 * Credits and revokes that {@link dropValueInode} takes when nobody else refers to the value: a map
 * is cut a few blocks at a time. @throws EUCLEAN, EBADMSG, EIO
 */
export function dropValueCredits(volume: Volume, ino: number): readonly [number, number] {
  const record = valueRecord(volume, ino);
  const blocks = valueBlocks(volume, record);
  return [2 * mapCredits(record) + INODE_CREDITS + 1, 2 * mapRevokes(record) + blocks];
}

/** The inode of a value. @throws EUCLEAN for one that is none, EBADMSG, EIO */
function valueRecord(volume: Volume, ino: number): InodeRecord {
  const record = volume.record(ino);
  const { firstIno, blockSize } = volume.superblock;
  const rule = "an attribute has its value there";
  if (ino < firstIno || !record.has(EXT4_EA_INODE_FL) || record.links === 0) {
    throw corrupt(`inode ${ino}`, "flags", "no value", rule);
  }
  // A map of more than any value may have would take transactions without number.
  if (record.size > EXT4_XATTR_SIZE_MAX + blockSize) {
    throw corrupt(`inode ${ino}`, "size", record.size, rule);
  }
  return record;
}

function valueBlocks({ superblock }: Volume, { size }: InodeRecord): number {
  return Math.ceil(size / superblock.blockSize);
}

/** One attribute more refers to a value. @throws EUCLEAN for one that is none, EBADMSG, EIO */
export function referToValue(volume: Volume, handle: Handle, ino: number): void {
  const record = valueRecord(volume, ino);
  setReferences(record, referencesOf(record) + 1);
  storeRecord(volume, handle, record);
}

/**
 * One attribute less refers to a value; the last one frees it, all of it in this handle, which is
 * extended as far as that takes.
 * @throws ENOSPC when the journal is too small, EUCLEAN, EBADMSG, EIO
 */
export function dropValueInode(editor: ExtEditor, handle: Handle, ino: number): void {
  const { volume } = editor;
  const record = valueRecord(volume, ino);
  const references = referencesOf(record);
  if (references > 1) {
    setReferences(record, references - 1);
    storeRecord(volume, handle, record);
    return;
  }
  const blocks = valueBlocks(volume, record);
  for (let to = MAX_LOGICAL_BLOCKS; to > 0;) {
    extend(handle, record, record.size, mapCredits(record), mapRevokes(record) + blocks);
    const done = removeBlocks(editor, handle, record, [0, to]);
    if (done >= to)
      throw corrupt(`inode ${ino}`, "value", record.size, "it cannot be freed at once");
    to = done;
  }
  setSize(volume.superblock, record, 0);
  setLinks(record, 0);
  setDtime(record, editor.now().sec);
  storeRecord(volume, handle, record);
  editor.inodes.free(handle, ino, false);
}
