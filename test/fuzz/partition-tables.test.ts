/** Mutated partition tables: a table, none, or a typed error; never anything else, and soon. */
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  DISK_MAX_PARTS,
  openPartitions,
  readPartitionTable,
} from "../../src/block/partition-table.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { gptImage, mbrImage, writeMbr } from "../support/partition-images.ts";

const SECTORS = 256;
const ROUNDS = 10_000;
const INTERESTING = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 5, 0x0f, 0x85, 0xee];

function chained(): Uint8Array<ArrayBuffer> {
  const image = mbrImage(SECTORS, [
    { type: 0x83, start: 1, sectors: 9 },
    { type: 0x05, start: 10, sectors: 200 },
    { type: 0x0f, start: 60, sectors: 150 },
  ]);
  for (let link = 10; link < 50; link += 10) {
    writeMbr(image, link, [
      { type: 0x83, start: 1, sectors: 5 },
      { type: 0x05, start: link, sectors: 20 },
      { type: 0x83, start: 6, sectors: 2 },
    ]);
  }
  return image;
}

/** Bytes of the image in which a mutation matters. */
const cases: Readonly<Record<string, { image: () => Uint8Array<ArrayBuffer>; where: number[][] }>> =
  {
    "an extended chain": {
      image: chained,
      where: [0, 10, 20, 30, 40].map((sector) => [sector * 512 + 440, 72]),
    },
    "a GPT": {
      image: () =>
        gptImage(SECTORS, [
          { index: 1, first: 40, last: 50, name: "a" },
          { index: 128, first: 60, last: 200 },
        ]),
      where: [
        [440, 72],
        [512, 92],
        [1024, 256],
        [(SECTORS - 1) * 512, 92],
      ],
    },
  };

/** Changes some bytes; with luck the checksums of the header are made right again. */
function mutate(image: Uint8Array<ArrayBuffer>, where: number[][], prng: Prng): void {
  for (let i = 1 + prng.below(6); i > 0; i--) {
    const [start = 0, length = 1] = prng.pick(where);
    image[start + prng.below(length)] = prng.below(2) === 0 ? prng.pick(INTERESTING) : prng.u32();
  }
  if (prng.below(3) === 0) return;
  const view = new DataView(image.buffer);
  for (const header of [512, (SECTORS - 1) * 512]) {
    const entries = view.getUint32(header + 72, true) * 512;
    const bytes = image.subarray(entries, entries + view.getUint32(header + 80, true) * 128);
    view.setUint32(header + 88, crc32(bytes), true);
    view.setUint32(header + 16, 0, true);
    const size = Math.min(512, view.getUint32(header + 12, true));
    view.setUint32(header + 16, crc32(image.subarray(header, header + size)), true);
  }
}

/** What came of one image, in a word; anything but an operating error is thrown on. */
function outcome(image: Uint8Array, logicalBlockSize: number): string {
  const limits = { logicalBlockSize, physicalBlockSize: 4096 };
  const disk = new RamDisk({ name: "pmem0", bytes: image, limits });
  try {
    const table = readPartitionTable(disk);
    if (table === undefined) return "none";
    const { partitions } = openPartitions(disk, table);
    for (const partition of partitions.values()) {
      // The first and the last sector of every device can be reached.
      partition.read(0, new Uint8Array(512));
      partition.read(partition.sectors - 1, new Uint8Array(512));
    }
    return partitions.size < DISK_MAX_PARTS ? `${table.label} from ${table.from}` : "too many";
  } catch (error) {
    if (!isDaxError(error, "EUCLEAN", "EBADMSG", "EIO")) throw error;
    return error.code;
  }
}

describe.each(Object.entries(cases))("%s", (_, { image, where }) => {
  test(`${ROUNDS} mutations give a table, none, or a typed error`, () => {
    const prng = new Prng(0x5eed);
    const clean = image();
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const mutated = Uint8Array.from(clean);
      mutate(mutated, where, prng);
      seen.add(outcome(mutated, prng.below(20) === 0 ? 4096 : 512));
    }
    expect([...seen]).not.toContain("too many");
    expect(seen.size).toBeGreaterThan(2);
  });
});
