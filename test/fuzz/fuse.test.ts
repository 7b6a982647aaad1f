/**
 * Mutated conversations of a kernel with a session: typed errors only, answers that are whole, an
 * end that leaves nothing behind, and volumes that stay sound.
 */
import { expect, test } from "vitest";
import { fuzz } from "../support/fuzz.ts";
import { FRAMES_A_CASE, fuseTarget } from "../support/fuzz-fuse.ts";
import { WHOLE } from "../support/slices.ts";

const CASES = WHOLE ? 100 : 15;

test(`${CASES * FRAMES_A_CASE} frames`, { timeout: 120_000 }, async () => {
  const { outcomes, errors } = await fuzz(fuseTarget, { seed: 20_153, cases: CASES });
  expect([...outcomes.keys(), ...errors.keys()]).toEqual(
    expect.arrayContaining([...fuseTarget.reaches, "ENOENT", "ESTALE", "EINVAL", "ENOTDIR"]),
  );
});
