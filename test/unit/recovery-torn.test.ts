/** Power went while the log was brought to its places: what it holds may be torn there. */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { replayLog } from "../../src/fs/ext/journal-replay.ts";
import { openJournal, recoverOnDevice } from "../../src/fs/ext/recovery.ts";
import { readSuperblock, readSuperblockToRecover } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { silent } from "../../src/lib/environment.ts";
import { same } from "../support/bytes.ts";
import { crashImage, crashManifest } from "../support/ext-crash-images.ts";
import { manifestOf, mountBytes } from "../support/ext-images.ts";

/** The first byte of what the log holds, too: the superblock, the first group's descriptor. */
const PLACES = { superblock: 0x400 + 0x178, descriptor: 2048 + 0x0c } as const;
const NAME = "1k";

function torn(at: number): Uint8Array<ArrayBuffer> {
  const image = crashImage(NAME);
  (image[at] as number) ^= 0x55;
  return image;
}

const code = (name: string): unknown => expect.objectContaining({ code: name });

describe.each(Object.entries(PLACES))("a torn %s", (_, at) => {
  test("that the log holds whole is replayed, in memory and on the device", () => {
    const expected = crashManifest(NAME, "replayed");
    expect(manifestOf(mountBytes(torn(at)))).toEqual(expected);
    const image = torn(at);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    recoverOnDevice(readSuperblockToRecover(disk), disk, silent);
    readSuperblock(disk);
    expect(manifestOf(mountBytes(image))).toEqual(expected);
  });

  test("is damage where nothing is to be replayed", () => {
    const image = crashImage(NAME);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    recoverOnDevice(readSuperblock(disk), disk, silent);
    (image[at] as number) ^= 0x55;
    expect(() => manifestOf(mountBytes(image))).toThrow(code("EBADMSG"));
  });
});

test("the log of the image holds both", () => {
  const disk = new RamDisk({ name: "ram0", bytes: crashImage(NAME) });
  const superblock = readSuperblock(disk);
  const volume = new Volume(superblock, new Buffers(disk, 1024), silent);
  const { blocks } = replayLog(openJournal(volume));
  expect([blocks.has(1), blocks.has(2)]).toEqual([true, true]);
});

test("what cannot be replayed to the end is left as it is", () => {
  const image = crashImage("fc-full");
  const before = image.slice();
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const superblock = readSuperblock(disk);
  expect(() => recoverOnDevice(superblock, disk, silent)).toThrow(code("EUCLEAN"));
  expect(same(image, before)).toBe(true);
});
