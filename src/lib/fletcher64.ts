/**
 * Fletcher's checksum over little-endian words of 32 bits, as libnvdimm seals its blocks.
 *
 * @module
 */
import { assert } from "./errno.ts";

const TWO_32 = 0x1_0000_0000;

/** The sum of whole words; both halves wrap at 2^32. */
export function fletcher64(bytes: Uint8Array): bigint {
  assert(bytes.length % 4 === 0, () => `${bytes.length} bytes are not whole words`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let low = 0;
  let high = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    low = (low + view.getUint32(at, true)) % TWO_32;
    high = (high + low) % TWO_32;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}
