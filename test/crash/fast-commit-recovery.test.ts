/**
 * Recovery of fast commits, cut at random: they say what to do, and doing half of it twice must
 * lead to the same as doing it once.
 */
import { expect, test } from "vitest";

import { recoverOnDevice } from "../../src/fs/ext/recovery.ts";
import { readSuperblockToRecover } from "../../src/fs/ext/superblock.ts";
import { silent } from "../../src/lib/environment.ts";
import { CutDisk } from "../support/cut-disk.ts";
import { crashImage, crashManifest } from "../support/ext-crash-images.ts";
import { manifestOf, mountBytes } from "../support/ext-images.ts";

const STATES = process.env["DAXKIT_LONG"] === undefined ? 3 : 300;

function recovering(image: Uint8Array<ArrayBuffer>): CutDisk {
  const disk = new CutDisk(image);
  const superblock = readSuperblockToRecover(disk.device);
  recoverOnDevice(superblock, disk.device, silent);
  return disk;
}

test.each([
  ["fc", false],
  ["fc-names", true],
  ["fc-data", true],
])("%s, torn: %s", (name, torn) => {
  const expected = crashManifest(name, "replayed");
  for (const { image } of recovering(crashImage(name)).states(3, STATES, torn)) {
    // Whoever only looks sees the same, and who recovers again gets it.
    expect(manifestOf(mountBytes(image))).toEqual(expected);
    for (const again of recovering(image).states(4, 1, torn)) {
      recovering(again.image);
      expect(manifestOf(mountBytes(again.image))).toEqual(expected);
    }
  }
});
