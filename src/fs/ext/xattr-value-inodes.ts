/**
 * Inodes that hold the value of an attribute (`ea_inode`): they count who refers to them, and go
 * with the last one.
 *
 * @module
 */
import { EXT4_EA_INODE_FL, Ext4Inode as DI } from "../../format/ext-inode.ts";
import { corrupt } from "./corruption.ts";
import type { ExtEditor } from "./editor.ts";
import type { Handle } from "./handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import { setDtime, setLinks, setSize, storeRecord } from "./inode-writer.ts";
import { mapCredits, mapRevokes, removeBlocks } from "./map-writer.ts";

const TWO_32 = 2 ** 32;

/** The count is where other inodes have the time of change and the low half of their version. */
function referencesOf({ view }: InodeRecord): number {
  return DI.ctime.get(view, 0) * TWO_32 + DI.version.get(view, 0);
}

/**
 * One attribute less refers to a value; the last one frees it, all of it in this handle, which is
 * extended as far as that takes.
 * @throws ENOSPC when the journal is too small, EUCLEAN, EBADMSG, EIO
 */
export function dropValueInode(editor: ExtEditor, handle: Handle, ino: number): void {
  const { volume } = editor;
  const record = volume.record(ino);
  if (!record.has(EXT4_EA_INODE_FL) || record.links === 0) {
    throw corrupt(`inode ${ino}`, "flags", "no value", "an attribute has its value there");
  }
  const references = referencesOf(record);
  if (references > 1) {
    DI.ctime.set(record.view, 0, Math.floor((references - 1) / TWO_32));
    DI.version.set(record.view, 0, (references - 1) % TWO_32);
    storeRecord(volume, handle, record);
    return;
  }
  for (let to = MAX_LOGICAL_BLOCKS; to > 0;) {
    const enough = handle.extend(mapCredits(record), mapRevokes(record));
    const done = enough ? removeBlocks(editor, handle, record, [0, to]) : to;
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
