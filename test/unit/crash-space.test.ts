/** Rules 1 to 5 of the crash model, on traces made by hand whose counts are known. */
import { describe, expect, test } from "vitest";
import { CrashImage } from "../../src/crash/crash-image.ts";
import { Frontier, countCrashPoints } from "../../src/crash/frontier.ts";
import { RawStates } from "../../src/crash/raw-states.ts";
import type { Torn } from "../../src/crash/versions.ts";
import { copyIn, fill, storeBytes } from "../../src/lib/memory.ts";
import type { Caching } from "../../src/media/media.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import { same } from "../support/bytes.ts";

type Work = (media: ModelledMedia) => void;

/** The space of each crash point; the raw enumerator must find as many states. */
function spaces(work: Work, options: ModelledOptions = {}, torn: Torn = "prefix"): bigint[] {
  const media = new ModelledMedia(1024, options);
  work(media);
  const { trace, classes } = media;
  const image = new CrashImage(new Uint8Array(1024));
  const frontier = new Frontier({ image, trace, classes, torn, level: 0 });
  const found = [...frontier.points()].map(({ space }) => space);
  expect(found.length).toBe(countCrashPoints(trace, classes));
  return found;
}

const ones = (length: number) => new Uint8Array(length).fill(1);
const memoryOf = (media: ModelledMedia) => media.window(0).memory;

const tenTimesOneByte: Work = (media) => {
  for (let i = 0; i < 10; i++) memoryOf(media).setUint8(3, i);
};
const sixteenLines: Work = (media) => {
  for (let line = 0; line < 16; line++) {
    for (let i = 0; i <= line; i++) memoryOf(media).setUint32(line * 64 + i * 4, 1, true);
  }
};
const copied: Work = (media) => copyIn(memoryOf(media), 4, ones(58));
const filled: Work = (media) => fill(memoryOf(media), 0, 128, 7);
const scalarsAndCopy: Work = (media) => {
  memoryOf(media).setUint8(0, 1);
  copyIn(memoryOf(media), 0, ones(24));
  storeBytes(memoryOf(media), 8, ones(16));
};
const flushedInBetween: Work = (media) => {
  const memory = memoryOf(media);
  memory.setUint8(0, 1);
  memory.setUint8(1, 1);
  media.flush(0, 1);
  memory.setUint8(2, 1);
  memory.setUint8(64, 1);
  media.fence();
  memory.setUint8(3, 1);
  media.fence();
};
const unfenced: Work = (media) => {
  memoryOf(media).setUint8(0, 1);
  media.flush(0, 64);
};
const unflushed: Work = (media) => {
  memoryOf(media).setUint8(0, 1);
  media.fence();
};
const copiedAround: Work = (media) => {
  media.copyNonTemporal(60, ones(72));
  media.fence();
};
const copiedAroundUnfenced: Work = (media) => media.copyNonTemporal(0, ones(64));
const threeStores: Work = (media) => {
  memoryOf(media).setUint32(0, 1, true);
  storeBytes(memoryOf(media), 8, ones(16));
  copyIn(memoryOf(media), 64, ones(16));
};
const twoLines: Work = (media) => {
  const memory = memoryOf(media);
  memory.setUint8(0, 1);
  memory.setUint8(8, 1);
  memory.setUint8(9, 1);
  copyIn(memory, 56, ones(72));
  media.fence();
};
const fiveAtoms: Work = (media) => {
  for (let i = 0; i < 4; i++) memoryOf(media).setUint32(i * 100, 1, true);
  media.flush(0, 400);
  media.fence();
};
const fourStores: Work = (media) => {
  fill(memoryOf(media), 0, 1024, 9);
  media.flush(0, 1024);
  media.fence();
};
const allFilled: Work = (media) => {
  const memory = memoryOf(media);
  memory.setUint32(0, 1, true); //   adr: 2
  memory.setUint32(512, 1, true); // eadr: a crash point before it
  memory.setUint32(64, 1, true); //  adr: 2 * 2
  memory.setUint32(768, 1, true); // volatile: nothing
  storeBytes(memory, 504, ones(16)); // adr: 2 * 2 * 2, then eadr: a crash point
  media.flush(0, 1024);
  media.fence();
  memory.setUint32(516, 1, true);
};

