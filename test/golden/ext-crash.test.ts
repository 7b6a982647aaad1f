/**
 * Images as a reset left them, with dirty journals: mounted, they must show what Linux showed after
 * its own replay, and without replay what lay on the media.
 */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Buffers } from "../../src/block/buffers.ts";
import { EXT4_FEATURE_INCOMPAT_RECOVER } from "../../src/format/ext-superblock.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { hasIncompat } from "../../src/fs/ext/features.ts";
import { openJournal, recoverOnDevice } from "../../src/fs/ext/recovery.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { silent } from "../../src/lib/environment.ts";
import { same } from "../support/bytes.ts";
import { crashImage, crashManifest } from "../support/ext-crash-images.ts";
import { manifestOf, mountBytes, mountDisk, still } from "../support/ext-images.ts";
import { ToyDisk } from "../support/toy-disk.ts";

const images = {
  "1k": "checksum v3, 1 KiB blocks, revokes",
  dax4k: "checksum v3, 4 KiB blocks, written through dax",
  ext3: "no checksums, block maps",
  dj: "data=journal, an orphan",
  fc: "fast commits on top of full ones",
  "fc-names": "fast commits that create, remove and rename",
  "fc-data": "fast commits that append, punch, preallocate and truncate",
};

describe.each(Object.entries(images))("%s: %s", (name) => {
  test("shows what Linux showed after its replay, and writes nothing", () => {
    const image = crashImage(name);
    const before = Uint8Array.from(image);
    expect(manifestOf(mountBytes(image))).toEqual(crashManifest(name, "replayed"));
    expect(same(image, before)).toBe(true);
  });

  test("the same through dax, page by page", () => {
    const image = crashImage(name);
    const disk = new ToyDisk({ pages: image.length / 4096, spanPages: 1 });
    disk.bytes.set(image);
    expect(manifestOf(mountDisk(disk.disk))).toEqual(crashManifest(name, "replayed"));
    expect(same(disk.bytes, image)).toBe(true);
    expect(disk.device.counters.flushes).toBe(0);
  });

  test("recovered on the device it shows the same, and the journal is clean", () => {
    const image = crashImage(name);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const found = readSuperblock(disk);
    expect(hasIncompat(found, EXT4_FEATURE_INCOMPAT_RECOVER)).toBe(true);
    const buffers = new Buffers(disk, found.blockSize);
    const after = recoverOnDevice(found, disk, silent);
    expect(buffers.overlaid).toBe(0);
    expect(after).toEqual(readSuperblock(disk));
    expect(hasIncompat(after, EXT4_FEATURE_INCOMPAT_RECOVER)).toBe(false);
    expect(manifestOf(mountBytes(image))).toEqual(crashManifest(name, "replayed"));
    const volume = new Volume(after, buffers, silent);
    expect(openJournal(volume).superblock.start).toBe(0);
    const recovered = image.slice();
    recoverOnDevice(after, disk, silent);
    expect(same(image, recovered)).toBe(true);
  });

  test("the check finds nothing but the dirty journal and orphans", () => {
    const disk = new RamDisk({ name: "ram0", bytes: crashImage(name) });
    const findings = [...ext.check(disk, still)];
    expect(findings[0]?.code).toBe("ext.journal.dirty");
    expect(findings.filter(({ severity }) => severity !== "note")).toEqual([]);
  });
});

// With data=journal, entries on the media lead to inodes that only the journal holds.
test.each(["1k", "dax4k", "ext3", "fc"])("%s: noload shows what lay on the media", (name) => {
  const filesystem = mountBytes(crashImage(name), { noload: true });
  expect(manifestOf(filesystem)).toEqual(crashManifest(name, "unreplayed"));
});

describe("a fast-commit area that is full to its last block", () => {
  test("is refused, as Linux and e2fsck refuse it", () => {
    const image = crashImage("fc-full");
    expect(() => mountBytes(image)).toThrow(/EUCLEAN.*fast-commit area is full.*noload/u);
    expect(() => mountBytes(image, { noload: true })).not.toThrow();
  });

  test("is an error of the check", () => {
    const disk = new RamDisk({ name: "ram0", bytes: crashImage("fc-full") });
    const findings = [...ext.check(disk, still)];
    expect(findings).toMatchObject([{ code: "ext.journal", severity: "error", where: "journal" }]);
  });
});
