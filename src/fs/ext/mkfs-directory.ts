/**
 * Blocks of a new directory: entries that tile them, and the checksum behind.
 *
 * @module
 */
import {
  EXT4_FT_DIR,
  EXT4_FT_DIR_CSUM,
  Ext4DirEntry2 as DE,
  Ext4DirEntryTail as DT,
} from "../../format/ext-directory.ts";
import { EXT4_FEATURE_INCOMPAT_FILETYPE } from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { hasIncompat } from "./features.ts";
import { inodeSeed } from "./mkfs-maps.ts";
import type { Superblock } from "./superblock.ts";

/** A subdirectory under its name. */
export interface NewEntry {
  readonly ino: number;
  readonly name: string;
}

/** A block of directory `ino` with these entries; without any it is empty. */
export function directoryBlock(
  superblock: Superblock,
  ino: number,
  entries: readonly NewEntry[],
): Uint8Array {
  const bytes = new Uint8Array(superblock.blockSize);
  const view = new DataView(bytes.buffer);
  const room = bytes.length - (superblock.metadataCsum ? sizeof(DT) : 0);
  const typed = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_FILETYPE);
  let at = 0;
  const all = entries.length === 0 ? [{ ino: 0, name: "" }] : entries;
  for (const [i, entry] of all.entries()) {
    const name = encodeUtf8(entry.name);
    const length = i === all.length - 1 ? room - at : Math.ceil((sizeof(DE) + name.length) / 4) * 4;
    DE.inode.set(view, at, entry.ino);
    DE.recLen.set(view, at, encodeLength(length));
    DE.nameLen.set(view, at, name.length);
    DE.fileType.set(view, at, typed && entry.ino !== 0 ? EXT4_FT_DIR : 0);
    bytes.set(name, at + sizeof(DE));
    at += length;
  }
  if (superblock.metadataCsum) stampTail(superblock, ino, view, room);
  return bytes;
}

/** In 64 KiB blocks a length may need 17 bits: the low two, always zero, carry the upper ones. */
function encodeLength(length: number): number {
  if (length < 65536) return length;
  return length === 65536 ? 0xffff : (length & 0xfffc) | ((length >>> 16) & 3);
}

function stampTail(superblock: Superblock, ino: number, view: DataView, at: number): void {
  DT.recLen.set(view, at, sizeof(DT));
  DT.reservedFt.set(view, at, EXT4_FT_DIR_CSUM);
  const bytes = new Uint8Array(view.buffer, 0, at);
  DT.checksum.set(view, at, crc32c(inodeSeed(superblock, ino), bytes));
}
