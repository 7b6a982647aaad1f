/**
 * Directory hashes. The vectors are what `debugfs -R "dx_hash -h VERSION [-s SEED] NAME"` printed,
 * of e2fsprogs 1.47.0; versions 3 to 5 are the unsigned ones.
 */
import { expect, test } from "vitest";
import { hashName } from "../../src/fs/ext/hash.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";

type Vector = readonly [name: string, hashes: readonly (readonly [hash: number, minor: number])[]];

/** Versions 0 to 5 for each name. */
const UNSEEDED: readonly Vector[] = [
  [
    "a",
    [
      [0xe74b53e2, 0x0],
      [0xd5fa7d7a, 0xacb48187],
      [0x6d0ea4c0, 0xc18922df],
      [0xe74b53e2, 0x0],
      [0xd5fa7d7a, 0xacb48187],
      [0x6d0ea4c0, 0xc18922df],
    ],
  ],
  [
    "abc",
    [
      [0x75afd992, 0x0],
      [0xd196a868, 0xc420eb28],
      [0xb1435ec4, 0x3f7eaa0e],
      [0x75afd992, 0x0],
      [0xd196a868, 0xc420eb28],
      [0xb1435ec4, 0x3f7eaa0e],
    ],
  ],
  [
    "abcd",
    [
      [0xfafa23ca, 0x0],
      [0xad7557a8, 0xb1da437c],
      [0x5a24112e, 0x95442076],
      [0xfafa23ca, 0x0],
      [0xad7557a8, 0xb1da437c],
      [0x5a24112e, 0x95442076],
    ],
  ],
  [
    "lost+found",
    [
      [0x5e2aba24, 0x0],
      [0x591de422, 0x6ffc56e0],
      [0x2dbf9e80, 0xbfebee4f],
      [0x5e2aba24, 0x0],
      [0x591de422, 0x6ffc56e0],
      [0x2dbf9e80, 0xbfebee4f],
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    [
      [0xa365191c, 0x0],
      [0x415798c2, 0xe25911d8],
      [0x85384aa4, 0x3bd016f2],
      [0xa365191c, 0x0],
      [0x415798c2, 0xe25911d8],
      [0x85384aa4, 0x3bd016f2],
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    [
      [0xccf8e87c, 0x0],
      [0xae38ae70, 0x439dc1ad],
      [0x4235b328, 0xaa22efb7],
      [0xccf8e87c, 0x0],
      [0xae38ae70, 0x439dc1ad],
      [0x4235b328, 0xaa22efb7],
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    [
      [0x4e0d46ea, 0x0],
      [0xebd0861e, 0x1d9af8b6],
      [0xaeca7924, 0xf8af0104],
      [0x4e0d46ea, 0x0],
      [0xebd0861e, 0x1d9af8b6],
      [0xaeca7924, 0xf8af0104],
    ],
  ],
  [
    "entry_with_a_name_599",
    [
      [0x8bf3cafa, 0x0],
      [0x42b5b9d8, 0x9f5add94],
      [0x3eb4703a, 0x8edc5949],
      [0x8bf3cafa, 0x0],
      [0x42b5b9d8, 0x9f5add94],
      [0x3eb4703a, 0x8edc5949],
    ],
  ],
  [
    "café",
    [
      [0x96ca5a2c, 0x0],
      [0xfb9c5e5c, 0x573e8b8],
      [0x105842ea, 0xfb9165ca],
      [0x6dde4230, 0x0],
      [0x9d72aed6, 0xf6138c6a],
      [0x6621f032, 0xf86699c6],
    ],
  ],
  [
    "üÿ☃𝄞",
    [
      [0x6dd3cd54, 0x0],
      [0x220ca6ee, 0xc24da04e],
      [0xd74360ba, 0x3b00e133],
      [0x35e74e42, 0x0],
      [0xfd28ffd6, 0x2bd22bc6],
      [0x5ae63d0e, 0x703731c],
    ],
  ],
  [
    `${"m".repeat(100)}${"é".repeat(40)}`,
    [
      [0xe35e6e20, 0x0],
      [0x7b046f46, 0x82d93490],
      [0xfb85f186, 0x9793d6cb],
      [0x19e5f18a, 0x0],
      [0x239b568, 0x580d3edb],
      [0x9a4b4a32, 0x22d43d37],
    ],
  ],
];

/** Versions 0 to 5 for each name. */
const SEEDED: readonly Vector[] = [
  [
    "a",
    [
      [0xe74b53e2, 0x0],
      [0x73bfb0a, 0x7446406e],
      [0xc3d656bc, 0x334f477f],
      [0xe74b53e2, 0x0],
      [0x73bfb0a, 0x7446406e],
      [0xc3d656bc, 0x334f477f],
    ],
  ],
  [
    "abc",
    [
      [0x75afd992, 0x0],
      [0xcd5d2ab6, 0xebb4fe1c],
      [0x4c01556, 0xc301c185],
      [0x75afd992, 0x0],
      [0xcd5d2ab6, 0xebb4fe1c],
      [0x4c01556, 0xc301c185],
    ],
  ],
  [
    "abcd",
    [
      [0xfafa23ca, 0x0],
      [0x6eeab1fa, 0x691ce848],
      [0x49c70602, 0x85b70e2f],
      [0xfafa23ca, 0x0],
      [0x6eeab1fa, 0x691ce848],
      [0x49c70602, 0x85b70e2f],
    ],
  ],
  [
    "lost+found",
    [
      [0x5e2aba24, 0x0],
      [0xcc868838, 0x976aad2b],
      [0xdce8025a, 0x4be0dc15],
      [0x5e2aba24, 0x0],
      [0xcc868838, 0x976aad2b],
      [0xdce8025a, 0x4be0dc15],
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    [
      [0xa365191c, 0x0],
      [0xf492e7a, 0xcfda0b72],
      [0x65c8e67e, 0x16490c6],
      [0xa365191c, 0x0],
      [0xf492e7a, 0xcfda0b72],
      [0x65c8e67e, 0x16490c6],
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    [
      [0xccf8e87c, 0x0],
      [0x4bde3f66, 0xcc1fb6fa],
      [0x5309c54c, 0xe8bd16db],
      [0xccf8e87c, 0x0],
      [0x4bde3f66, 0xcc1fb6fa],
      [0x5309c54c, 0xe8bd16db],
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    [
      [0x4e0d46ea, 0x0],
      [0x8a342b5c, 0xb6a26616],
      [0x9993abb6, 0xb077d7a6],
      [0x4e0d46ea, 0x0],
      [0x8a342b5c, 0xb6a26616],
      [0x9993abb6, 0xb077d7a6],
    ],
  ],
  [
    "entry_with_a_name_599",
    [
      [0x8bf3cafa, 0x0],
      [0x764da0d8, 0xf1b07864],
      [0xd0051262, 0x207ff8a8],
      [0x8bf3cafa, 0x0],
      [0x764da0d8, 0xf1b07864],
      [0xd0051262, 0x207ff8a8],
    ],
  ],
  [
    "café",
    [
      [0x96ca5a2c, 0x0],
      [0xd8a5f700, 0xd1c14d05],
      [0xbef5a12c, 0x3b2252f9],
      [0x6dde4230, 0x0],
      [0xc820baf2, 0xd3e04f58],
      [0x69a94e9e, 0x55906183],
    ],
  ],
  [
    "üÿ☃𝄞",
    [
      [0x6dd3cd54, 0x0],
      [0x133dd1da, 0x55f8b1ec],
      [0x9bc256c, 0x6e91106f],
      [0x35e74e42, 0x0],
      [0xddbeafa4, 0xae6a1dbd],
      [0x84d52d5e, 0x5f63bfb8],
    ],
  ],
  [
    `${"m".repeat(100)}${"é".repeat(40)}`,
    [
      [0xe35e6e20, 0x0],
      [0xa7cb620c, 0xfa164e65],
      [0xccebfc1a, 0x8f94551c],
      [0x19e5f18a, 0x0],
      [0xeeffd5a6, 0x5358e2ce],
      [0x9552ba64, 0x39ea797b],
    ],
  ],
];

const SEED = [0xd4c3b2a1, 0x1807f6e5, 0x5c4b3a29, 0x908f7e6d] as const;

function hashes(name: string, seed: readonly [number, number, number, number]): unknown[] {
  return [0, 1, 2, 3, 4, 5].map((version) => {
    const { hash, minor } = hashName(encodeUtf8(name), version, seed) ?? { hash: -1, minor: -1 };
    return [hash, minor];
  });
}

test.each(UNSEEDED)("hashes of %s are debugfs's", (name, expected) => {
  expect(hashes(name, [0, 0, 0, 0])).toEqual(expected);
});

test.each(SEEDED)("hashes of %s from a seed are debugfs's", (name, expected) => {
  expect(hashes(name, SEED)).toEqual(expected);
});

test("the greatest hash is left for the end of a directory, and bit 0 for continuations", () => {
  const all = Array.from({ length: 2000 }, (_, i) => hashName(encodeUtf8(`n${i}`), 1, SEED)?.hash);
  expect(all.every((hash) => hash !== undefined && hash % 2 === 0 && hash < 0xfffffffe)).toBe(true);
});

test("an unknown version has no hash", () => {
  expect(hashName(encodeUtf8("a"), 6, SEED)).toBe(undefined);
  expect(hashName(encodeUtf8("a"), 255, SEED)).toBe(undefined);
});
