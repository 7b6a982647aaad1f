/**
 * Random damage: bits, runs of bytes, and nasty values in the fields of known structures, which are
 * described by the `struct()` definitions of `src/format`.
 */
import type { Prng } from "../../src/lib/prng.ts";
import { type Fields, shapeOf } from "../../src/lib/struct.ts";
import type { PatchedBytes } from "./patched-bytes.ts";

/** A structure inside bytes that are damaged. */
export interface Structure {
  /** `inode 12`; the words without digits are its kind. */
  readonly name: string;
  /** Byte at which it starts. */
  readonly start: number;
  readonly length: number;
  /** What it is made of, from `start`. */
  readonly parts: readonly Part[];
  /** Makes its checksum right again, if it has one. */
  seal?(): void;
}

/** Fields at a place of a structure. */
export interface Part {
  readonly at: number;
  readonly fields: Fields;
}

/** Numbers that mean something in the damaged bytes: sizes, counts, blocks of structures. */
export type Palette = readonly number[];

/** Structures by kind, so that the kinds are equally likely however many there are of each. */
export class StructurePool {
  readonly #kinds: readonly (readonly Structure[])[];

  constructor(structures: readonly Structure[]) {
    const kinds = new Map<string, Structure[]>();
    for (const structure of structures) {
      const kind = structure.name.replaceAll(/\d+/gu, "");
      const known = kinds.get(kind);
      if (known === undefined) kinds.set(kind, [structure]);
      else known.push(structure);
    }
    this.#kinds = [...kinds.values()];
  }

  pick(prng: Prng): Structure {
    return prng.pick(prng.pick(this.#kinds));
  }
}

const LIMITS = [0, 1, 2, 3, 4, 7, 8, 11, 12, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 65_535];

/** The borders at which widths, signs and doubles end. */
const BORDERS = [2 ** 15, 2 ** 16, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 44, 2 ** 48, 2 ** 53, 2 ** 63];

/**
 * A number that has broken readers before, for a field of `bits` bits that holds `old` now: limits
 * and their neighbours, numbers that mean something elsewhere, and small changes.
 */
export function nastyNumber(prng: Prng, bits: number, old: bigint, palette: Palette): bigint {
  const most = (1n << BigInt(bits)) - 1n;
  const near = BigInt(prng.below(5) - 2);
  switch (prng.below(7)) {
    case 0:
      return BigInt(prng.pick(LIMITS));
    case 1:
      return BigInt.asUintN(bits, BigInt(prng.pick(BORDERS)) + near);
    case 2:
      return BigInt.asUintN(bits, most - BigInt(prng.below(3)));
    case 3:
      return BigInt.asUintN(bits, old + near * (prng.below(2) === 0 ? 1n : 4n));
    case 4:
      return old ^ (1n << BigInt(prng.below(bits)));
    case 5:
      return BigInt.asUintN(bits, (BigInt(prng.u32()) << 32n) | BigInt(prng.u32()));
    default:
      if (palette.length === 0) return old + 1n;
      return BigInt.asUintN(bits, BigInt(prng.pick(palette)) + (prng.below(3) === 0 ? near : 0n));
  }
}

/** Bytes and byte order of a field's kind; undefined for runs of bytes. */
function numberShape(kind: string): { size: number; little: boolean } | undefined {
  const match = /^(?:u8|(?<order>le|be)(?<bits>16|32|64))$/u.exec(kind);
  if (match === null) return undefined;
  return {
    size: Number(match.groups?.["bits"] ?? 8) / 8,
    little: match.groups?.["order"] !== "be",
  };
}

function numberAt(bytes: Uint8Array, at: number, size: number, little: boolean): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) {
    const byte = bytes[at + (little ? size - 1 - i : i)] ?? 0;
    value = (value << 8n) | BigInt(byte);
  }
  return value;
}

function bytesOf(value: bigint, size: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    const shift = BigInt(8 * (little ? i : size - 1 - i));
    bytes[i] = Number((value >> shift) & 0xffn);
  }
  return bytes;
}

/** Damages a structure once; the text says how. */
export function damage(
  image: PatchedBytes,
  structure: Structure,
  prng: Prng,
  palette: Palette = [],
): string {
  const { name, start, length, parts } = structure;
  const how = prng.below(8);
  if (how >= 3 && parts.length > 0) return damageField(image, structure, prng, palette);
  if (how === 0) {
    const at = start + prng.below(length);
    const bit = prng.below(8);
    image.write(at, Uint8Array.of((image.bytes[at] as number) ^ (1 << bit)));
    return `${name}: bit ${bit} of byte ${at - start}`;
  }
  if (how === 1) return damageRun(image, structure, prng);
  const at = start + (prng.below(length) & ~3);
  const old = numberAt(image.bytes, at, 4, true);
  const value = nastyNumber(prng, 32, old, palette);
  image.write(at, bytesOf(value, 4, true).subarray(0, start + length - at));
  return `${name}: word at ${at - start} := ${value}`;
}

function damageField(
  image: PatchedBytes,
  { name, start, parts }: Structure,
  prng: Prng,
  palette: Palette,
): string {
  const { at, fields } = prng.pick(parts);
  const [field, { kind, offset, size }] = prng.pick(Object.entries(fields));
  const place = start + at + offset;
  const shape = numberShape(kind);
  if (place + size > image.bytes.length) return `${name}: nothing`;
  const whole = `${name}: ${shapeOf(fields)?.name ?? "?"} at ${at}, ${field}`;
  if (shape === undefined) {
    const byte = prng.below(size);
    const value = prng.pick([0, 1, 0x2f, 0x7f, 0x80, 0xff, prng.below(256)]);
    image.write(place + byte, Uint8Array.of(value));
    return `${whole}[${byte}] := ${value}`;
  }
  const old = numberAt(image.bytes, place, shape.size, shape.little);
  const value = nastyNumber(prng, size * 8, old, palette);
  image.write(place, bytesOf(value, size, shape.little));
  return `${whole} := ${value}, was ${old}`;
}

/** A run of equal or random bytes, or one that is copied from elsewhere in the structure. */
function damageRun(image: PatchedBytes, { name, start, length }: Structure, prng: Prng): string {
  const count = 1 + prng.below(Math.min(length, 64));
  const at = start + prng.below(length - count + 1);
  const run = new Uint8Array(count);
  const what = prng.pick(["zeros", "ones", "noise", "copied"] as const);
  if (what === "ones") run.fill(0xff);
  // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- not an array's fill
  if (what === "noise") prng.fill(run);
  if (what === "copied") {
    const from = start + prng.below(length - count + 1);
    run.set(image.bytes.subarray(from, from + count));
  }
  image.write(at, run);
  return `${name}: ${count} bytes of ${what} at ${at - start}`;
}
