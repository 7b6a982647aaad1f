/**
 * Files and links in their inodes: written there while they fit, and moved out to blocks.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { ExtEditor } from "./editor.ts";
import type { FileMap } from "./file-map.ts";
import type { Handle } from "./handle.ts";
import { inlineContents } from "./inline.ts";
import { enterInode, leaveInode } from "./inline-state.ts";
import { inlineRoom, setInlineRest } from "./inode-attributes.ts";
import { I_BLOCK_SIZE, type InodeRecord } from "./inode-record.ts";
import { setBlockBytes, setSize, storeRecord } from "./inode-writer.ts";
import { mapBlocks } from "./map-writer.ts";
import type { Volume } from "./volume.ts";

/** Bytes that an inode can hold of its file; 0 where it has no room for the attribute. */
export function inlineCapacity(volume: Volume, record: InodeRecord): number {
  const room = inlineRoom(volume, record);
  return room < 0 ? 0 : I_BLOCK_SIZE + room;
}

/**
 * Lets an empty file without blocks keep its contents in the inode, before its first bytes are
 * written; false when there is no room for `size` bytes. The record is stored.
 */
export function startInline(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  size: number,
): boolean {
  const { volume } = editor;
  if (size > inlineCapacity(volume, record)) return false;
  enterInode(volume, record);
  storeRecord(volume, handle, record);
  return true;
}

/**
 * Writes into an inline file, which grows as far as needed; false, and nothing has changed, when
 * the inode has not the room. The record is stored, its times are not set. @throws EUCLEAN
 */
export function writeInline(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  source: Uint8Array,
  offset: number,
): boolean {
  const size = Math.max(record.size, offset + source.length);
  return putContents(editor, handle, record, size, (bytes) => bytes.set(source, offset));
}

/**
 * Gives an inline file another size; what is new reads as zeros. False, and nothing has changed,
 * when the inode has not the room. @throws EUCLEAN
 */
export function resizeInline(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  size: number,
): boolean {
  return putContents(editor, handle, record, size, () => {});
}

function putContents(
  { volume }: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  size: number,
  change: (bytes: Uint8Array) => void,
): boolean {
  if (size > inlineCapacity(volume, record)) return false;
  const bytes = new Uint8Array(size);
  bytes.set(inlineContents(volume, record).subarray(0, size));
  change(bytes);
  setBlockBytes(record, bytes.subarray(0, I_BLOCK_SIZE));
  setInlineRest(volume, record, bytes.subarray(I_BLOCK_SIZE));
  setSize(volume.superblock, record, size);
  storeRecord(volume, handle, record);
  return true;
}

/**
 * Moves the contents of an inline file or link out to blocks. They are on the device when this
 * returns, and durable before the transaction commits. `map` is of `record`.
 * @throws ENOSPC with nothing changed, EUCLEAN, EIO
 */
export function moveInlineOut(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  map: FileMap,
): void {
  const { volume } = editor;
  const contents = inlineContents(volume, record);
  leaveInode(editor, handle, record, () => {
    if (contents.length > 0) writeOut(editor, handle, record, contents);
    storeRecord(volume, handle, record);
  });
  map.clear();
}

function writeOut(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  contents: Uint8Array,
): void {
  const { volume } = editor;
  const { blockSize } = volume.superblock;
  if (contents.length > blockSize) {
    const detail = `inode ${record.ino}: ${contents.length} bytes of inline data in a block`;
    throw new DaxError("EUCLEAN", { detail });
  }
  const { block } = mapBlocks(editor, handle, record, 0, 1);
  const bytes = new Uint8Array(blockSize);
  bytes.set(contents);
  // No file has the block before the commit, so nothing is lost when that never comes. And the
  // commit flushes before anything of it counts, as it does for every block that is given out.
  volume.buffers.write(block, bytes);
}
