/**
 * Power cuts while files are written and cut: what was synced is there, what was written since may
 * be, and nothing else shows.
 */
import { describe, expect, test } from "vitest";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { dataComplaints, dataWork } from "../support/data-cuts.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { inSlices } from "../support/slices.ts";

const LONG = process.env["DAXKIT_LONG"] !== undefined;
const STATES = LONG ? 300 : 40;
const CALLS = LONG ? 300 : 120;
const SEED = Number(process.env["DAXKIT_SEED"] ?? 6);
const IMAGES: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k": { type: "ext4", blockSize: 4096 },
  "ext4, inline data": { type: "ext4", blockSize: 1024, inodeSize: 256, features: "inline_data" },
  "ext4, no checksums": { type: "ext4", blockSize: 1024, features: "^metadata_csum,^64bit" },
  ext3: { type: "ext3", blockSize: 1024 },
};

describe.each(inSlices(Object.entries(IMAGES), 2))("%s", (_, options) => {
  test.each([
    ["a disk's sectors", false],
    ["memory's lines", true],
  ])("%s", (_kind, torn) => {
    const { disk, versions } = dataWork(options, {}, { calls: CALLS, seed: SEED });
    for (const { image, promised } of disk.states(SEED, STATES, torn)) {
      const recovered = mountToWrite(image);
      expect(dataComplaints(recovered, versions, promised)).toEqual([]);
      recovered.unmount();
      expect(complaints(image)).toEqual([]);
    }
  });
});
