/**
 * CRC-32 with the polynomial 04c11db7, most significant bit first, no inversion at either end: what
 * the first kind of journal checksums in ext3 and ext4 (`journal_checksum`) is made of.
 *
 * @module
 */

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc >>> 0;
});

/** Continues `seed` over `bytes`; the result is unsigned. Journals start with `0xffffffff`. */
export function crc32be(seed: number, bytes: Uint8Array): number {
  let crc = seed | 0;
  for (let i = 0; i < bytes.length; i++) {
    crc = (crc << 8) ^ (table[(crc >>> 24) ^ (bytes[i] as number)] as number);
  }
  return crc >>> 0;
}
