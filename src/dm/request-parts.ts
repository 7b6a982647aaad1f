/**
 * How a request is cut into parts that one target takes at once.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import type { Placed } from "./table.ts";

/** How many of `sectors` sectors from sector `from` of a target it takes in one request. */
export function runOf({ target, length }: Placed, from: number, sectors: number): number {
  const most = Math.min(sectors, length - from);
  const { maxIoLength } = target;
  return maxIoLength === undefined ? most : Math.min(most, maxIoLength - (from % maxIoLength));
}

/** As {@link runOf}, in bytes. */
export function byteRun({ target, length }: Placed, from: number, bytes: number): number {
  const most = Math.min(bytes, length * SECTOR_SIZE - from);
  const { maxIoLength } = target;
  if (maxIoLength === undefined) return most;
  const limit = maxIoLength * SECTOR_SIZE;
  return Math.min(most, limit - (from % limit));
}

/** Some of the bytes; themselves, if it is all of them. */
export function part(bytes: Uint8Array, start: number, length: number): Uint8Array {
  return start === 0 && length === bytes.length ? bytes : bytes.subarray(start, start + length);
}
