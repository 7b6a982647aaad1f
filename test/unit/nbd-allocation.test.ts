/**
 * What the engines promise of payloads: in steady state a request makes no objects, whatever its
 * size. Measured in V8's own books.
 */
import { expect, test } from "vitest";
import { libc } from "../../src/node/libc.unsafe.ts";
import { answerOf } from "../support/child.ts";
import { places, scratch } from "../support/scratch.ts";

const none = libc() === undefined;
const why = none ? " (no foreign calls here)" : "";
const NODE = ["--expose-gc", "--no-concurrent-recompilation"];
/**
 * Bytes a request. Numbers beyond 2^31 are boxed on their way to a foreign call, 16 bytes each: 18
 * to 45 were seen. With one view a request it was 112 and more in every round.
 */
const MOST_BYTES = 64;

test.skipIf(none).each([
  ["read", 4096],
  ["write", 4096],
  ["read", 32_768],
  ["write", 32_768],
] as const)(`a %s of %i bytes makes no objects${why}`, (direction, length) => {
  const args = [scratch(places["tmpfs"]), direction, String(length)];
  expect(answerOf("nbd-allocation", args, { node: NODE })).toBeLessThan(MOST_BYTES);
});
