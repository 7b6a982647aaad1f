/**
 * Inodes on their way into and out of keeping their contents themselves.
 *
 * @module
 */
import { EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_EXTENTS } from "../../format/ext-superblock.ts";
import type { ExtEditor } from "./editor.ts";
import { hasIncompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import { setInlineRest } from "./inode-attributes.ts";
import type { InodeRecord } from "./inode-record.ts";
import { initExtents, setBlockBytes, setFlags, setSize, storeRecord } from "./inode-writer.ts";
import type { Volume } from "./volume.ts";

/** The map makes room for inline data, of which there is none yet. */
export function enterInode(volume: Volume, record: InodeRecord): void {
  setFlags(record, (record.flags | EXT4_INLINE_DATA_FL) & ~EXT4_EXTENTS_FL);
  setBlockBytes(record, new Uint8Array(0));
  setInlineRest(volume, record, new Uint8Array(0));
}

/** The inline data go, and `fill` gives the inode blocks; when it fails, all is as it was. */
export function leaveInode(
  { volume }: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  fill: () => void,
): void {
  const { flags, size } = record;
  const before = record.bytes.slice();
  setInlineRest(volume, record, undefined);
  setFlags(record, flags & ~EXT4_INLINE_DATA_FL);
  setBlockBytes(record, new Uint8Array(0));
  if (hasIncompat(volume.superblock, EXT4_FEATURE_INCOMPAT_EXTENTS)) initExtents(record);
  try {
    fill();
  } catch (error) {
    setFlags(record, flags);
    setSize(volume.superblock, record, size);
    record.bytes.set(before);
    storeRecord(volume, handle, record);
    throw error;
  }
}
