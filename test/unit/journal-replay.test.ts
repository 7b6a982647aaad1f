/** Replay of jbd2 logs: layouts, revocation, wrapping, and which damage ends or refuses a log. */
import { describe, expect, test } from "vitest";
import {
  JBD2_FEATURE_COMPAT_CHECKSUM,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V2,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
  JBD2_SUPERBLOCK_V1,
  JournalSuperblock,
} from "../../src/format/jbd2.ts";
import { type JournalReplay, overlayReplay, replayLog } from "../../src/fs/ext/journal-replay.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { JournalBuilder, type Layout } from "../support/journal-builder.ts";

const V3 = JBD2_FEATURE_INCOMPAT_CSUM_V3 | JBD2_FEATURE_INCOMPAT_64BIT;
const layouts: readonly (readonly [string, Layout])[] = [
  ["no checksums, 32 bit", {}],
  ["no checksums, 64 bit", { incompat: JBD2_FEATURE_INCOMPAT_64BIT }],
  ["checksum v1", { compat: JBD2_FEATURE_COMPAT_CHECKSUM }],
  ["checksum v2, 32 bit", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V2 }],
  [
    "checksum v2, 64 bit",
    { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V2 | JBD2_FEATURE_INCOMPAT_64BIT },
  ],
  ["checksum v3, 32 bit", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V3 }],
  ["checksum v3, 64 bit", { incompat: V3 }],
  ["checksum v3, 4 KiB blocks", { incompat: V3, blockSize: 4096 }],
];

function block(seed: number, size = 1024): Uint8Array {
  return noise(seed, size);
}

/** A block that looks like one of the journal's own. */
function magicBlock(seed: number, size = 1024): Uint8Array {
  const bytes = noise(seed, size);
  bytes.set([0xc0, 0x3b, 0x39, 0x98]);
  return bytes;
}

function replay(builder: JournalBuilder): JournalReplay {
  return replayLog(builder.open());
}

function keys({ blocks }: JournalReplay): number[] {
  return [...blocks.keys()].toSorted((a, b) => a - b);
}

describe.each(layouts)("%s", (_, layout) => {
  const size = layout.blockSize ?? 1024;

  test("later copies win, and escaped blocks get their magic back", () => {
    const builder = new JournalBuilder(layout);
    builder.add({
      writes: [
        [5, block(1, size)],
        [6, magicBlock(2, size)],
      ],
    });
    builder.add({ writes: [[5, magicBlock(3, size)]] });
    const result = replay(builder);
    expect(keys(result)).toEqual([5, 6]);
    expect(same(result.blocks.get(5) as Uint8Array, magicBlock(3, size))).toBe(true);
    expect(same(result.blocks.get(6) as Uint8Array, magicBlock(2, size))).toBe(true);
    expect(result.statistics).toEqual({
      firstTransaction: 7,
      endTransaction: 9,
      transactions: 2,
      replayed: 3,
      revoked: 0,
      revokeRecords: 0,
      fastCommitTags: 0,
    });
  });

  test("a transaction of several descriptors, around the end of the log", () => {
    const builder = new JournalBuilder({ ...layout, start: 1000 });
    const writes = Array.from({ length: 300 }, (_unused, i) => [i, block(i, size)] as const);
    builder.add({ writes });
    expect(builder.head).toBeLessThan(1000);
    const result = replay(builder);
    expect(result.blocks.size).toBe(300);
    for (const [home, bytes] of writes) {
      expect(same(result.blocks.get(home) as Uint8Array, bytes)).toBe(true);
    }
  });

  test("sequence numbers wrap at 2^32, for transactions and for revocations", () => {
    const builder = new JournalBuilder({ ...layout, sequence: 0xffff_ffff });
    builder.add({
      writes: [
        [5, block(1, size)],
        [6, block(2, size)],
      ],
    });
    builder.add({ revokes: [5], writes: [[7, block(3, size)]] });
    builder.add({ writes: [[8, block(4, size)]] });
    const { endTransaction } = replay(builder).statistics;
    expect(endTransaction).toBe(2);
    expect(keys(replay(builder))).toEqual([6, 7, 8]);
  });

  test("a torn transaction does not count", () => {
    const builder = new JournalBuilder(layout);
    builder.add({ writes: [[5, block(1, size)]] });
    builder.add({ writes: [[6, block(2, size)]], revokes: [5], torn: true });
    expect(keys(replay(builder))).toEqual([5]);
  });
});

