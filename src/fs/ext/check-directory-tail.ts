/**
 * The checksum at the end of a directory's leaf block.
 *
 * @module
 */
import { EXT4_FT_DIR_CSUM, Ext4DirEntryTail as TAIL } from "../../format/ext-directory.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { type CheckContext, hex } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";

/** Checks the tail of a leaf; answers how many bytes at the end belong to it. */
export function checkLeafTail(
  context: CheckContext,
  inode: CheckedInode,
  logical: number,
  view: DataView<ArrayBuffer>,
): number {
  if (!context.superblock.metadataCsum) return 0;
  const at = view.byteLength - sizeof(TAIL);
  const where = `directory ${inode.ino} block ${logical}`;
  const present =
    TAIL.reservedZero1.get(view, at) === 0 &&
    TAIL.recLen.get(view, at) === sizeof(TAIL) &&
    TAIL.reservedZero2.get(view, at) === 0 &&
    TAIL.reservedFt.get(view, at) === EXT4_FT_DIR_CSUM;
  if (!present) {
    const text = "the entry that holds the block's checksum is missing";
    context.error("ext.directory.checksum", where, text);
    return 0;
  }
  const stored = TAIL.checksum.get(view, at);
  const computed = crc32c(inode.seed, new Uint8Array(view.buffer, 0, at));
  if (stored !== computed) {
    const text = `checksum is ${hex(stored)}, expected ${hex(computed)}`;
    context.error("ext.directory.checksum", where, text);
  }
  return sizeof(TAIL);
}
