import { describe, expect, test } from "vitest";
import { DaxDevice } from "../../src/dax/dax-device.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { type DaxHolder, PAGE_SIZE } from "../../src/dax/operations.ts";
import { Prng } from "../../src/lib/prng.ts";
import { claimRange } from "../../src/platform/claim.ts";
import { type ResourceDescriptor, ResourceTree } from "../../src/platform/resources.ts";
import { codeOf } from "../support/bytes.ts";
import { fakeDax } from "../support/dax-fakes.ts";

const holder: DaxHolder = { name: "cache0", notifyFailure: () => {} };

/** A tree that calls `pages` pages from the fake device's first address `descriptor`. */
function treeWith(pages: number, descriptor: ResourceDescriptor): ResourceTree {
  const tree = new ResourceTree();
  const length = BigInt(pages * PAGE_SIZE);
  tree.insert({ start: 0x10_0000n, length }, { name: "memory", descriptor });
  return tree;
}

describe("claiming persistent memory", () => {
  test("[4.14] [4.15] [4.16] one run of persistent memory is handed out, once", () => {
    const { device, flushed } = fakeDax(8);
    const claim = claimRange(device, treeWith(8, "persistent-memory"), holder, {
      contiguous: true,
    });
    expect(claim).toMatchObject({ start: 0x10_0000, length: 8 * PAGE_SIZE });
    expect(claim.spans).toHaveLength(1);
    expect(device.holder).toBe(holder);
    claim.flush(100, 64);
    claim.fence();
    expect(flushed).toEqual([[100, 64]]);
    expect(device.counters.fences).toBe(1);
    const other: DaxHolder = { ...holder, name: "other" };
    const again = (): unknown => claimRange(device, treeWith(8, "persistent-memory"), other);
    expect(codeOf(again)).toBe("EBUSY");
    claim.release();
    expect(device.holder).toBeUndefined();
  });

  test("[4.15] short translations are stitched, unless one run is insisted on", () => {
    const { device } = fakeDax(64, { short: new Prng(3) });
    const tree = treeWith(64, "persistent-memory-legacy");
    const claim = claimRange(device, tree, holder);
    expect(claim.spans.length).toBeGreaterThan(1);
    expect(claim.spans.reduce((sum, span) => sum + span.pages, 0)).toBe(64);
    claim.release();
    expect(codeOf(() => claimRange(device, tree, holder, { contiguous: true }))).toBe("EOPNOTSUPP");
    expect(device.holder).toBeUndefined();
  });

  test.each<[string, number, ResourceDescriptor]>([
    ["memory that is not persistent, as under a RAM disk", 8, "none"],
    ["memory set aside", 8, "soft-reserved"],
    ["memory persistent only in part", 4, "persistent-memory"],
  ])("[4.13] [4.16] %s is refused", (_, pages, descriptor) => {
    const { device } = fakeDax(8);
    expect(codeOf(() => claimRange(device, treeWith(pages, descriptor), holder))).toBe(
      "EOPNOTSUPP",
    );
    expect(device.holder).toBeUndefined();
  });

  test("[4.15] page frames that do not follow each other are refused", () => {
    const memory = new DataView(new ArrayBuffer(8 * PAGE_SIZE));
    const device = new DaxDevice({
      name: "scattered",
      pages: 8,
      writeCache: true,
      synchronous: true,
      operations: {
        directAccess: (pgoff) => ({
          memory,
          start: pgoff * PAGE_SIZE,
          pages: 1,
          pfn: 0x100 + ((pgoff * 3) % 8),
        }),
        zeroPageRange: () => {},
      },
    });
    expect(codeOf(() => claimRange(device, treeWith(8, "persistent-memory"), holder))).toBe(
      "EOPNOTSUPP",
    );
  });

  test("poison and removed devices say so", () => {
    const { device, poison } = fakeDax(8);
    const tree = treeWith(8, "persistent-memory");
    poison.add(3);
    expect(codeOf(() => claimRange(device, tree, holder))).toBe("EHWPOISON");
    expect(device.holder).toBeUndefined();
    device.kill();
    expect(codeOf(() => claimRange(device, tree, holder))).toBe("ENXIO");
  });
});

test("[4.16] ranges of device-dax are special, persistent or not", () => {
  const { device } = fakeDax(8);
  const tree = treeWith(8, "persistent-memory");
  const range = { start: 0x10_0000n, length: BigInt(8 * PAGE_SIZE) };
  const claim = tree.request(range, "dax0.0");
  expect(() => claimRange(device, tree, holder)).toThrow("dax0.0 is a special range");
  expect(device.holder).toBeUndefined();
  tree.remove(claim);
  tree.request(range, "namespace0.0");
  claimRange(device, tree, holder).release();
});

test.each([
  ["brd", () => createBrd({ name: "ram0", size: 8 * PAGE_SIZE }).dax],
  [
    "axonram",
    () => {
      const media = new RamMedia(8 * PAGE_SIZE);
      const range = { start: 0, length: 8 * PAGE_SIZE, physicalStart: 0x10_0000 };
      return createAxonram({ name: "axonram0", media, ...range }).dax;
    },
  ],
])("[4.13] %s is refused, for its addresses are no persistent memory", (_, make) => {
  expect(codeOf(() => claimRange(make(), treeWith(8, "none"), holder))).toBe("EOPNOTSUPP");
});
