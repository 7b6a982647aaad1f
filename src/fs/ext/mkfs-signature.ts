/**
 * What lies on a device already: the marks by which other things are known, so that nothing is
 * overwritten unasked.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { readPartitionTable } from "../../block/partition-table.ts";
import { isDaxError } from "../../lib/errno.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { probeSuperblock, readSuperblock } from "./superblock.ts";
import { typeName } from "./features.ts";

/** Bytes at a place, and what they say. */
interface Mark {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly what: string;
}

function mark(at: number, text: string, what: string): Mark {
  return { at, bytes: encodeUtf8(text), what };
}

const MARKS: readonly Mark[] = [
  mark(0, "XFSB", "an xfs filesystem"),
  mark(0, "hsqs", "a squashfs filesystem"),
  { at: 1024, bytes: Uint8Array.of(0x10, 0x20, 0xf5, 0xf2), what: "an f2fs filesystem" },
  { at: 1024, bytes: Uint8Array.of(0xe2, 0xe1, 0xf5, 0xe0), what: "an erofs filesystem" },
  mark(65_600, "_BHRfS_M", "a btrfs filesystem"),
  mark(32_769, "CD001", "an iso9660 filesystem"),
  mark(3, "NTFS    ", "an ntfs filesystem"),
  mark(3, "EXFAT   ", "an exfat filesystem"),
  mark(54, "FAT", "a vfat filesystem"),
  mark(82, "FAT32", "a vfat filesystem"),
  mark(4086, "SWAPSPACE2", "swap space"),
  {
    at: 0,
    bytes: Uint8Array.of(0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe),
    what: "encrypted space (LUKS)",
  },
  mark(512, "LABELONE", "an LVM2 physical volume"),
  { at: 4096, bytes: Uint8Array.of(0xfc, 0x4e, 0x2b, 0xa9), what: "a RAID member" },
];

/**
 * What the device holds, in words: `an ext4 filesystem labelled 'data'`, `a gpt partition table`;
 * undefined when nothing is known by sight. @throws EIO
 */
export function findSignature(device: BlockDevice): string | undefined {
  return extSignature(device) ?? markedAs(device) ?? tableSignature(device);
}

function extSignature(device: BlockDevice): string | undefined {
  if (!probeSuperblock(device)) return undefined;
  try {
    const superblock = readSuperblock(device);
    const end = superblock.volumeName.indexOf(0);
    const name = superblock.volumeName.subarray(0, end === -1 ? undefined : end);
    const label = String.fromCharCode(...name).replace(/[^ -~]/gu, "?");
    const type = `an ${typeName(superblock)} filesystem`;
    return label === "" ? type : `${type} labelled '${label}'`;
  } catch (error) {
    if (isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP"))
      return "an ext filesystem, damaged or new";
    throw error;
  }
}

function markedAs(device: BlockDevice): string | undefined {
  return MARKS.find((known) => isMarked(device, known))?.what;
}

function isMarked(device: BlockDevice, { at, bytes }: Mark): boolean {
  if (at + bytes.length > device.sectors * SECTOR_SIZE) return false;
  const seen = new Uint8Array(bytes.length);
  device.readBytes(at, seen);
  return bytes.every((byte, i) => seen[i] === byte);
}

/** Removes every mark, wherever it lies: nothing is taken for what was there before. @throws EIO */
export function forgetMarks(device: BlockDevice): void {
  for (const known of MARKS) {
    if (isMarked(device, known)) device.writeBytes(known.at, new Uint8Array(known.bytes.length));
  }
}

function tableSignature(device: BlockDevice): string | undefined {
  try {
    const table = readPartitionTable(device);
    return table === undefined ? undefined : `a ${table.label} partition table`;
  } catch (error) {
    if (isDaxError(error, "EUCLEAN", "EBADMSG")) return "a damaged gpt partition table";
    throw error;
  }
}