const spaceOf = (caching: Caching, torn: Torn): bigint | undefined =>
  spaces(twoLines, { caching: [{ start: 0, length: 1024, caching }] }, torn)[0];

describe("the space of a crash point", () => {
  test("[X1] is 1 for nothing, and n + 1 for n atoms of one line", () => {
    expect(spaces(() => {})).toEqual([1n]);
    for (const n of [1, 2, 5, 8]) {
      expect(spaces((media) => storeBytes(memoryOf(media), 0, ones(8 * n)))).toEqual([
        BigInt(n + 1),
      ]);
    }
    expect(spaces(tenTimesOneByte)).toEqual([11n]);
  });

  test("[X1] splits stores at eight-byte borders, ascending", () => {
    const at = (offset: number, length: number) =>
      spaces((media) => storeBytes(memoryOf(media), offset, ones(length)));
    expect(at(0, 8)).toEqual([2n]);
    expect(at(3, 5)).toEqual([2n]);
    expect(at(3, 6)).toEqual([3n]);
    expect(at(7, 10)).toEqual([4n]);
    // Over the border of a line the atoms are independent.
    expect(at(56, 16)).toEqual([4n]);
    expect(at(60, 8)).toEqual([4n]);
    expect(spaces((media) => memoryOf(media).setUint32(6, 1, true))).toEqual([3n]);
    expect(spaces((media) => memoryOf(media).setBigUint64(60, 1n, true))).toEqual([4n]);
  });

  test("[X1] is the product over the lines, exactly", () => {
    let factorial = 1n;
    for (let n = 2n; n <= 17n; n++) factorial *= n;
    expect(spaces(sixteenLines)).toEqual([factorial]);
    const wide = new ModelledMedia(64 * 4096);
    for (let line = 0; line < 4096; line++) wide.recorder.setBigUint64(line * 64, 1n, true);
    const image = new CrashImage(new Uint8Array(wide.size));
    const { trace, classes } = wide;
    const frontier = new Frontier({ image, trace, classes, torn: "prefix", level: 0 });
    expect([...frontier.points()][0]?.space).toBe(2n ** 4096n);
  });

  test("[X1] of a bulk copy depends on how it tears, that of scalar stores does not", () => {
    expect(spaces(copied, {}, "prefix")).toEqual([9n]);
    expect(spaces(copied, {}, "atoms")).toEqual([256n]);
    expect(spaces(copied, {}, "line")).toEqual([2n]);
    expect(spaces(filled, {}, "prefix")).toEqual([81n]);
    expect(spaces(filled, {}, "atoms")).toEqual([65536n]);
    expect(spaces(filled, {}, "line")).toEqual([4n]);
    // 1 + a scalar + a copy of 3 atoms + a store of 2.
    expect(spaces(scalarsAndCopy, {}, "prefix")).toEqual([1n + 1n + 3n + 2n]);
    expect(spaces(scalarsAndCopy, {}, "atoms")).toEqual([1n + 1n + 7n + 2n]);
    expect(spaces(scalarsAndCopy, {}, "line")).toEqual([1n + 1n + 1n + 2n]);
  });

  test("[X1] shrinks when a flush is fenced, to the stores since the flush", () => {
    // Before the first fence 3 stores and 1; after it the third store and the other line's, which
    // nobody flushed; then one store more.
    expect(spaces(flushedInBetween)).toEqual([4n * 2n, 3n * 2n, 3n * 2n]);
    expect(spaces(unfenced)).toEqual([2n]);
    expect(spaces(unflushed)).toEqual([2n, 2n]);
  });

  test("[0.21] a non-temporal copy is a store and a flush of its lines: a fence is enough", () => {
    expect(spaces(copiedAround)).toEqual([2n * 9n * 2n, 1n]);
    expect(spaces(copiedAroundUnfenced)).toEqual([9n]);
  });

  test("[2.52] [X1] a write-through or write-combined store is a store and a flush", () => {
    for (const caching of ["write-through", "write-combining"] as const) {
      const options = { caching: [{ start: 0, length: 1024, caching }] };
      const work: Work = (media) => {
        memoryOf(media).setUint8(0, 1);
        memoryOf(media).setUint8(1, 1);
        media.fence();
        memoryOf(media).setUint8(2, 1);
      };
      expect(spaces(work, options)).toEqual([3n, 2n]);
    }
  });

  test("[2.75] [X1] what is written through keeps its order, what is combined does not", () => {
    // Three stores and the first atom of a copy; eight more of it; one more.
    expect(spaceOf("write-through", "prefix")).toBe(5n * 9n);
    // Atoms by themselves: of 1, 2 and 1 stores; eight of one; whatever is said of copies.
    for (const torn of ["prefix", "atoms", "line"] as const) {
      expect(spaceOf("write-combining", torn)).toBe(2n * 3n * 2n * 256n);
    }
  });

  test("[2.112] an uncached store is durable when it is made, in order", () => {
    const options = { caching: [{ start: 0, length: 1024, caching: "uncached" as const }] };
    // One state before each of the five atoms, whatever the order of copies may be elsewhere.
    for (const torn of ["prefix", "atoms", "line"] as const) {
      expect(spaces(threeStores, options, torn)).toEqual([1n, 1n, 1n, 1n, 1n, 1n]);
    }
  });

  test("[0.19] battery-backed memory leaves the prefixes of the trace", () => {
    // Four stores, a fence, the end; one state each.
    expect(spaces(fiveAtoms, { domain: "eadr" })).toEqual([1n, 1n, 1n, 1n, 1n, 1n]);
  });

  test("[X1] volatile memory leaves one state: nothing", () => {
    expect(spaces(fourStores, { domain: "volatile" })).toEqual([1n, 1n]);
  });

  test("[4.5] mixed ranges are joint states: ADR lines as they are at each other store", () => {
    const domains = [
      { start: 0, length: 512, domain: "adr" as const },
      { start: 512, length: 256, domain: "eadr" as const },
      { start: 768, length: 256, domain: "volatile" as const },
    ];
    expect(spaces(allFilled, { domains })).toEqual([2n, 8n, 8n, 1n, 1n]);
  });
});

