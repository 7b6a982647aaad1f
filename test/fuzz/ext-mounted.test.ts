/**
 * Damaged images that are mounted for writing and changed: every error is typed, nothing hangs, and
 * nothing is written where it does not belong. CI makes 10,000 calls; `npm run fuzz -- ext-writing
 * --cases 25000` makes a million.
 */
import { expect, test } from "vitest";
import { fuzz } from "../support/fuzz.ts";
import { CALLS_OF_A_CASE, extWritingTarget } from "../support/fuzz-ext-writing.ts";
import { WHOLE } from "../support/slices.ts";

const CALLS = WHOLE ? 10_000 : 1200;

test(`${CALLS} calls`, { timeout: 600_000 }, async () => {
  const cases = CALLS / CALLS_OF_A_CASE;
  const { outcomes, errors } = await fuzz(extWritingTarget, { seed: 20_151, cases });
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining([...extWritingTarget.reaches]));
  expect([...errors.keys()]).toEqual(expect.arrayContaining(["EUCLEAN", "EBADMSG", "ENOSPC"]));
});
