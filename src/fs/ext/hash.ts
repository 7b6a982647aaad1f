/**
 * The hashes that order names in a directory's hash tree: the legacy one, half of MD4, and TEA,
 * each over bytes taken as signed or as unsigned.
 *
 * @module
 */
import {
  DX_HASH_HALF_MD4,
  DX_HASH_LEGACY,
  DX_HASH_LEGACY_UNSIGNED,
  DX_HASH_TEA,
} from "../../format/ext-directory.ts";

/** Where a name stands in the tree: by `hash` (always even), then by `minor`. */
export interface NameHash {
  readonly hash: number;
  readonly minor: number;
}

type Four = readonly [number, number, number, number];

const INITIAL: Four = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/**
 * Hashes `name`; `version` is one of `DX_HASH_LEGACY` to `DX_HASH_TEA_UNSIGNED`. A seed of zeros
 * stands for MD4's own initial state. Undefined for any other version.
 */
export function hashName(name: Uint8Array, version: number, seed: Four): NameHash | undefined {
  const unsigned = version >= DX_HASH_LEGACY_UNSIGNED;
  const kind = unsigned ? version - DX_HASH_LEGACY_UNSIGNED : version;
  const [a, b, c, d] = seed;
  const state = (a | b | c | d) === 0 ? INITIAL : seed;
  if (kind === DX_HASH_LEGACY) return finish(legacy(name, unsigned), 0);
  if (kind === DX_HASH_HALF_MD4) return halfMd4(name, unsigned, state);
  if (kind === DX_HASH_TEA) return tea(name, unsigned, state);
  return undefined;
}

/** Bit 0 marks continuation in the index, and the greatest even value stands for the end. */
function finish(hash: number, minor: number): NameHash {
  const even = (hash & ~1) >>> 0;
  return { hash: even === 0xffff_fffe ? 0xffff_fffc : even, minor: minor >>> 0 };
}

function byteAt(name: Uint8Array, i: number, unsigned: boolean): number {
  const byte = name[i] as number;
  return unsigned || byte < 0x80 ? byte : byte - 0x100;
}

function legacy(name: Uint8Array, unsigned: boolean): number {
  let h0 = 0x12a3fe2d;
  let h1 = 0x37abe8f9;
  for (let i = 0; i < name.length; i++) {
    let h = (h1 + (h0 ^ Math.imul(byteAt(name, i, unsigned), 7152373))) >>> 0;
    if (h >= 0x8000_0000) h -= 0x7fff_ffff;
    h1 = h0;
    h0 = h;
  }
  return (h0 << 1) >>> 0;
}

/** Packs the bytes from `start` into `words`, padding with the number of bytes that are left. */
function pack(name: Uint8Array, start: number, unsigned: boolean, words: Int32Array): void {
  const left = name.length - start;
  const twice = left | (left << 8);
  const pad = twice | (twice << 16);
  const bytes = Math.min(left, words.length * 4);
  words.fill(pad);
  let word = pad;
  for (let i = 0; i < bytes; i++) {
    word = (byteAt(name, start + i, unsigned) + (word << 8)) | 0;
    words[i >> 2] = word;
    if ((i & 3) === 3) word = pad;
  }
}

/** What each of the three rounds adds. */
const CONSTANTS = Int32Array.of(0, 0x5a827999, 0x6ed9eba1);
/** By how much its steps turn, four to a round. */
const SHIFTS = Uint8Array.of(3, 7, 11, 19, 3, 5, 9, 13, 3, 9, 11, 15);
/** Which word each step takes, eight to a round. */
const ORDER = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 1, 3, 5, 7, 0, 2, 4, 6, 3, 7, 2, 6, 1, 5, 0, 4);
const STEPS = 24;
/** The part of a name that is hashed; nothing stays in it. */
const words = new Int32Array(8);

function mix(round: number, x: number, y: number, z: number): number {
  if (round === 0) return z ^ (x & (y ^ z));
  if (round === 1) return (x & y) + ((x ^ y) & z);
  return x ^ y ^ z;
}

/** Every name of a directory is hashed to list it: this makes no objects on its way. */
function halfMd4(name: Uint8Array, unsigned: boolean, seed: Four): NameHash {
  let a0 = seed[0] | 0;
  let b0 = seed[1] | 0;
  let c0 = seed[2] | 0;
  let d0 = seed[3] | 0;
  for (let start = 0; start < name.length; start += 32) {
    pack(name, start, unsigned, words);
    let a = a0;
    let b = b0;
    let c = c0;
    let d = d0;
    for (let step = 0; step < STEPS; step++) {
      const round = step >> 3;
      const word = words[ORDER[step] as number] as number;
      const sum = (a + mix(round, b, c, d) + word + (CONSTANTS[round] as number)) | 0;
      const shift = SHIFTS[(round << 2) | (step & 3)] as number;
      a = d;
      d = c;
      c = b;
      b = (sum << shift) | (sum >>> (32 - shift));
    }
    a0 = (a0 + a) | 0;
    b0 = (b0 + b) | 0;
    c0 = (c0 + c) | 0;
    d0 = (d0 + d) | 0;
  }
  return finish(b0, c0);
}

function tea(name: Uint8Array, unsigned: boolean, seed: Four): NameHash {
  const key = new Int32Array(4);
  let [y0, z0] = seed;
  for (let start = 0; start < name.length; start += 16) {
    pack(name, start, unsigned, key);
    const [k0, k1, k2, k3] = key as unknown as Four;
    let y = y0 | 0;
    let z = z0 | 0;
    let sum = 0;
    for (let round = 0; round < 16; round++) {
      sum = (sum + 0x9e3779b9) | 0;
      y = (y + (((z << 4) + k0) ^ (z + sum) ^ ((z >>> 5) + k1))) | 0;
      z = (z + (((y << 4) + k2) ^ (y + sum) ^ ((y >>> 5) + k3))) | 0;
    }
    y0 = (y0 + y) | 0;
    z0 = (z0 + z) | 0;
  }
  return finish(y0, z0);
}