describe("revocation", () => {
  test("covers the same transaction and earlier ones, not later ones", () => {
    const builder = new JournalBuilder({ incompat: V3 });
    builder.add({
      writes: [
        [5, block(1)],
        [6, block(2)],
        [7, block(3)],
      ],
    });
    builder.add({ revokes: [5, 6], writes: [[5, block(4)]] });
    builder.add({ writes: [[6, block(5)]] });
    const result = replay(builder);
    expect(keys(result)).toEqual([6, 7]);
    expect(same(result.blocks.get(6) as Uint8Array, block(5))).toBe(true);
    expect(result.statistics).toMatchObject({ replayed: 2, revoked: 3, revokeRecords: 2 });
  });

  test("counts only in transactions that are replayed", () => {
    const builder = new JournalBuilder();
    builder.add({ writes: [[5, block(1)]] });
    builder.add({ revokes: [5], torn: true });
    expect(keys(replay(builder))).toEqual([5]);
  });

  test("fills blocks, and remembers only what the log holds copies of", () => {
    const builder = new JournalBuilder({ incompat: JBD2_FEATURE_INCOMPAT_64BIT });
    builder.add({
      writes: [
        [5, block(1)],
        [271, block(2)],
      ],
    });
    builder.add({ revokes: Array.from({ length: 4000 }, (_, i) => i * 3) });
    const result = replay(builder);
    expect(result.statistics.revokeRecords).toBe(4000);
    expect(keys(result)).toEqual([5, 271].filter((n) => n % 3 !== 0));
  });

  test("a count past the block's end is refused", () => {
    const builder = new JournalBuilder();
    builder.add({ writes: [[5, block(1)]], revokes: [6] });
    builder.image[builder.at(1) + 13] = 0xff;
    expect(() => replay(builder)).toThrow(/EUCLEAN.*revoke block 1: count is 16711700 bytes/u);
  });
});

/** Flips one byte of journal block `n`. */
function damage(builder: JournalBuilder, n: number, byte: number): void {
  const at = builder.at(n) + byte;
  builder.image[at] = (builder.image[at] as number) ^ 0x40;
}

function three(layout: Layout): JournalBuilder {
  const builder = new JournalBuilder(layout);
  for (let i = 0; i < 3; i++) builder.add({ writes: [[5 + i, block(i)]] });
  return builder;
}

describe("damage, as Linux 6.18 judges it", () => {
  // Each transaction is descriptor, copy, commit: blocks 1 to 3, 4 to 6, 7 to 9.
  test.each([
    ["commit block", 6, 17, "EBADMSG"],
    ["descriptor", 4, 100, "EBADMSG"],
    ["copy", 5, 100, "EBADMSG"],
    ["last commit block", 9, 17, "EBADMSG"],
  ])("v3: a bad %s refuses the journal", (_, n, byte, code) => {
    const builder = three({ incompat: V3 });
    damage(builder, n, byte);
    expect(codeOf(() => replay(builder))).toBe(code);
  });

  test.each([
    ["commit block", 6, 17],
    ["descriptor", 4, 100],
    ["copy", 5, 100],
  ])("v1: a bad %s refuses the journal", (_, n, byte) => {
    const builder = three({ compat: JBD2_FEATURE_COMPAT_CHECKSUM });
    damage(builder, n, byte);
    expect(codeOf(() => replay(builder))).toBe("EBADMSG");
  });

  test("what follows the header of a commit block does not matter", () => {
    const builder = three({ incompat: V3 });
    damage(builder, 6, 200);
    expect(keys(replay(builder))).toEqual([5, 6, 7]);
  });

  test("v3 with async commit: a bad commit block ends the log", () => {
    const builder = three({ incompat: V3 | JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT });
    damage(builder, 6, 17);
    expect(keys(replay(builder))).toEqual([5]);
  });

  test("v1 with async commit: it ends the log, unless a later commit follows", () => {
    const layout = {
      compat: JBD2_FEATURE_COMPAT_CHECKSUM,
      incompat: JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT,
    };
    const last = three(layout);
    damage(last, 9, 17);
    expect(keys(replay(last))).toEqual([5, 6]);
    const middle = three(layout);
    damage(middle, 6, 17);
    expect(codeOf(() => replay(middle))).toBe("EBADMSG");
  });

  test("leftovers of an earlier lap, older than the last commit, just end the log", () => {
    for (const [n, byte] of [
      [4, 100],
      [6, 17],
    ] as const) {
      const builder = new JournalBuilder({ incompat: V3 });
      builder.add({ writes: [[5, block(1)]], commitSec: 2000 });
      builder.add({ writes: [[6, block(2)]], commitSec: 1000 });
      damage(builder, n, byte);
      expect(keys(replay(builder))).toEqual([5]);
    }
  });

  test("without checksums only the header counts", () => {
    const builder = three({});
    damage(builder, 5, 100);
    expect(keys(replay(builder))).toEqual([5, 6, 7]);
    damage(builder, 6, 0);
    expect(keys(replay(builder))).toEqual([5]);
  });

  test("a tag outside the device is named", () => {
    const builder = new JournalBuilder({ incompat: V3 });
    builder.add({ writes: [[1_000_000, block(1)]] });
    expect(() => replay(builder)).toThrow(/EUCLEAN.*block 1000000 lies outside the device/u);
  });

  test("a log that comes around to its start is refused, not walked for ever", () => {
    const builder = new JournalBuilder({ journalBlocks: 1024 });
    for (let n = 1; n < 1024; n++) {
      builder.head = n;
      builder.sequence = 7;
      builder.add({ revokes: [n], torn: true });
    }
    expect(() => replay(builder)).toThrow(/EUCLEAN.*longer than the journal/u);
  });
});

