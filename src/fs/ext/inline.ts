/**
 * Inline data: small files and directories that live in the inode, the first 60 bytes in place of
 * the block map and the rest in an attribute.
 *
 * @module
 */
import { EXT4_XATTR_INDEX_SYSTEM, EXT4_XATTR_SYSTEM_DATA } from "../../format/ext-xattr.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { corrupt } from "./corruption.ts";
import { I_BLOCK_SIZE, type InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";
import { inodeEntries } from "./xattr-entries.ts";

const DATA = encodeUtf8(EXT4_XATTR_SYSTEM_DATA);

/** The bytes behind the first 60, aliasing the record. @throws EUCLEAN */
export function inlineRest(volume: Volume, record: InodeRecord): Uint8Array {
  const where = `inode ${record.ino} inline data`;
  for (const entry of inodeEntries(volume, record)) {
    const named = entry.name.length === DATA.length && entry.name.every((b, i) => b === DATA[i]);
    if (entry.nameIndex !== EXT4_XATTR_INDEX_SYSTEM || !named) continue;
    if (entry.valueInum !== 0) {
      throw corrupt(where, "value_inum", entry.valueInum, "it cannot be in another inode");
    }
    return entry.value;
  }
  throw corrupt(where, "xattr", "missing", "system.data must exist, if only empty");
}

/**
 * The bytes of an inline file or link that are stored; a file may be longer, and reads as zeros
 * from there on (mke2fs makes such files of holes).
 * @throws EUCLEAN
 */
export function inlineContents(volume: Volume, record: InodeRecord): Uint8Array {
  const rest = inlineRest(volume, record);
  const bytes = new Uint8Array(I_BLOCK_SIZE + rest.length);
  bytes.set(record.blockBytes());
  bytes.set(rest, I_BLOCK_SIZE);
  return bytes.subarray(0, record.size);
}
