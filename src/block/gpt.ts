/**
 * Reading a GUID partition table: the primary header, or the backup in the last block when the
 * primary is bad. (Linux uses the backup only when told `gpt`; sfdisk always does.)
 *
 * @module
 */
import {
  GPT_HEADER_SIGNATURE,
  GPT_PRIMARY_PARTITION_TABLE_LBA,
  GptEntry,
  GptHeader,
} from "../format/gpt.ts";
import { crc32 } from "../lib/crc32.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { type Decoded, decode, sizeof } from "../lib/struct.ts";
import { formatGuid } from "../lib/uuid.ts";
import { type BlockDevice, SECTOR_SIZE } from "./block-device.ts";
import type { PartitionEntry, PartitionTable } from "./partition-table.ts";

/** Bytes of entries that are read at most: what Linux is willing to allocate. */
const MAX_ENTRY_BYTES = 4 << 20;

type Header = Decoded<typeof GptHeader>;

/** A header that passed every check, and its entries. */
interface Table {
  readonly header: Header;
  readonly entries: DataView;
}

/**
 * The table of a disk whose block 0 has a protective entry.
 * @throws EUCLEAN or EBADMSG naming what is wrong with the primary when the backup is bad too, EIO
 *   when neither can be read
 */
export function readGpt(device: BlockDevice): PartitionTable {
  const blockSize = device.limits.logicalBlockSize;
  const lastLba = Math.floor((device.sectors * SECTOR_SIZE) / blockSize) - 1;
  const primary = attempt(device, GPT_PRIMARY_PARTITION_TABLE_LBA, lastLba);
  if (!(primary instanceof DaxError)) return tableOf(primary, "primary", [], blockSize);
  const backup = attempt(device, lastLba, lastLba);
  if (backup instanceof DaxError) throw primary;
  const note = `primary table: ${primary.detail ?? primary.message}; the backup is used`;
  return tableOf(backup, "backup", [note], blockSize);
}

function attempt(device: BlockDevice, lba: number, lastLba: number): Table | DaxError {
  try {
    return readTable(device, lba, lastLba);
  } catch (error) {
    if (isDaxError(error)) return error;
    throw error;
  }
}

function readTable(device: BlockDevice, lba: number, lastLba: number): Table {
  const blockSize = device.limits.logicalBlockSize;
  const block = new Uint8Array(blockSize);
  device.read((lba * blockSize) / SECTOR_SIZE, block);
  const header = decode(GptHeader, viewOf(block));
  checkHeader(device, header, block, lba, lastLba);
  const bytes = header.numPartitionEntries * header.sizeofPartitionEntry;
  const entries = new Uint8Array(Math.ceil(bytes / blockSize) * blockSize);
  device.read((header.partitionEntryLba * blockSize) / SECTOR_SIZE, entries);
  const crc = crc32(entries.subarray(0, bytes));
  if (crc !== header.partitionEntryArrayCrc32) {
    throw bad(device, "EBADMSG", lba, `partition_entry_array_crc32 is ${hex(crc)}`, [
      hex(header.partitionEntryArrayCrc32),
    ]);
  }
  return { header, entries: new DataView(entries.buffer, 0, bytes) };
}

function checkHeader(
  device: BlockDevice,
  header: Header,
  block: Uint8Array,
  lba: number,
  lastLba: number,
): void {
  const is = (name: string, value: unknown, ...wanted: readonly unknown[]): DaxError =>
    bad(device, "EUCLEAN", lba, `${name} is ${String(value)}`, wanted);
  const signature = String.fromCharCode(...header.signature);
  if (signature !== GPT_HEADER_SIGNATURE) {
    throw is("signature", `"${signature.replaceAll(/[^ -~]/gu, ".")}"`, GPT_HEADER_SIGNATURE);
  }
  const { headerSize } = header;
  if (headerSize < sizeof(GptHeader) || headerSize > block.length) {
    throw is("header_size", headerSize, `${sizeof(GptHeader)} to ${block.length}`);
  }
  const copy = block.slice(0, headerSize);
  viewOf(copy).setUint32(GptHeader.headerCrc32.offset, 0);
  const crc = crc32(copy);
  if (crc !== header.headerCrc32) {
    throw bad(device, "EBADMSG", lba, `header_crc32 is ${hex(crc)}`, [hex(header.headerCrc32)]);
  }
  if (header.myLba !== lba) throw is("my_lba", header.myLba, lba);
  if (header.firstUsableLba > lastLba) {
    throw is("first_usable_lba", header.firstUsableLba, `at most ${lastLba}`);
  }
  if (header.lastUsableLba > lastLba || header.lastUsableLba < header.firstUsableLba) {
    throw is("last_usable_lba", header.lastUsableLba, `${header.firstUsableLba} to ${lastLba}`);
  }
  checkArray(is, header, block.length, lastLba);
}

/** The place of the entries, before anything is allocated for them. */
function checkArray(
  is: (name: string, value: unknown, ...wanted: readonly unknown[]) => DaxError,
  header: Header,
  blockSize: number,
  lastLba: number,
): void {
  if (header.sizeofPartitionEntry !== sizeof(GptEntry)) {
    throw is("sizeof_partition_entry", header.sizeofPartitionEntry, sizeof(GptEntry));
  }
  const bytes = header.numPartitionEntries * sizeof(GptEntry);
  if (bytes > MAX_ENTRY_BYTES) {
    throw is(
      "num_partition_entries",
      header.numPartitionEntries,
      `${MAX_ENTRY_BYTES / 128} or less`,
    );
  }
  const blocks = Math.ceil(bytes / blockSize);
  const first = header.partitionEntryLba;
  if (!Number.isSafeInteger(first) || first + blocks > lastLba + 1) {
    throw is("partition_entry_lba", first, `${blocks} blocks in a disk of ${lastLba + 1}`);
  }
}

function tableOf(
  table: Table,
  from: "primary" | "backup",
  notes: string[],
  blockSize: number,
): PartitionTable {
  const { header, entries } = table;
  const scale = blockSize / SECTOR_SIZE;
  const found: PartitionEntry[] = [];
  for (let i = 0; i < header.numPartitionEntries; i++) {
    const base = i * sizeof(GptEntry);
    const type = GptEntry.partitionTypeGuid.get(entries, base);
    if (type.every((byte) => byte === 0)) continue;
    const entry = decode(GptEntry, entries, base);
    const { startingLba, endingLba } = entry;
    const index = i + 1;
    if (!Number.isSafeInteger(endingLba * scale) || endingLba < startingLba) {
      notes.push(`entry ${index}: blocks ${startingLba} to ${endingLba} are no range; skipped`);
      continue;
    }
    found.push({
      index,
      start: startingLba * scale,
      sectors: (endingLba - startingLba + 1) * scale,
      type: formatGuid(type),
      uuid: formatGuid(entry.uniquePartitionGuid),
      name: utf16(entry.partitionName),
      // Legacy BIOS bootable: bit 2 of the attributes.
      bootable: (entry.attributesLo & 4) !== 0,
      container: false,
    });
  }
  return { label: "gpt", id: formatGuid(header.diskGuid), from, entries: found, notes };
}

function utf16(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const unit = (bytes[i] as number) | ((bytes[i + 1] as number) << 8);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

function bad(
  device: BlockDevice,
  code: "EUCLEAN" | "EBADMSG",
  lba: number,
  seen: string,
  wanted: readonly unknown[],
): DaxError {
  return new DaxError(code, {
    syscall: "partitions",
    path: device.name,
    detail: `GPT header at block ${lba}: ${seen}, expected ${wanted.join(" ")}`,
  });
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
