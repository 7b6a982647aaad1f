/**
 * The DOS partition table: sector 0 of a disk, and the first sector of each link of an extended
 * partition's chain. Little-endian; starts and sizes count logical blocks.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** The last two bytes of the sector. */
export const MSDOS_LABEL_MAGIC = 0xaa55;
/** Byte of the sector at which {@link MSDOS_LABEL_MAGIC} lies. */
export const MSDOS_MAGIC_OFFSET = 510;
/** Where the 32-bit disk signature lies. */
export const MSDOS_SIGNATURE_OFFSET = 440;
/** Where the four entries lie. */
export const MSDOS_ENTRIES_OFFSET = 446;
/** Protective entry of a GPT disk. */
export const EFI_PMBR_OSTYPE_EFI_GPT = 0xee;
/** `sysInd`: an extended partition, by cylinders. */
export const DOS_EXTENDED_PARTITION = 0x05;
/** `sysInd`: an extended partition, by logical blocks. */
export const WIN98_EXTENDED_PARTITION = 0x0f;
/** `sysInd`: an extended partition that other systems leave alone. */
export const LINUX_EXTENDED_PARTITION = 0x85;

/** One of four entries. */
export const MsdosPartition = struct("msdos_partition", 16, (at) => ({
  /** 0x80 for the active one, else 0. */
  bootInd: at.u8(),
  startChs: at.bytes(3),
  sysInd: at.u8(),
  endChs: at.bytes(3),
  /** In logical blocks: of the disk, or from the link (data) or the chain's start (next link). */
  startSect: at.le32(),
  nrSects: at.le32(),
}));

/** What a FAT boot sector has where a table would look like one. */
export const FatBootSector = struct("fat_boot_sector", 22, (at) => ({
  jump: at.bytes(11),
  sectorSize: at.le16(),
  secPerClus: at.u8(),
  reserved: at.le16(),
  fats: at.u8(),
  dirEntries: at.le16(),
  sectors: at.le16(),
  media: at.u8(),
}));
