/** Mappings: the same program on real memory and on modelled memory. */
import { describe, expect, test } from "vitest";
import { storeBytes } from "../../src/lib/memory.ts";
import { type Mapping, mapMedia } from "../../src/media/mapping.ts";
import type { Media } from "../../src/media/media.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { healMedia } from "../../src/media/heal.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import log from "../../examples/log-right.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { scratch } from "../support/scratch.ts";

const SIZE = 3 * 4096;
const kinds: readonly (readonly [string, () => Media])[] = [
  ["RAM", () => new RamMedia(SIZE)],
  ["RAM in pieces", () => new RamMedia(SIZE, { segmentBytes: 4096 })],
  ["modelled", () => new ModelledMedia(SIZE)],
  ["poison over RAM", () => new PoisonMedia(new RamMedia(SIZE))],
];

describe.each(kinds)("a mapping of %s", (_name, make) => {
  test("loads what was stored, little-endian, at every alignment and over borders", () => {
    const mapping = mapMedia(make());
    // 4096 is a border between two pieces.
    for (let at = 4080; at < 4110; at++) {
      mapping.setU8(at, 0xa1);
      expect(mapping.u8(at)).toBe(0xa1);
      mapping.setU16(at, 0xb2c3);
      expect([mapping.u16(at), mapping.u8(at)]).toEqual([0xb2c3, 0xc3]);
      mapping.setU32(at, 0xd4e5f607);
      expect([mapping.u32(at), mapping.u8(at + 3)]).toEqual([0xd4e5f607, 0xd4]);
      mapping.setU64(at, 0x1122334455667788n);
      expect([mapping.u64(at), mapping.u8(at)]).toEqual([0x1122334455667788n, 0x88]);
      mapping.setU64(at, 7);
      expect(mapping.u64(at)).toBe(7n);
      mapping.flush(at, 8);
    }
    mapping.fence();
  });

  test("copies of any length arrive, and nothing beside them changes", () => {
    const ways: readonly ((mapping: Mapping, at: number, bytes: Uint8Array) => void)[] = [
      (mapping, at, bytes) => mapping.store(at, bytes),
      (mapping, at, bytes) => mapping.copyIn(at, bytes),
      (mapping, at, bytes) => mapping.copyNonTemporal(at, bytes),
    ];
    for (const [seed, write] of ways.entries()) {
      const mapping = mapMedia(make());
      const expected = new Uint8Array(SIZE).fill(0x5a);
      mapping.fill(0, SIZE, 0x5a);
      for (const [at, length] of [
        [0, 0],
        [3, 1],
        [13, 3],
        [17, 16],
        [60, 8],
        [4090, 13],
        [4000, 5000],
      ] as const) {
        const bytes = noise(seed + at, length);
        write(mapping, at, bytes);
        mapping.persist(at, length);
        expected.set(bytes, at);
        expect(same(mapping.load(0, SIZE), expected)).toBe(true);
      }
      const target = new Uint8Array(20);
      mapping.loadBytes(4085, target);
      expect(target).toEqual(expected.slice(4085, 4105));
    }
  });

  test("refuses what lies outside, in the same words", () => {
    const media = make();
    const mapping = mapMedia(media);
    const calls: ((at: number) => unknown)[] = [
      (at) => mapping.u8(at),
      (at) => mapping.u64(at),
      (at) => mapping.load(at, 1),
      (at) => mapping.setU8(at, 1),
      (at) => mapping.setU32(at, 1),
      (at) => mapping.setU64(at, 1n),
      (at) => mapping.store(at, new Uint8Array(1)),
      (at) => mapping.copyIn(at, new Uint8Array(1)),
      (at) => mapping.copyNonTemporal(at, new Uint8Array(1)),
      (at) => mapping.fill(at, 1, 1),
      (at) => mapping.flush(at, 1),
      (at) => mapping.persist(at, 1),
    ];
    for (const call of calls) {
      expect(codeOf(() => call(SIZE))).toBe("ERANGE");
      expect(codeOf(() => call(-1))).toBe("EINVAL");
      expect(codeOf(() => call(0.5))).toBe("EINVAL");
    }
    expect(codeOf(() => mapping.load(0, SIZE + 1))).toBe("ERANGE");
    expect(codeOf(() => mapping.load(0, -1))).toBe("EINVAL");
    const bytes = 8 as unknown as Uint8Array;
    for (const call of [() => mapping.loadBytes(0, bytes), () => mapping.store(0, bytes)]) {
      expect(call).toThrow(/length undefined.*give a length, or a Uint8Array where bytes/u);
    }
    media.close();
    for (const call of calls) expect(codeOf(() => call(0))).toBe("ENXIO");
  });
});

