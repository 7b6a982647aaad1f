/**
 * What a file is when it is no filesystem that is read here: the containers that images are handed
 * around in, by their first bytes, and what makes an image of them; or an ext filesystem that has
 * lost its first superblock.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import { readBytesBySector } from "../block/request.ts";
import { EXT4_SUPER_MAGIC, Ext4SuperBlock as SB } from "../format/ext-superblock.ts";
import { isDaxError } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";

/** First bytes in hexadecimal, what they begin, and what to do with it. */
const BEGINNINGS: readonly (readonly [bytes: string, kind: string, advice: string])[] = [
  ["1f8b", "a gzip file", "unpack it with gunzip -k"],
  ["fd377a585a00", "an xz file", "unpack it with xz -dk"],
  ["28b52ffd", "a Zstandard file", "unpack it with zstd -d"],
  ["425a68", "a bzip2 file", "unpack it with bunzip2 -k"],
  ["504b0304", "a zip file", "unpack it with unzip"],
  ["514649fb", "a qcow2 image", "convert it with qemu-img convert -O raw"],
  ["4b444d56", "a VMDK image", "convert it with qemu-img convert -O raw"],
  ["7668647866696c65", "a VHDX image", "convert it with qemu-img convert -O raw"],
  ["3aff26ed", "an Android sparse image", "convert it with simg2img"],
  ["58465342", "an XFS filesystem", "XFS is not read yet"],
  ["68737173", "a SquashFS filesystem", "SquashFS is not read"],
];

/** As long as the longest beginning. */
const LONGEST = 8;

/** `it looks like a gzip file: unpack it with gunzip -k`, if it does. */
export function foreignHint(device: BlockDevice): string | undefined {
  const start = bytesAt(device, 0, LONGEST);
  if (start === undefined) return undefined;
  const hex = Array.from(start, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const found = BEGINNINGS.find(([bytes]) => hex.startsWith(bytes));
  return found === undefined ? undefined : `it looks like ${found[1]}: ${found[2]}`;
}

/** Bytes of a block, and where the first copy of the superblock is: behind a full group. */
const COPIES: readonly (readonly [blockSize: number, block: number])[] = [
  [1024, 8193],
  [2048, 16_384],
  [4096, 32_768],
];

/** How to get a filesystem back whose superblock was overwritten, if it has another one. */
export function copyHint(device: BlockDevice): string | undefined {
  const found = COPIES.find(([blockSize, block]) => isCopy(device, blockSize, block));
  if (found === undefined) return undefined;
  const [blockSize, block] = found;
  return (
    `the superblock is gone, but block ${block} holds a copy: ` +
    `e2fsck -b ${block} -B ${blockSize}, on a copy of the image, repairs it`
  );
}

function isCopy(device: BlockDevice, blockSize: number, block: number): boolean {
  const bytes = bytesAt(device, blockSize * block, sizeof(SB));
  if (bytes === undefined) return false;
  const view = new DataView(bytes.buffer);
  return (
    SB.magic.get(view, 0) === EXT4_SUPER_MAGIC &&
    SB.blockGroupNr.get(view, 0) === 1 &&
    1024 << SB.logBlockSize.get(view, 0) === blockSize
  );
}

/** Undefined where the device ends before that, or cannot be read. */
function bytesAt(
  device: BlockDevice,
  offset: number,
  length: number,
): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(length);
  try {
    readBytesBySector(device, offset, bytes);
    return bytes;
  } catch (error) {
    if (isDaxError(error)) return undefined;
    throw error;
  }
}
