/**
 * The tour: what `npm start` shows is what happened.
 */
import { expect, test } from "vitest";
import { daxkit, jsonLines } from "../support/daxkit.ts";

interface Step {
  readonly step: string;
}

test("the tour flushes where it must, reads what was promised and finds what is lost", () => {
  const { status, stdout, stderr } = daxkit(["tour", "--json"], {});
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const steps = jsonLines(stdout) as Step[];
  expect(steps.map(({ step }) => step)).toEqual([
    "boot",
    "store",
    "image",
    "proof",
    "proof",
    "proof",
  ]);
  const [, store, image, ...proofs] = steps;
  expect(store).toMatchObject({
    stores: [
      { device: "pmem0", flushedLines: 0 },
      { device: "pmem1", flushedLines: 64 },
      { device: "ram0", flushedLines: 0 },
    ],
  });
  expect(image).toMatchObject({ files: 369, bytes: 8_272_954, wrongSums: 0, flushes: 0 });
  expect(proofs).toMatchObject([
    { verdict: { kind: "Survived" } },
    { verdict: { kind: "Lost", missing: [{ flush: { offset: 64, length: 19 }, fence: false }] } },
    { verdict: { kind: "Lost", missing: [{ fence: true }] } },
  ]);
});

test("the tour for people prints the same counter-examples", () => {
  const { status, stdout } = daxkit(["tour"], {});
  expect(status).toBe(0);
  expect(stdout).toMatch(/SURVIVED {2}append-only log/u);
  expect(stdout).toMatch(/missing +mapping\.flush\(64, 19\) after event 0/u);
  expect(stdout).toMatch(/missing +mapping\.fence\(\) after event 1/u);
});
