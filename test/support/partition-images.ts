/** Partition tables made by hand, byte by byte, from the formats' descriptions. */
import { crc32 } from "node:zlib";

/** One entry of an MBR or of a link of an extended chain. */
export interface HandEntry {
  readonly type: number;
  readonly start: number;
  readonly sectors: number;
  readonly active?: boolean;
}

/** Writes four entries and the signature into a sector. */
export function writeMbr(image: Uint8Array, sector: number, entries: readonly HandEntry[]): void {
  const view = new DataView(image.buffer, image.byteOffset + sector * 512, 512);
  for (const [i, { type, start, sectors, active = false }] of entries.entries()) {
    const at = 446 + 16 * i;
    view.setUint8(at, active ? 0x80 : 0);
    view.setUint8(at + 4, type);
    view.setUint32(at + 8, start, true);
    view.setUint32(at + 12, sectors, true);
  }
  view.setUint16(510, 0xaa55, true);
}

/** A disk of `sectors` sectors with an MBR: identifier 1a2b3c4d. */
export function mbrImage(sectors: number, entries: readonly HandEntry[]): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(sectors * 512);
  new DataView(image.buffer).setUint32(440, 0x1a2b3c4d, true);
  writeMbr(image, 0, entries);
  return image;
}

/** A GPT entry. */
export interface HandGptEntry {
  /** From 1. */
  readonly index: number;
  readonly first: number;
  readonly last: number;
  readonly name?: string;
}

/** What may be bent in a GPT header; the checksums stay right. */
export interface HandGpt {
  readonly blockSize?: number;
  readonly entryCount?: number;
  readonly entrySize?: number;
  readonly headerSize?: number;
  readonly myLba?: number;
  readonly entryLba?: number;
  readonly firstUsable?: number;
  readonly lastUsable?: number;
}

/** `0fc63daf-8483-4772-8e79-3d69d8477de4`, Linux data, as it lies on the media. */
const LINUX_DATA = "af3dc60f838472478e793d69d8477de4";
/** `11223344-5566-7788-99aa-bbccddeeff00` as it lies on the media. */
const DISK = "443322116655887799aabbccddeeff00";

function hex(image: Uint8Array, at: number, digits: string): void {
  image.set(Buffer.from(digits, "hex"), at);
}

/** Writes a header, with its entries where it says, into block `lba`. */
export function writeGptHeader(
  image: Uint8Array,
  lba: number,
  entries: readonly HandGptEntry[],
  bent: HandGpt = {},
): void {
  const { blockSize = 512, entryCount = 128, entrySize = 128, headerSize = 92 } = bent;
  const last = image.length / blockSize - 1;
  const primary = lba === 1;
  const fitting = entryCount > 1024 ? 128 : Math.max(128, entryCount);
  const array = Math.ceil((fitting * 128) / blockSize);
  const entryLba = bent.entryLba ?? (primary ? 2 : last - array);
  const view = new DataView(image.buffer, image.byteOffset);
  for (const { index, first, last: end, name = "" } of entries) {
    const at = entryLba * blockSize + (index - 1) * 128;
    hex(image, at, LINUX_DATA);
    hex(image, at + 16, `${index.toString(16).padStart(2, "0")}${"00".repeat(15)}`);
    view.setBigUint64(at + 32, BigInt(first), true);
    view.setBigUint64(at + 40, BigInt(end), true);
    image.set(Buffer.from(name, "utf16le"), at + 56);
  }
  const from = entryLba * blockSize;
  const bytes = image.subarray(from, from + Math.min(entryCount, 1024) * 128);
  const at = lba * blockSize;
  image.set(Buffer.from("EFI PART"), at);
  view.setUint32(at + 8, 0x10000, true);
  view.setUint32(at + 12, headerSize, true);
  view.setUint32(at + 16, 0, true);
  view.setBigUint64(at + 24, BigInt(bent.myLba ?? lba), true);
  view.setBigUint64(at + 32, BigInt(primary ? last : 1), true);
  view.setBigUint64(at + 40, BigInt(bent.firstUsable ?? array + 2), true);
  view.setBigUint64(at + 48, BigInt(bent.lastUsable ?? last - array - 1), true);
  hex(image, at + 56, DISK);
  view.setBigUint64(at + 72, BigInt(entryLba), true);
  view.setUint32(at + 80, entryCount, true);
  view.setUint32(at + 84, entrySize, true);
  view.setUint32(at + 88, crc32(bytes), true);
  view.setUint32(at + 16, crc32(image.subarray(at, at + Math.min(headerSize, blockSize))), true);
}

/** A disk with a protective MBR, both headers and both arrays. */
export function gptImage(
  sectors: number,
  entries: readonly HandGptEntry[],
  bent: HandGpt = {},
): Uint8Array<ArrayBuffer> {
  const { blockSize = 512 } = bent;
  const image = new Uint8Array(sectors * 512);
  const blocks = image.length / blockSize;
  writeMbr(image, 0, [{ type: 0xee, start: 1, sectors: blocks - 1 }]);
  const backup: HandGpt = { ...bent };
  writeGptHeader(image, 1, entries, bent);
  delete (backup as { entryLba?: number }).entryLba;
  writeGptHeader(image, blocks - 1, entries, backup);
  return image;
}