function lineOf(state: Uint8Array, line: number): Uint8Array {
  return state.subarray(line * 64, line * 64 + 64);
}

function changedLines(a: Uint8Array, b: Uint8Array): number {
  return [0, 1, 2, 3].filter((line) => !same(lineOf(a, line), lineOf(b, line))).length;
}

test("[X1] the raw enumerator visits as many states as the closed form, all different", () => {
  const media = new ModelledMedia(256);
  const memory = memoryOf(media);
  copyIn(memory, 0, ones(20));
  storeBytes(memory, 64, ones(16));
  media.flush(64, 1);
  memory.setUint8(80, 2);
  memory.setUint8(255, 3);
  for (const torn of ["prefix", "atoms", "line"] as const) {
    const image = new CrashImage(new Uint8Array(256));
    const { trace, classes } = media;
    const frontier = new Frontier({ image, trace, classes, torn, level: 0 });
    for (const { space } of frontier.points()) {
      const states = new RawStates(frontier, image.bytes, trace, torn);
      const seen = new Set<string>();
      const changes: number[] = [];
      let before = states.bytes;
      const visited = states.visit((state) => {
        seen.add(state.join());
        changes.push(changedLines(before, state));
        before = state.slice();
      });
      // Neighbours differ in one line: that is what makes it fast.
      expect(changes.slice(1).every((lines) => lines === 1)).toBe(true);
      expect(BigInt(visited)).toBe(space);
      expect(states.space).toBe(space);
      expect(BigInt(seen.size)).toBe(space);
    }
  }
});

test("[X1] the raw enumerator stops when it is told to", () => {
  const media = new ModelledMedia(128);
  fill(memoryOf(media), 0, 128, 1);
  const image = new CrashImage(new Uint8Array(128));
  const { trace, classes } = media;
  const frontier = new Frontier({ image, trace, classes, torn: "prefix", level: 0 });
  for (const _ of frontier.points()) {
    let left = 5;
    expect(new RawStates(frontier, image.bytes, trace, "prefix").visit(() => --left > 0)).toBe(5);
  }
});
