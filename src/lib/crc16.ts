/**
 * crc16 (reflected 0xA001) in its raw form: no inversion at the end, as ext4's descriptors use it.
 *
 * @module
 */

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  return crc;
});

/** Continues `seed` over `bytes`; "123456789" started with 0xffff gives 4b37 (CRC-16/MODBUS). */
export function crc16(seed: number, bytes: Uint8Array): number {
  let crc = seed;
  for (const byte of bytes) crc = (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return crc;
}
