/**
 * Images as a reset left them, with dirty journals: mounted, they must show what Linux showed after
 * its own replay, and without replay what lay on the media.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { same } from "../support/bytes.ts";
import { manifestOf, mountBytes, mountDisk, parseManifest, still } from "../support/ext-images.ts";
import { ToyDisk } from "../support/toy-disk.ts";

const folder = join(import.meta.dirname, "..", "..", "fixtures", "ext-crash");

function unpack(name: string): Uint8Array {
  return gunzipSync(readFileSync(join(folder, `${name}.gz`)));
}

function manifest(name: string): { files: string[]; xattrs: string[] } {
  return parseManifest(Buffer.from(unpack(`${name}.manifest`)).toString("latin1"));
}

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
    const image = unpack(`${name}.img`);
    const before = Uint8Array.from(image);
    expect(manifestOf(mountBytes(image))).toEqual(manifest(`${name}.replayed`));
    expect(same(image, before)).toBe(true);
  });

  test("the same through dax, page by page", () => {
    const image = unpack(`${name}.img`);
    const disk = new ToyDisk({ pages: image.length / 4096, spanPages: 1 });
    disk.bytes.set(image);
    expect(manifestOf(mountDisk(disk.disk))).toEqual(manifest(`${name}.replayed`));
    expect(same(disk.bytes, image)).toBe(true);
    expect(disk.device.counters.flushes).toBe(0);
  });

  test("the check finds nothing but the dirty journal and orphans", () => {
    const disk = new RamDisk({ name: "ram0", bytes: unpack(`${name}.img`) });
    const findings = [...ext.check(disk, still)];
    expect(findings[0]?.code).toBe("ext.journal.dirty");
    expect(findings.filter(({ severity }) => severity !== "note")).toEqual([]);
  });
});

// With data=journal, entries on the media lead to inodes that only the journal holds.
test.each(["1k", "dax4k", "ext3", "fc"])("%s: noload shows what lay on the media", (name) => {
  const filesystem = mountBytes(unpack(`${name}.img`), { noload: true });
  expect(manifestOf(filesystem)).toEqual(manifest(`${name}.unreplayed`));
});

describe("a fast-commit area that is full to its last block", () => {
  test("is refused, as Linux and e2fsck refuse it", () => {
    const image = unpack("fc-full.img");
    expect(() => mountBytes(image)).toThrow(/EUCLEAN.*fast-commit area is full.*noload/u);
    expect(() => mountBytes(image, { noload: true })).not.toThrow();
  });

  test("is an error of the check", () => {
    const disk = new RamDisk({ name: "ram0", bytes: unpack("fc-full.img") });
    const findings = [...ext.check(disk, still)];
    expect(findings).toMatchObject([{ code: "ext.journal", severity: "error", where: "journal" }]);
  });
});
