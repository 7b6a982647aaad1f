/** Damaged fast commits with good checksums: typed errors only, whatever they say. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_FC_TAG_TAIL, FcTagLength } from "../../src/format/ext4-fast-commit.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { openJournal } from "../../src/fs/ext/recovery.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { silent } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { mountBytes, still, walkTree } from "../support/ext-images.ts";

const ROUNDS = 100;
const folder = join(import.meta.dirname, "..", "..", "fixtures", "ext-crash");

interface Tag {
  /** Byte of the image. */
  readonly at: number;
  readonly tag: number;
  readonly length: number;
}

/** Every record of the fast-commit area. */
function tagsOf(image: Uint8Array<ArrayBuffer>): Tag[] {
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const superblock = readSuperblock(disk);
  const { blockSize, journalInum } = superblock;
  const volume = new Volume(superblock, new Buffers(disk, blockSize), silent);
  const { area } = openJournal(volume);
  const map = new FileMap(volume, volume.record(journalInum));
  const view = new DataView(image.buffer);
  const tags: Tag[] = [];
  for (let n = area.fcFirst; n < area.fcLast; n++) {
    const base = (map.blockOf(n) as number) * blockSize;
    for (let at = base; at + 4 <= base + blockSize;) {
      const tag = FcTagLength.tag.get(view, at);
      const length = FcTagLength.len.get(view, at);
      if (tag === 0) break;
      tags.push({ at, tag, length });
      at += 4 + length;
    }
  }
  return tags;
}

/** Makes the checksum in every tail right. */
function seal(image: Uint8Array<ArrayBuffer>, tags: readonly Tag[]): void {
  const view = new DataView(image.buffer);
  let crc = 0;
  for (const { at, tag, length } of tags) {
    const tail = tag === EXT4_FC_TAG_TAIL;
    crc = crc32c(crc, image.subarray(at, at + (tail ? 8 : 4 + length)));
    if (!tail) continue;
    view.setUint32(at + 8, crc, true);
    crc = 0;
  }
}

test.each(["fc-names", "fc-data"])("%s, one field changed", (name) => {
  const image = Uint8Array.from(gunzipSync(readFileSync(join(folder, `${name}.img.gz`))));
  const tags = tagsOf(image);
  expect(tags.length).toBeGreaterThan(30);
  const prng = new Prng(name.length);
  const outcomes = new Map<string, number>();
  const severities = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const damaged = Uint8Array.from(image);
    const { at, length } = prng.pick(tags);
    for (let i = prng.below(3); i >= 0; i--) {
      damaged[at + 4 + prng.below(Math.max(1, length))] = prng.pick([
        0,
        1,
        0x7f,
        0xff,
        prng.below(256),
      ]);
    }
    seal(damaged, tags);
    let outcome = "shown";
    try {
      for (const { inode } of walkTree(mountBytes(damaged).root)) inode.attributes();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      outcome = error.code;
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (round % 5 > 0) continue;
    for (const { severity } of ext.check(new RamDisk({ name: "ram0", bytes: damaged }), still)) {
      severities.add(severity);
    }
  }
  expect([...severities]).toContain("error");
  expect([...outcomes.keys()].toSorted()).toContain("EUCLEAN");
  expect(outcomes.get("shown") ?? 0).toBeGreaterThan(ROUNDS / 4);
});
