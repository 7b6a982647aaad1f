/**
 * The GUID partition table of EFI: a header in block 1 and another in the last block, each with a
 * checksum over itself and one over its array of entries. Little-endian.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** "EFI PART" as it lies on the media. */
export const GPT_HEADER_SIGNATURE = "EFI PART";
/** The block of the first header. */
export const GPT_PRIMARY_PARTITION_TABLE_LBA = 1;

/** The header; the rest of its block is reserved. */
export const GptHeader = struct("gpt_header", 92, (at) => ({
  signature: at.bytes(8),
  revision: at.le32(),
  /** Bytes that the header's checksum covers. */
  headerSize: at.le32(),
  /** crc32 of the header with this field as zero. */
  headerCrc32: at.le32(),
  reserved1: at.le32(),
  myLba: at.le64(),
  alternateLba: at.le64(),
  firstUsableLba: at.le64(),
  lastUsableLba: at.le64(),
  diskGuid: at.bytes(16),
  partitionEntryLba: at.le64(),
  numPartitionEntries: at.le32(),
  sizeofPartitionEntry: at.le32(),
  partitionEntryArrayCrc32: at.le32(),
}));

/** One entry; unused when its type is all zeros. */
export const GptEntry = struct("gpt_entry", 128, (at) => ({
  partitionTypeGuid: at.bytes(16),
  uniquePartitionGuid: at.bytes(16),
  startingLba: at.le64(),
  /** The last block, not the one behind it. */
  endingLba: at.le64(),
  attributesLo: at.le32(),
  attributesHi: at.le32(),
  /** UTF-16, ends with NUL unless full. */
  partitionName: at.bytes(72),
}));