describe("the journal's superblock", () => {
  const cases: readonly (readonly [string, keyof typeof JournalSuperblock, number, string])[] = [
    ["magic", "magic", 0x12345678, "EUCLEAN"],
    ["blocktype", "blocktype", 5, "EUCLEAN"],
    ["blocksize", "blocksize", 4096, "EUCLEAN"],
    ["maxlen", "maxlen", 9999, "EUCLEAN"],
    ["maxlen", "maxlen", 0, "EUCLEAN"],
    ["first", "first", 0, "EUCLEAN"],
    ["first", "first", 2000, "EUCLEAN"],
    ["start", "start", 1040, "EUCLEAN"],
    ["unknown features", "featureIncompat", 0x40, "ENOTSUP"],
    ["unknown features", "featureRoCompat", 1, "ENOTSUP"],
    ["checksum v2 and v3", "featureIncompat", 0x18, "EUCLEAN"],
    ["checksum_type", "featureIncompat", 0x10, "EUCLEAN"],
  ];
  test.each(cases)("%s is checked (%s = %d)", (words, field, value, code) => {
    const builder = new JournalBuilder();
    const view = new DataView(builder.image.buffer, builder.at(0));
    (JournalSuperblock[field] as { set(m: DataView, at: number, v: number): void }).set(
      view,
      0,
      value,
    );
    expect(codeOf(() => builder.open())).toBe(code);
    expect(() => builder.open()).toThrow(words);
    expect(() => builder.open()).toThrow("noload");
  });

  test("its checksum is checked", () => {
    const builder = new JournalBuilder({ incompat: V3 });
    builder.image[builder.at(0) + 0x300] = 1;
    expect(codeOf(() => builder.open())).toBe("EBADMSG");
    builder.sealSuperblock();
    expect(codeOf(() => builder.open())).toBeUndefined();
  });

  test("a v1 superblock has no features, whatever lies there", () => {
    const builder = new JournalBuilder();
    const view = new DataView(builder.image.buffer, builder.at(0));
    JournalSuperblock.blocktype.set(view, 0, JBD2_SUPERBLOCK_V1);
    JournalSuperblock.featureIncompat.set(view, 0, 0xffff_ffff);
    builder.add({ writes: [[5, block(1)]] });
    expect(keys(replay(builder))).toEqual([5]);
  });

  test("start 0: the log is clean, whatever it holds", () => {
    const builder = three({});
    const view = new DataView(builder.image.buffer, builder.at(0));
    JournalSuperblock.start.set(view, 0, 0);
    expect(keys(replay(builder))).toEqual([]);
  });

  test("a log beside a fast-commit area ends where that area starts", () => {
    const incompat = V3 | JBD2_FEATURE_INCOMPAT_FAST_COMMIT;
    const builder = new JournalBuilder({ incompat, fcBlocks: 16, start: 1020 });
    for (let i = 0; i < 4; i++) builder.add({ writes: [[5 + i, block(i)]] });
    expect(builder.head).toBeLessThan(20);
    expect(keys(replay(builder))).toEqual([5, 6, 7, 8]);
  });
});

test("the overlay answers replayed blocks, and the media stay as they were", () => {
  const builder = three({ incompat: V3 });
  const before = Uint8Array.from(builder.image);
  const buffers = builder.buffers();
  overlayReplay(buffers, replay(builder));
  const { memory, at } = buffers.get(6);
  expect(same(copyOf(memory, at, 1024), block(1))).toBe(true);
  expect(same(builder.image, before)).toBe(true);
});
