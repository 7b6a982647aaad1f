/**
 * Damaged images that are changed by paths, open files and mappings: every error is typed, and
 * nothing hangs.
 */
import { expect, test } from "vitest";
import { fuzz } from "../support/fuzz.ts";
import { treeTarget } from "../support/fuzz-tree.ts";
import { WHOLE } from "../support/slices.ts";

const CASES = Number(process.env["DAXKIT_TREE_CASES"] ?? (WHOLE ? 300 : 60));

test(`${CASES} images`, { timeout: 600_000 }, async () => {
  const { outcomes, errors } = await fuzz(treeTarget, { seed: 20_152, cases: CASES });
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining([...treeTarget.reaches]));
  expect([...errors.keys()]).toEqual(expect.arrayContaining(["EUCLEAN", "EACCES", "ENOENT"]));
});
