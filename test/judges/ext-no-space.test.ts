/**
 * What is left of an image when space ends in the midst of calls of every kind: e2fsck has nothing
 * to say about it.
 */
import { describe, expect, test } from "vitest";
import { KINDS, WORK, prepared, runOut } from "../support/no-space.ts";
import { WHOLE, inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const judge = programs(["e2fsck"], "apt-get install e2fsprogs");
/** Allocations that are granted at most. */
const MOST = WHOLE ? 8 : 2;

describe.skipIf(judge.missing)(`e2fsck${judge.hint}`, () => {
  test.each(inSlices(Object.entries(KINDS), 3))("%s", (_, options) => {
    const image = prepared(options);
    for (const [work, calls] of Object.entries(WORK)) {
      for (let most = 0; most < MOST; most++) {
        const copy = image.slice();
        const refused = runOut(copy, calls, "blocks", most);
        expect({ work, most, said: e2fsckSays(copy) }).toEqual({ work, most, said: [] });
        if (refused === undefined) break;
      }
    }
  });
});
