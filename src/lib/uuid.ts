/**
 * UUIDs as 16 bytes: in network order (filesystems, BTT, labels) and in the mixed-endian form of
 * EFI and ACPI GUIDs (GPT, NFIT), whose first three groups are little-endian.
 *
 * @module
 */
import { DaxError, assert } from "./errno.ts";

/** Bytes in a uuid. */
export const UUID_SIZE = 16;

/** The uuid of all zeros, which stands for "none" wherever uuids are stored. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

const TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iu;

/** Where byte `i` of the text's order lies in a GUID. */
const MIXED = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/**
 * The 16 bytes of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in the order of the text.
 * @throws EINVAL for any other text
 */
export function parseUuid(text: string): Uint8Array<ArrayBuffer> {
  if (!TEXT.test(text)) {
    const seen = text.length > 64 ? `${text.slice(0, 40)}…` : text;
    throw new DaxError("EINVAL", {
      detail: `"${seen}" is no uuid; it takes 32 hexadecimal digits as 8-4-4-4-12`,
    });
  }
  const digits = text.replaceAll("-", "");
  return Uint8Array.from({ length: UUID_SIZE }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

/** Lower-case text of the 16 bytes at `at`. */
export function formatUuid(bytes: Uint8Array, at = 0): string {
  assert(at >= 0 && at + UUID_SIZE <= bytes.length, "formatUuid: fewer than 16 bytes");
  let text = "";
  for (let i = 0; i < UUID_SIZE; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
    text += (bytes[at + i] as number).toString(16).padStart(2, "0");
  }
  return text;
}

/** As {@link parseUuid}, into the mixed-endian form of a GUID. @throws EINVAL */
export function parseGuid(text: string): Uint8Array<ArrayBuffer> {
  return mix(parseUuid(text), 0);
}

/** As {@link formatUuid}, from the mixed-endian form of a GUID. */
export function formatGuid(bytes: Uint8Array, at = 0): string {
  assert(at >= 0 && at + UUID_SIZE <= bytes.length, "formatGuid: fewer than 16 bytes");
  return formatUuid(mix(bytes, at));
}

/** The permutation is its own inverse. */
function mix(bytes: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(MIXED, (from) => bytes[at + from] as number);
}

/** A version 4 uuid from the given source: the same source, the same uuid. */
export function randomUuid(random: { fill(target: Uint8Array): void }): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(UUID_SIZE);
  // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- not an array's fill
  random.fill(bytes);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes;
}

/** True when all 16 bytes at `at` are zero. */
export function isNilUuid(bytes: Uint8Array, at = 0): boolean {
  return bytes.subarray(at, at + UUID_SIZE).every((byte) => byte === 0);
}
