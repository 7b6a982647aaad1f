/**
 * The memory map against a kernel's: the same options, the same map.
 */
import { describe, expect, test } from "vitest";
import { type E820Entry, bootLogLines } from "../../src/platform/e820.ts";
import { applyMem, applyMemmap, effectLogLine, finishUserMap } from "../../src/platform/memmap.ts";
import { sanitise } from "../../src/platform/sanitise.ts";
import { firmwareMap, kernelRuns } from "./memory-map-corpus.ts";

test("the corpus is there", () => {
  expect(firmwareMap).toHaveLength(8);
  expect(kernelRuns.length).toBeGreaterThanOrEqual(17);
});

describe("[2.4] [2.90] [2.93] [2.94] [2.97] Linux 6.1 prints the same map", () => {
  test.each(kernelRuns)("$options", ({ options, map, log }) => {
    let entries: readonly E820Entry[] = sanitise(firmwareMap) ?? [];
    const messages: string[] = [];
    for (const option of options) {
      const [, name, text = ""] = /^(mem|memmap)=(.*)$/u.exec(option) ?? [];
      const result = name === "mem" ? applyMem(entries, text) : applyMemmap(entries, [text]);
      entries = result.entries;
      for (const { effect } of result.elements) {
        const line = effect === undefined ? undefined : effectLogLine(effect);
        if (line !== undefined) messages.push(line);
      }
    }
    const final = finishUserMap({ entries: [...entries], userDefined: true });
    expect(bootLogLines(final, "user")).toEqual(map);
    const ours = log.slice(
      0,
      log.findIndex((line) => line.includes("0x00000000-0x00000fff")),
    );
    expect(messages.map((line) => line.trim())).toEqual(ours.map((line) => line.trim()));
  });
});
