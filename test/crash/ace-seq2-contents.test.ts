/** Every workload of two calls: ext4, contents first. Its own file: another core has the others. */
import { expect, test } from "vitest";
import { runSeq2, operationsOn } from "../support/ace-seq2.ts";

test("seq-2 survives: ext4, calls on contents first", () => {
  expect(runSeq2("ext4", operationsOn("contents"))).toEqual([]);
}, 900_000);
