/**
 * Maps that were damaged, and are changed all the same: typed errors only, and an end.
 */
import { describe, expect, test } from "vitest";
import { indexEntriesOf, readRoot } from "../../src/fs/ext/extent-node.ts";
import { checkRecord } from "../../src/fs/ext/inode-record.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { type ExtFixture, fixtureImage } from "../support/ext-images.ts";
import { type Writing, writeTo } from "../support/ext-writing.ts";
import { ModelledFile, changeMap, mappedFiles } from "../support/map-model.ts";

/** Without checksums of metadata, which would find all of this at once. */
const KINDS: readonly ExtFixture[] = ["ext2-1k", "ext4-gdtcsum"];
const cases = Number(process.env["DAXKIT_MAP_CASES"] ?? 40);

/** Files with maps of several levels, closed; their inodes. */
function prepare(kind: ExtFixture): { image: Uint8Array<ArrayBuffer>; inos: number[] } {
  const image = fixtureImage(kind);
  const writing = writeTo(image);
  const inos = mappedFiles(writing);
  for (const [i, ino] of inos.entries()) {
    const file = new ModelledFile(writing, ino);
    for (let at = 0; at < 200; at++) file.fill(at * (i + 2), 1, at % 3 === 0);
  }
  writing.close();
  return { image, inos };
}

/** Bytes of the image that hold the map of an inode, in pieces: `i_block`, and its first node. */
function places({ volume }: Writing, ino: number): [start: number, length: number][] {
  const { inodeSize, blockSize } = volume.superblock;
  const { block, at } = volume.placeOf(ino);
  const record = volume.record(ino);
  const root: [number, number] = [block * blockSize + at + 28, Math.min(72, inodeSize)];
  const extents = record.blockWord(0) % 0x1_0000 === 0xf30a;
  const node = extents ? indexEntriesOf(readRoot(record))[0]?.node : record.blockWord(12);
  return [root, [(node ?? block) * blockSize, extents ? 200 : blockSize]];
}

describe("damaged maps", () => {
  test.each(KINDS)("%s", (kind) => {
    const { image, inos } = prepare(kind);
    const pieces = inos.flatMap((ino) => places(writeTo(Uint8Array.from(image)), ino));
    let refused = 0;
    for (let seed = 0; seed < cases; seed++) {
      const prng = new Prng(seed);
      const damaged = Uint8Array.from(image);
      for (let i = prng.below(4); i >= 0; i--) {
        const [start, length] = prng.pick(pieces);
        damaged[start + prng.below(length)] = prng.pick([0, 1, 0x7f, 0xff, prng.below(256)]);
      }
      const writing = writeTo(damaged, seed);
      const files: ModelledFile[] = [];
      const attempt = (body: () => unknown): void => {
        try {
          body();
        } catch (error) {
          refused++;
          // The model does not know what the damage mapped.
          if (error instanceof Error && / fresh: /u.test(error.message)) return;
          if (!isDaxError(error)) throw error;
        }
      };
      for (const ino of inos) {
        attempt(() => {
          // As whoever opens a file does.
          checkRecord(writing.volume.superblock, writing.volume.record(ino));
          files.push(new ModelledFile(writing, ino, prng.below(2) === 0));
        });
      }
      for (let i = 0; i < 6 && files.length > 0; i++) attempt(() => changeMap(files, prng));
      attempt(() => writing.close());
    }
    expect(refused).toBeGreaterThan(cases / 10);
  });
});
