/**
 * Reads fixtures/memmap/linux-6.1.txt: what a kernel made of memory options.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { E820Entry } from "../../src/format/e820.ts";

/** One section of the file. */
export interface KernelRun {
  /** `memmap=64M!512M`, `mem=900M`: the options in their order. */
  readonly options: readonly string[];
  /** The `user:` lines. */
  readonly map: readonly string[];
  /** The `e820:` lines. */
  readonly log: readonly string[];
  readonly driver: readonly string[];
  readonly iomem: readonly string[];
  /** The outputs of `ndctl list -RNDi` and `-RNDiBu`, where the file has them. */
  readonly list: string | undefined;
  readonly listHuman: string | undefined;
}

const path = join(import.meta.dirname, "../../fixtures/memmap/linux-6.1.txt");
const sections = readFileSync(path, "utf8").split(/^=== /mu).slice(1);

const WORDS = new Map([
  ["usable", 1],
  ["reserved", 2],
]);

/** The firmware's map, before any option. */
export const firmwareMap: readonly E820Entry[] = (sections[0] ?? "")
  .split("\n")
  .slice(1, -1)
  .map((line) => {
    const [, start, last, word] = /mem 0x(\w+)-0x(\w+)\] (\w+)$/u.exec(line) ?? [];
    const from = BigInt(`0x${start}`);
    return { start: from, length: BigInt(`0x${last}`) + 1n - from, type: WORDS.get(word!)! };
  });

/** Every run of the file. */
export const kernelRuns: readonly KernelRun[] = sections.slice(1).map((section) => {
  const [head = "", ...lines] = section.split("\n");
  const block = (title: string): string[] | undefined => {
    const from = lines.indexOf(title) + 1;
    if (from === 0) return undefined;
    const length = lines.slice(from).findIndex((line) => !line.startsWith("  "));
    return lines.slice(from, from + length).map((line) => line.slice(2));
  };
  return {
    options: head.split(" "),
    map: lines.filter((line) => line.startsWith("user: ")),
    log: lines.filter((line) => line.startsWith("e820: ")),
    driver: lines.filter((line) => line.startsWith("nd_pmem")),
    iomem: block("iomem") ?? [],
    list: block("ndctl list -RNDi")?.join("\n"),
    listHuman: block("ndctl list -RNDiBu")?.join("\n"),
  };
});
