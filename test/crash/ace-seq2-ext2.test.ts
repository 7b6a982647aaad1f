/** Every workload of two calls: ext2. A file of its own, so that another core has the others. */
import { expect, test } from "vitest";
import { runSeq2 } from "../support/ace-seq2.ts";

test("seq-2 survives: ext2", () => {
  expect(runSeq2("ext2")).toEqual([]);
}, 900_000);