test("a program that was proved on modelled memory runs on a file as it is", () => {
  const path = scratch();
  for (let run = 0; run < 2; run++) {
    const media = openFileMedia(path, { create: log.size });
    const mapping = mapMedia(media);
    const promised: string[] = [];
    if (run === 0) log.workload({ mapping, ack: (text) => void promised.push(text) });
    const recovered = log.recover?.({ mapping }) ?? [];
    expect(recovered).toEqual(["power is on", "so far so good", "still here"]);
    expect(log.check({ mapping, acked: promised, recovered })).toBe(true);
    media.close();
  }
});

test("bytes are the media itself, where it lies in one piece", () => {
  const mapping = mapMedia(new RamMedia(SIZE));
  mapping.bytes[5] = 9;
  expect(mapping.u8(5)).toBe(9);
  const pieces = mapMedia(new RamMedia(SIZE, { segmentBytes: 4096 }));
  expect(codeOf(() => pieces.bytes)).toBe("ENOTSUP");
});

test("read-only media is not stored to", () => {
  const mapping = mapMedia(new RamMedia(SIZE, { readOnly: true }));
  expect(mapping.u64(0)).toBe(0n);
  expect(codeOf(() => mapping.setU8(0, 1))).toBe("EROFS");
  expect(codeOf(() => mapping.copyNonTemporal(0, new Uint8Array(4)))).toBe("EROFS");
});

test("poisoned bytes are an error at the access, others are not", () => {
  const media = new PoisonMedia(new RamMedia(SIZE));
  media.injectPoison(512, 512);
  const mapping = mapMedia(media);
  expect(codeOf(() => mapping.u8(512))).toBe("EHWPOISON");
  expect(codeOf(() => mapping.load(0, 513))).toBe("EHWPOISON");
  expect(codeOf(() => mapping.setU64(1016, 1n))).toBe("EHWPOISON");
  expect(mapping.u8(511)).toBe(0);
  expect(mapping.u8(1024)).toBe(0);
  healMedia(media, 512, 512);
  expect(mapping.u8(512)).toBe(0);
});

test("an atom stored in part keeps its other bytes, at every alignment of the memory", () => {
  const wrong: number[][] = [];
  for (let shift = 0; shift < 8; shift++) {
    const bytes = new Uint8Array(64).fill(0xee);
    const memory = new DataView(bytes.buffer, shift, 48);
    const expected = bytes.slice();
    for (let at = 0; at < 16; at++) {
      for (let length = 0; length <= 24; length++) {
        const source = noise(at * 31 + length, length);
        storeBytes(memory, at, source);
        expected.set(source, shift + at);
        if (!same(bytes, expected)) wrong.push([shift, at, length]);
      }
    }
    expect(() => storeBytes(memory, 40, new Uint8Array(9))).toThrow(RangeError);
    expect(() => storeBytes(memory, -1, new Uint8Array(1))).toThrow(RangeError);
  }
  expect(wrong).toEqual([]);
  // A buffer that ends inside an atom.
  const short = new Uint8Array(13);
  storeBytes(new DataView(short.buffer), 3, noise(1, 10));
  expect(short.slice(3)).toEqual(noise(1, 10));
});
