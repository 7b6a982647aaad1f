/**
 * Blocks added to directories: the first one with `.` and `..`, and more at the end.
 *
 * @module
 */
import { EXT4_FT_DIR } from "../../format/ext-directory.ts";
import { EXT4_FEATURE_INCOMPAT_LARGEDIR } from "../../format/ext-superblock.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { leafRoom, sealLeaf } from "./directory-seal.ts";
import type { ExtEditor } from "./editor.ts";
import { EntryArea } from "./entry-area.ts";
import { hasIncompat } from "./features.ts";
import type { FileMap } from "./file-map.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { setSize, storeRecord } from "./inode-writer.ts";
import { mapBlocks, removeBlocks } from "./map-writer.ts";
import type { JournaledBlock } from "./transaction.ts";

/** Without `large_dir` a size has 31 bits. */
const MOST_BYTES = 2 ** 31;

const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

/** Where the entries behind `.` and `..` start in a linear directory. */
export const FIRST_ENTRY = 24;

/**
 * Blocks at the end of a directory, all zeros; the size follows, and the record is stored. All of
 * them or none. @throws ENOSPC when they cannot be had, and for a directory that is too large
 */
export function appendBlocks(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  map: FileMap,
  count: number,
): JournaledBlock[] {
  const { volume } = editor;
  const { blockSize } = volume.superblock;
  const first = record.size / blockSize;
  checkSize(editor, record, (first + count) * blockSize);
  try {
    for (let done = 0; done < count;) {
      done += mapBlocks(editor, handle, record, first + done, count - done).count;
    }
  } catch (error) {
    unmap(editor, handle, record, first, first + count);
    throw error;
  } finally {
    map.forget(first, count);
  }
  setSize(volume.superblock, record, (first + count) * blockSize);
  storeRecord(volume, handle, record);
  return Array.from({ length: count }, (_, i) => {
    const block = map.blockOf(first + i);
    assert(block !== undefined, "a block that was just mapped");
    return handle.create(block);
  });
}

/** Gives back what an attempt had got; the handle has the credits, it has just used as many. */
function unmap(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  first: number,
  limit: number,
): void {
  for (let to = limit; to > first;) {
    const done = removeBlocks(editor, handle, record, [first, to]);
    if (done >= to) return;
    to = done;
  }
}

function checkSize({ volume }: ExtEditor, record: InodeRecord, bytes: number): void {
  const large = hasIncompat(volume.superblock, EXT4_FEATURE_INCOMPAT_LARGEDIR);
  if (large || bytes < MOST_BYTES) return;
  const detail = `directory ${record.ino} would have ${bytes} bytes; that takes large_dir`;
  throw new DaxError("ENOSPC", { detail });
}

/**
 * The first block of a directory without blocks: `.`, `..`, and behind them `entries`, which tile
 * their bytes. @throws ENOSPC with nothing changed
 */
export function writeFirstBlock(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  map: FileMap,
  parent: number,
  entries = new Uint8Array(0),
): void {
  const { volume } = editor;
  const { superblock } = volume;
  setSize(superblock, record, 0);
  const [block] = appendBlocks(editor, handle, record, map, 1) as [JournaledBlock];
  const where = `inode ${record.ino} directory block 0`;
  const limit = leafRoom(superblock);
  const dots = [
    { name: DOT, ino: record.ino, type: EXT4_FT_DIR },
    { name: DOT_DOT, ino: parent, type: EXT4_FT_DIR },
  ];
  if (entries.length === 0) {
    new EntryArea(superblock, block.bytes, 0, limit, where).setEntries(dots);
  } else {
    new EntryArea(superblock, block.bytes, 0, FIRST_ENTRY, where).setEntries(dots);
    block.bytes.set(entries, FIRST_ENTRY);
    const area = new EntryArea(superblock, block.bytes, FIRST_ENTRY, limit, where);
    area.extendFrom(FIRST_ENTRY + entries.length);
  }
  sealLeaf(superblock, record.seed, block.bytes);
  volume.blocks.put(block, "directory leaf", record.seed);
}
