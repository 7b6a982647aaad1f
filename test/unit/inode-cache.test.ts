/** Inodes that are remembered while they can change: what is asked for is never retired. */
import { describe, expect, test } from "vitest";
import { InodeCache } from "../../src/fs/ext/inode-cache.ts";
import type { ExtInode } from "../../src/fs/ext/inode.ts";

const HALF = 2048;

function inodeOf(ino: number): ExtInode {
  return { ino, state: { retired: false } } as unknown as ExtInode;
}

/** A cache whose older half holds number 1, and whose younger half has no room. */
function fullCache(first: ExtInode): InodeCache {
  const cache = new InodeCache(true);
  cache.set(first);
  for (let ino = 2; ino <= 2 * HALF; ino++) cache.set(inodeOf(ino));
  return cache;
}

describe("an inode of the older half", () => {
  test("is not retired by being asked for", () => {
    const first = inodeOf(1);
    const cache = fullCache(first);
    expect(cache.get(1)).toBe(first);
    expect(first.state.retired).toBe(false);
  });

  test("is not retired by being let go of", () => {
    const first = inodeOf(1);
    const cache = fullCache(first);
    cache.hold(first);
    cache.release(1);
    expect(first.state.retired).toBe(false);
  });

  test("is retired when it is forgotten", () => {
    const first = inodeOf(1);
    const cache = fullCache(first);
    cache.set(inodeOf(2 * HALF + 1));
    expect(first.state.retired).toBe(true);
    expect(cache.get(1)).toBe(undefined);
  });
});
