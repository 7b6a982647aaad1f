/**
 * Partition tables, read through the block path: a bad sector under the table is an I/O error,
 * never a crash (Linux went back from reading tables through dax for that reason).
 *
 * @module
 */
import {
  EFI_PMBR_OSTYPE_EFI_GPT,
  FatBootSector,
  MSDOS_ENTRIES_OFFSET,
  MSDOS_LABEL_MAGIC,
  MSDOS_MAGIC_OFFSET,
  MsdosPartition,
} from "../format/mbr.ts";
import { DaxError } from "../lib/errno.ts";
import { formatSize } from "../lib/size.ts";
import { sizeof } from "../lib/struct.ts";
import { type BlockDevice, SECTOR_SIZE } from "./block-device.ts";
import { readGpt } from "./gpt.ts";
import { readMbr } from "./mbr.ts";
import { Partition } from "./partition.ts";

/** Numbers of a disk, the disk itself included: `DISK_MAX_PARTS`. */
export const DISK_MAX_PARTS = 256;

/** One partition as its table describes it; nothing is checked against the disk yet. */
export interface PartitionEntry {
  /** From 1; logical partitions of an MBR from 5. */
  readonly index: number;
  /** 512-byte sectors. */
  readonly start: number;
  readonly sectors: number;
  /** `83`, or the type's GUID in lower case. */
  readonly type: string;
  /** The GUID; for an MBR what Linux calls PARTUUID: `1a2b3c4d-01`. */
  readonly uuid: string;
  /** GPT only, else empty. */
  readonly name: string;
  readonly bootable: boolean;
  /** An extended partition: it holds others. */
  readonly container: boolean;
}

/** A partition table. */
export interface PartitionTable {
  /** sfdisk's words. */
  readonly label: "dos" | "gpt";
  /** The disk's identifier: `0x1a2b3c4d` or a GUID. */
  readonly id: string;
  readonly from: "primary" | "backup";
  readonly entries: readonly PartitionEntry[];
  /** What was wrong and skipped, in words. */
  readonly notes: readonly string[];
}

/**
 * The partition table of a disk; undefined for a disk that has none.
 * @throws EIO when the table cannot be read; EUCLEAN, EBADMSG for a GPT of which both copies are
 * bad
 */
export function readPartitionTable(device: BlockDevice): PartitionTable | undefined {
  if (device.sectors === 0) return undefined;
  const sector = new Uint8Array(SECTOR_SIZE);
  device.read(0, sector);
  const view = new DataView(sector.buffer);
  if (view.getUint16(MSDOS_MAGIC_OFFSET, true) !== MSDOS_LABEL_MAGIC) return undefined;
  if (!looksLikeTable(view)) return undefined;
  for (let slot = 0; slot < 4; slot++) {
    const at = MSDOS_ENTRIES_OFFSET + slot * sizeof(MsdosPartition);
    if (MsdosPartition.sysInd.get(view, at) !== EFI_PMBR_OSTYPE_EFI_GPT) continue;
    if (MsdosPartition.startSect.get(view, at) === 1) return readGpt(device);
  }
  return readMbr(device, view);
}

/** A boot sector of FAT or NTFS ends with the same two bytes. */
function looksLikeTable(view: DataView): boolean {
  for (let slot = 0; slot < 4; slot++) {
    const at = MSDOS_ENTRIES_OFFSET + slot * sizeof(MsdosPartition);
    if ((MsdosPartition.bootInd.get(view, at) & 0x7f) !== 0) return false;
  }
  const media = FatBootSector.media.get(view, 0);
  const isFat =
    (media === 0xf0 || media >= 0xf8) &&
    FatBootSector.reserved.get(view, 0) !== 0 &&
    FatBootSector.fats.get(view, 0) !== 0;
  return !isFat || hasEntry(view);
}

function hasEntry(view: DataView): boolean {
  for (let slot = 0; slot < 4; slot++) {
    const at = MSDOS_ENTRIES_OFFSET + slot * sizeof(MsdosPartition);
    if (MsdosPartition.nrSects.get(view, at) !== 0) return true;
  }
  return false;
}

/** `pmem0p1`, `sda1`: a `p` where the disk's name ends in a digit. */
export function partitionName(disk: string, index: number): string {
  return /\d$/u.test(disk) ? `${disk}p${index}` : `${disk}${index}`;
}

/** The partitions of a disk as devices, and what was wrong with those that are missing. */
export interface OpenedPartitions {
  readonly partitions: ReadonlyMap<number, Partition>;
  readonly notes: readonly string[];
}

/**
 * Makes the devices of a table as Linux does: an MBR entry that leaves the disk is cut, a GPT entry
 * that does is left out, an extended partition shows only its first two sectors (room for a boot
 * loader, not for a filesystem).
 */
export function openPartitions(disk: BlockDevice, table: PartitionTable): OpenedPartitions {
  const partitions = new Map<number, Partition>();
  const notes = [...table.notes];
  for (const entry of table.entries) {
    const { index, start } = entry;
    const left = disk.sectors - start;
    let sectors = entry.container ? Math.min(entry.sectors, 2) : entry.sectors;
    if (index >= DISK_MAX_PARTS) notes.push(`partition ${index}: there are 255 numbers; skipped`);
    else if (left <= 0 || (sectors > left && table.label === "gpt")) {
      notes.push(`partition ${index}: sectors ${start}+${sectors} leave the disk; skipped`);
    } else {
      if (sectors > left) {
        notes.push(`partition ${index}: sectors ${start}+${sectors} leave the disk; cut`);
        sectors = left;
      }
      const name = partitionName(disk.name, index);
      partitions.set(index, new Partition(disk, { name, start, sectors }));
    }
  }
  return { partitions, notes };
}

/** Partitions that a message names; a GPT may have 128. */
const MOST_NAMED = 12;

/** Which partitions there are to choose from, in words: numbers, where they start, how large. */
export function describePartitions(disk: BlockDevice, table: PartitionTable): string {
  const all = [...openPartitions(disk, table).partitions];
  if (all.length === 0) return `the ${table.label} partition table has no partitions`;
  const named = all.slice(0, MOST_NAMED).map(([index, { start, sectors }]) => {
    const [offset, length] = [start, sectors].map((count) => count * SECTOR_SIZE);
    return `${index} (${formatSize(length as number)} at ${offset})`;
  });
  const left = all.length - named.length;
  const more = left > 0 ? ` and ${left} more` : "";
  const noun = all.length === 1 ? "partition" : "partitions";
  return `the ${table.label} partition table has ${noun} ${named.join(", ")}${more}`;
}

/**
 * One partition by its number, for tools that are handed an image and `--partition N`.
 * @throws ENXIO when the disk has no table or no such partition, naming those it has
 */
export function openPartition(disk: BlockDevice, index: number): Partition {
  const table = readPartitionTable(disk);
  const opened = table === undefined ? undefined : openPartitions(disk, table);
  const partition = opened?.partitions.get(index);
  if (partition !== undefined) return partition;
  const known =
    table === undefined
      ? "there is no partition table; leave the partition out"
      : describePartitions(disk, table);
  throw new DaxError("ENXIO", {
    syscall: "open",
    path: partitionName(disk.name, index),
    detail: `no partition ${index}: ${known}`,
  });
}
