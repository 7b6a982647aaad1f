/**
 * Mutated conversations with the NBD server: cheap, so there are many. None may throw, take
 * unbounded memory, make the store do what was not checked, or end in a malformed reply.
 */
import { expect, test } from "vitest";
import { fuzz } from "../support/fuzz.ts";
import { nbdTarget } from "../support/fuzz-nbd.ts";

const CASES = process.env["CI"] === undefined ? 10_000 : 100_000;

test(`${CASES} conversations`, async () => {
  const { outcomes, errors } = await fuzz(nbdTarget, { seed: 10_809, cases: CASES });
  expect([...outcomes.keys(), ...errors.keys()]).toEqual(
    expect.arrayContaining([...nbdTarget.reaches, "EIO"]),
  );
}, 120_000);
