/** Hostile `memmap=` and `mem=` lines, and firmware tables, up to the devices they would make. */
import { BootE820Entry, decodeE820 } from "../../src/format/e820.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { parseSize } from "../../src/lib/size.ts";
import {
  ADDRESS_SPACE,
  type E820Entry,
  type PlatformProfile,
  bootLogLines,
  maxPfn,
  nosaveRanges,
} from "../../src/platform/e820.ts";
import { iomemText, reserveEarly, reserveLate } from "../../src/platform/iomem.ts";
import {
  type MemmapResult,
  applyMem,
  applyMemmap,
  effectLogLine,
  finishUserMap,
} from "../../src/platform/memmap.ts";
import { RegionIds, checkAttach, createRegion, legacyRanges } from "../../src/platform/regions.ts";
import { ResourceTree } from "../../src/platform/resources.ts";
import { sanitise } from "../../src/platform/sanitise.ts";
import { firmwareMap } from "../conformance/memory-map-corpus.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { nastyNumber } from "./fuzz-damage.ts";
import { damageText } from "./fuzz-text.ts";

const LINES = [
  "64M!4G",
  "64M!4G,64M!4160M",
  "exactmap,640K@0,1G@1M,64M!2G",
  "2M#0x7fe0000",
  "1M$512M",
  "4K%0x1000-1+12",
  "64M%1G-1",
  "64M%1G+2",
  "1G",
  "0x100000@0x100000",
];

const WORDS = ["exactmap", "!", "@", "#", "$", "%", "-", "+", ",", "K", "M", "G", "T", "0x", "nn"];

/** Random lines, most of them near to what the kernel takes. */
function linesOf(prng: Prng): string[] {
  return Array.from({ length: 1 + prng.below(4) }, () => {
    const line = Array.from({ length: 1 + prng.below(3) }, () => prng.pick(LINES)).join(",");
    return prng.below(4) === 0 ? line : damageText(line, prng, WORDS, 3000);
  });
}

function nasty64(prng: Prng): bigint {
  return nastyNumber(prng, 64, 0x1_0000_0000n, [2 ** 20, 2 ** 30, 2 ** 52]);
}

/** The firmware's own map, or one of any entries, as they lie in memory. */
function tableOf(prng: Prng, notes: CaseNotes): E820Entry[] {
  if (prng.below(3) !== 0) return [...firmwareMap];
  const size = 20;
  const count = prng.pick([0, 1, 2, 3, 20, 128, 3200]);
  const view = new DataView(new ArrayBuffer(count * size + (prng.below(8) === 0 ? 7 : 0)));
  for (let i = 0; i < count; i++) {
    BootE820Entry.addr.set(view, i * size, nasty64(prng));
    BootE820Entry.size.set(view, i * size, nasty64(prng) >> BigInt(prng.below(60)));
    BootE820Entry.type.set(view, i * size, prng.pick([0, 1, 2, 3, 4, 5, 6, 7, 12, prng.u32()]));
  }
  notes.say(`a table of ${count} entries`);
  return decodeE820(view, prng.below(4) === 0 ? prng.pick([0, count, count + 1, -1]) : undefined);
}

class MemmapSubject implements FuzzSubject {
  run(prng: Prng, notes: CaseNotes): string {
    const profile = prng.pick<PlatformProfile>(["modern", "v4.1"]);
    const lines = linesOf(prng);
    notes.say(`${profile}: memmap=${JSON.stringify(lines)}`);
    const table = tableOf(prng, notes);
    let entries = sanitise(table, { profile }) ?? table;
    if (prng.below(3) === 0) entries = this.#limit(entries, prng, notes);
    const result = applyMemmap(entries, lines);
    this.#look(result, profile, notes);
    entries = finishUserMap(result, profile);
    if (result.userDefined) checkMap(entries);
    bootLogLines(entries, "user", profile);
    maxPfn(entries, profile);
    nosaveRanges(entries, profile);
    const devices = this.#boot(entries, profile, notes);
    return devices === 0 ? "a map" : "a map with devices";
  }

  #limit(entries: E820Entry[], prng: Prng, notes: CaseNotes): E820Entry[] {
    const text = damageText(prng.pick(["4G", "900M", "0x40000000"]), prng, WORDS, 200);
    notes.say(`mem=${JSON.stringify(text)}`);
    notes.attempt(() => parseSize(text));
    const result = applyMem(entries, text);
    this.#look(result, "modern", notes);
    return result.entries;
  }

  #look({ elements, lost }: MemmapResult, profile: PlatformProfile, notes: CaseNotes): void {
    for (const { effect, error } of elements) {
      if (effect !== undefined) effectLogLine(effect, profile);
      if (error === undefined) continue;
      if (!(error instanceof DaxError)) throw error;
      notes.errors.push(error.code);
    }
    if (lost.length > 0) notes.say(`${lost.length} entries lost`);
  }

  #boot(entries: readonly E820Entry[], profile: PlatformProfile, notes: CaseNotes): number {
    const tree = new ResourceTree("PCI mem", (1n << 52n) - 1n);
    reserveEarly(tree, entries, profile);
    reserveLate(tree, entries, profile);
    iomemText(tree);
    const ids = new RegionIds();
    let devices = 0;
    for (const range of legacyRanges(entries)) {
      const region = createRegion({ ...range, provider: "e820" }, ids);
      notes.attempt(() => {
        checkAttach(region);
        tree.request(region, region.namespace.name);
        devices++;
      });
    }
    return devices;
  }
}

/** A map of the user's own is within 64 bits; firmware's may be as odd as it came. */
function checkMap(entries: readonly E820Entry[]): void {
  for (const { start, length } of entries) {
    if (start < 0n || length < 0n || start + length > ADDRESS_SPACE) {
      throw new Error(`entry ${start}+${length}`);
    }
  }
}

/** Memory options. */
export const memmapTarget: FuzzTarget = {
  name: "memmap",
  weight: 15,
  reaches: ["a map", "a map with devices", "refused", "EINVAL"],
  open: () => new MemmapSubject(),
};
