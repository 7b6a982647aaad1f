/**
 * Symbolic links: in the inode when they are short, in a block of their own otherwise.
 *
 * @module
 */
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_EA_INODE } from "../../format/ext-superblock.ts";
import { readContents } from "./contents.ts";
import { corrupt } from "./corruption.ts";
import { hasIncompat } from "./features.ts";
import type { FileMap } from "./file-map.ts";
import { inlineContents } from "./inline.ts";
import { I_BLOCK_SIZE, type InodeRecord, fileAcl, sectorsUsed } from "./inode-record.ts";
import type { Volume } from "./volume.ts";

/** The target of a symbolic link. @throws EUCLEAN, EBADMSG, EIO */
export function readTarget(volume: Volume, record: InodeRecord, map: FileMap): Uint8Array {
  const target = targetBytes(volume, record, map);
  const where = `inode ${record.ino} symlink`;
  if (target.length === 0) throw corrupt(where, "size", 0, "a target is never empty");
  if (target.length < record.size) {
    throw corrupt(where, "size", record.size, `only ${target.length} bytes are stored`);
  }
  const nul = target.indexOf(0);
  if (nul !== -1) throw corrupt(where, "size", record.size, `the target ends after ${nul}`);
  return target;
}

function targetBytes(volume: Volume, record: InodeRecord, map: FileMap): Uint8Array {
  if (record.has(EXT4_INLINE_DATA_FL)) return inlineContents(volume, record);
  const { size } = record;
  const where = `inode ${record.ino} symlink`;
  if (isFast(volume, record)) {
    if (size >= I_BLOCK_SIZE) throw corrupt(where, "size", size, "above 59 without a block");
    return record.blockBytes().slice(0, size);
  }
  const { blockSize } = volume.superblock;
  if (size >= blockSize) throw corrupt(where, "size", size, `not below a block of ${blockSize}`);
  const target = new Uint8Array(size);
  readContents(volume, map, target);
  return target;
}

/** Fast links own no block but that of their attributes; with ea_inode only the size tells. */
export function isFast(volume: Volume, record: InodeRecord): boolean {
  const { superblock } = volume;
  if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_EA_INODE)) return record.size < I_BLOCK_SIZE;
  const own = fileAcl(superblock, record) === 0 ? 0 : superblock.clusterSize / 512;
  return sectorsUsed(superblock, record) - own === 0;
}
