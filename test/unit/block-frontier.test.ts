/**
 * What a unit of a disk may be: versions in order, parts of units, tears, and FUA in their midst.
 */
import { describe, expect, test } from "vitest";
import { BlockFrontier, type BlockModel } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import type { BlockWrite } from "../../src/crash/block-trace.ts";

const write = (sector: number, value: number, fua = false): BlockWrite => {
  const data = new Uint8Array(512).fill(value);
  return { kind: "write", sector, length: 512, data, fua, entry: value };
};

function frontier(model: BlockModel): BlockFrontier {
  return new BlockFrontier(new BlockImage(new Uint8Array(8192)), model);
}

/** The first byte of each sector, of every content of a unit. */
function versions(at: BlockFrontier, unit: number): number[][] {
  return at.versions(unit).contents.map((content) => {
    const first: number[] = [];
    for (let i = 0; i < content.length; i += 512) first.push(content[i]!);
    return first;
  });
}

describe("units of 4096", () => {
  test("have their requests in order", () => {
    const at = frontier({ unit: 4096 });
    at.write(write(0, 1));
    at.write(write(2, 2));
    at.write(write(8, 3));
    expect(at.openUnits()).toEqual([0, 1]);
    expect(versions(at, 0)).toEqual([
      [0, 0, 0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0, 0, 0, 0],
      [1, 0, 2, 0, 0, 0, 0, 0],
    ]);
    expect([at.versions(0).entries, at.space()]).toEqual([[-1, 1, 2], 6n]);
    at.flush();
    expect([at.openUnits(), at.space()]).toEqual([[], 1n]);
  });

  test("keep what FUA made durable, whatever becomes of the rest", () => {
    const at = frontier({ unit: 4096 });
    at.write(write(0, 1));
    at.write(write(1, 2));
    const durable = write(0, 3, true);
    at.write(durable);
    expect(at.versions(0).states).toBe(4);
    at.settle(durable);
    expect(versions(at, 0)).toEqual([
      [3, 0, 0, 0, 0, 0, 0, 0],
      [3, 2, 0, 0, 0, 0, 0, 0],
    ]);
    const other = write(1, 4, true);
    at.write(other);
    at.settle(other);
    expect(at.openUnits()).toEqual([]);
    expect(at.undecided[0]).toBe(0);
  });
});

describe("units of 512", () => {
  test("are torn where they may be", () => {
    const at = frontier({ unit: 512, torn: 128 });
    at.write(write(1, 7));
    const { contents, states } = at.versions(1);
    expect(contents.map((content) => content.filter((byte) => byte === 7).length)).toEqual([
      0, 128, 256, 384, 512,
    ]);
    expect([states, contents[1]![127], contents[1]![128]]).toEqual([5, 7, 0]);
  });

  test("count equal versions, and have them once", () => {
    const at = frontier({ unit: 512 });
    for (const value of [1, 0, 1]) at.write(write(0, value));
    const { weights, states } = at.versions(0);
    expect([versions(at, 0), weights, states]).toEqual([[[0], [1]], [2, 2], 4]);
  });

  test("that nobody wrote to are passed over by a discard", () => {
    const at = frontier({ unit: 512 });
    at.write(write(3, 9));
    at.flush();
    at.discard({ kind: "discard", sector: 0, count: 16, entry: 1 });
    // The page of what was written is looked at, the other one is not.
    expect(at.openUnits()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(versions(at, 3)).toEqual([[9], [0]]);
    expect(at.versions(2).contents).toHaveLength(1);
  });
});

describe("an image", () => {
  test("has the same sum for the same contents, whatever it was before", () => {
    const a = new BlockImage(new Uint8Array(8192));
    const b = new BlockImage(new Uint8Array(8192));
    const empty = a.sum;
    a.put(512, 512, new Uint8Array(512).fill(1));
    b.put(1024, 512, new Uint8Array(512).fill(1));
    expect(new Set([a.sum, b.sum, empty]).size).toBe(3);
    b.put(512, 512, new Uint8Array(512).fill(1));
    b.put(1024, 512, undefined);
    expect(b.sum).toBe(a.sum);
    a.put(512, 512, undefined);
    expect(a.sum).toBe(empty);
  });

  test("tells which pages changed", () => {
    const image = new BlockImage(new Uint8Array(16_384));
    image.put(4096, 512, undefined);
    image.put(12_288, 4096, new Uint8Array(4096));
    image.put(4608, 512, undefined);
    expect(image.takeChanges()).toEqual([1, 3]);
    expect(image.takeChanges()).toEqual([]);
    image.put(4096, 512, undefined);
    expect([image.takeChanges(), [...image.touched()]]).toEqual([[1], [1, 3]]);
  });
});
