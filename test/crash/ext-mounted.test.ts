/**
 * Power cuts while a mounted filesystem is changed: what the next mount recovers is what the first
 * so many calls had made, all of those that were synced among them, and nothing is damaged.
 */
import { describe, expect, test } from "vitest";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { treeOf, work } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";

const LONG = process.env["DAXKIT_LONG"] !== undefined;
const STATES = LONG ? 1000 : 40;
const CALLS = LONG ? 1200 : 300;
const IMAGES: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k, orphan file": { type: "ext4", blockSize: 4096, features: "orphan_file" },
  "ext4, inline data": { type: "ext4", blockSize: 1024, inodeSize: 256, features: "inline_data" },
  ext3: { type: "ext3", blockSize: 1024 },
};

describe.each(Object.entries(IMAGES))("%s", (_, options) => {
  test.each([
    ["a disk's sectors", false],
    ["memory's lines", true],
  ])("%s", (_kind, torn) => {
    const { disk, trees } = work(options, CALLS);
    const found = new Set<number>();
    for (const { image, promised } of disk.states(torn ? 3 : 4, STATES, torn)) {
      const recovered = mountToWrite(image);
      const reached = trees.indexOf(treeOf(recovered), promised);
      expect(reached).toBeGreaterThanOrEqual(promised);
      found.add(reached);
      recovered.unmount();
      expect(complaints(image)).toEqual([]);
    }
    expect(found.size).toBeGreaterThan(Math.min(STATES, CALLS / 7) / 4);
  });
});
