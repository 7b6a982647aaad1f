/**
 * No space, at every step: of calls of every kind the first so many allocations are granted, and
 * then none. What finds no room says so, changes nothing of the tree unless it writes, and leaves
 * an image of which the check has nothing to say.
 */
import { describe, expect, test } from "vitest";
import { complaints } from "../support/ext-writing.ts";
import { KINDS, WORK, isPartial, prepared, runOut } from "../support/no-space.ts";
import { WHOLE, inSlices } from "../support/slices.ts";

/** Allocations that are granted at most. */
const MOST = process.env["DAXKIT_LONG"] === undefined ? (WHOLE ? 10 : 4) : 60;

describe.each(inSlices(Object.entries(KINDS), 2))("%s", (_, options) => {
  const image = prepared(options);

  test.each(Object.entries(WORK))("%s", (work, calls) => {
    const extents = options.type === "ext4";
    let refusals = 0;
    for (const what of ["blocks", "inodes"] as const) {
      for (let most = 0; most < MOST; most++) {
        const copy = image.slice();
        const refused = runOut(copy, calls, what, most);
        expect({ what, most, said: complaints(copy) }).toEqual({ what, most, said: [] });
        if (refused === undefined) break;
        refusals++;
        const { call, before, after } = refused;
        expect({ call, after: isPartial(call) ? before : after }).toEqual({ call, after: before });
      }
    }
    // A block map has no extents to be cut, and nothing is allocated for it before it is written.
    const needsNone = !extents && (work === "holes" || work === "allocation");
    expect(refusals > 0).toBe(!needsNone);
  });
});
