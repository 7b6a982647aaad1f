/**
 * crc32c (Castagnoli, reflected 0x82F63B78) in its raw form: no inversion at either end, because
 * ext4 and jbd2 do not invert at the end and XFS does. Slicing by eight.
 *
 * @module
 */

const tables = makeTables();

function makeTables(): Uint32Array[] {
  const first = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    first[byte] = crc;
  }
  const all = [first];
  for (let k = 1; k < 8; k++) {
    const previous = all[k - 1] as Uint32Array;
    all.push(Uint32Array.from(previous, (crc) => (first[crc & 0xff] as number) ^ (crc >>> 8)));
  }
  return all;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = tables as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/**
 * Continues `seed` over `bytes`; the result is unsigned. Start ext4 checksums with `0xffffffff`.
 * The common presentation ("123456789" gives e3069283) is `~crc32c(0xffffffff, bytes) >>> 0`.
 */
export function crc32c(seed: number, bytes: Uint8Array): number {
  let crc = seed | 0;
  const length = bytes.length;
  let i = 0;
  for (const body = length - 7; i < body; i += 8) {
    crc ^= word(bytes, i);
    const high = word(bytes, i + 4);
    crc =
      (T7[crc & 0xff] as number) ^
      (T6[(crc >>> 8) & 0xff] as number) ^
      (T5[(crc >>> 16) & 0xff] as number) ^
      (T4[crc >>> 24] as number) ^
      (T3[high & 0xff] as number) ^
      (T2[(high >>> 8) & 0xff] as number) ^
      (T1[(high >>> 16) & 0xff] as number) ^
      (T0[high >>> 24] as number);
  }
  for (; i < length; i++) {
    crc = (T0[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return crc >>> 0;
}

function word(bytes: Uint8Array, i: number): number {
  return (
    (bytes[i] as number) |
    ((bytes[i + 1] as number) << 8) |
    ((bytes[i + 2] as number) << 16) |
    ((bytes[i + 3] as number) << 24)
  );
}

/** Continues `seed` over one little-endian 32-bit word. */
export function crc32cLe32(seed: number, value: number): number {
  let crc = seed | 0;
  for (let shift = 0; shift < 32; shift += 8) {
    crc = (T0[(crc ^ (value >>> shift)) & 0xff] as number) ^ (crc >>> 8);
  }
  return crc >>> 0;
}
