/**
 * Device numbers in 32 bits, as the kernel packs them (`new_encode_dev`, `new_decode_dev`).
 *
 * @module
 */
import { majorOf, makedev, minorOf } from "../vfs/modes.ts";

/** From Linux's 64-bit `makedev`. */
export function encodeDevice(rdev: number): number {
  const minor = minorOf(rdev);
  return ((minor & 0xff) | (majorOf(rdev) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** To Linux's 64-bit `makedev`. */
export function decodeDevice(word: number): number {
  return makedev((word >>> 8) & 0xfff, (word & 0xff) | ((word >>> 12) & 0xfff00));
}
