/**
 * The fast-commit area of a crashed image, record by record, for tests that change it.
 */
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_FC_TAG_TAIL, FcTagLength } from "../../src/format/ext4-fast-commit.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { openJournal } from "../../src/fs/ext/recovery.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { silent } from "../../src/lib/environment.ts";

/** A record of the area. */
export interface Tag {
  /** Byte of the image. */
  readonly at: number;
  readonly tag: number;
  readonly length: number;
}

/** Every record of the fast-commit area. */
export function tagsOf(image: Uint8Array<ArrayBuffer>): Tag[] {
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
export function sealTails(image: Uint8Array<ArrayBuffer>, tags: readonly Tag[]): void {
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
