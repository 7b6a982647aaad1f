/** What a report says of a verdict. */
import { describe, expect, test } from "vitest";
import { report } from "../../src/crash/prove.ts";
import { counter } from "../support/counter-proof.ts";
import { lostBy } from "../support/verdicts.ts";

describe("the report", () => {
  test("says how far a store to battery-backed memory came", () => {
    const verdict = lostBy({
      ...counter,
      domain: "eadr",
      workload({ mapping, ack }) {
        for (let i = 0; i < 60; i++) mapping.setU8(100 + i, 1);
        mapping.store(0, new Uint8Array(24).fill(1));
        ack(1);
      },
      check: ({ mapping }) => mapping.u64(0) === mapping.u64(16),
    });
    const lines = report(verdict);
    expect(lines.join("\n")).toMatch(/power cut {4}in the workload 8 bytes into event 60 \(store/u);
    expect(lines.find((line) => line.includes("store of 24 bytes"))).toMatch(
      /TORN {2}<- power cut/u,
    );
  });

  test("leaves out the middle of a long epoch", () => {
    const verdict = lostBy({
      ...counter,
      size: 4096,
      workload({ mapping }) {
        for (let i = 0; i < 100; i++) mapping.setU64(i * 8, 1);
      },
      check: ({ mapping }) => mapping.u64(0) === 1n || mapping.u64(99 * 8) === 0n,
    });
    const lines = report(verdict);
    expect(lines).toContain("    ... 61 more events ...");
    expect(lines.length).toBeLessThan(70);
    expect(lines.some((line) => /^ +0 {2}store .* LOST$/u.test(line))).toBe(true);
    expect(lines.some((line) => /^ +99 {2}store .* arrived$/u.test(line))).toBe(true);
  });

  test("paints without changing a word, and shortens paths", () => {
    const verdict = lostBy({
      ...counter,
      workload: ({ ack, mapping }) => {
        mapping.setU64(0, 1);
        ack(1);
      },
    });
    const plain = report(verdict, { shorten: () => "here.ts" });
    const painted = report(verdict, {
      shorten: () => "here.ts",
      paint: (style, words) => `<${style}>${words}</${style}>`,
    });
    expect(painted.map((line) => line.replaceAll(/<\/?\w+>/gu, "").trimEnd())).toEqual(
      plain.map((line) => line.trimEnd()),
    );
    expect(painted[0]).toBe("<bad>LOST</bad>  <strong>counter</strong>");
    expect(plain.join("\n")).toContain("here.ts:");
  });
});
