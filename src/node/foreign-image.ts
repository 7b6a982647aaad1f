/**
 * What a file is when it is no filesystem that is read here: the containers that images are handed
 * around in, by their first bytes, and what makes an image of them.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import { readBytesBySector } from "../block/request.ts";
import { isDaxError } from "../lib/errno.ts";

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
  const start = new Uint8Array(LONGEST);
  try {
    readBytesBySector(device, 0, start);
  } catch (error) {
    if (isDaxError(error)) return undefined;
    throw error;
  }
  const hex = Array.from(start, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const found = BEGINNINGS.find(([bytes]) => hex.startsWith(bytes));
  return found === undefined ? undefined : `it looks like ${found[1]}: ${found[2]}`;
}
