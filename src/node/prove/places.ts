/**
 * Bytes of a volume in words of its filesystem: which file, which directory, which field of which
 * inode, which part of the journal.
 *
 * @module
 */
import { RamDisk } from "../../block/ram-disk.ts";
import type { Replay } from "../../crash/replay.ts";
import type { LineNote, PowerCut } from "../../crash/verdict.ts";
import { LINE_BYTES } from "../../media/trace.ts";
import { type Region, regionsOn } from "./regions.ts";
import type { Underlay } from "./underlay.ts";
import type { Place } from "./volume-verdict.ts";

/** What was lost of a counter-example, and what arrived, in words. */
export function placesIn(
  { imageOf, unit }: Underlay,
  { initial, final }: { readonly initial: Uint8Array; readonly final: Uint8Array },
  told: Replay,
  cuts: readonly PowerCut[],
): Place[] {
  const left = told.cuts[0]?.left ?? initial;
  // What a file was called before counts as well as what it is called in the end.
  const regions = [final, left, initial].flatMap((lines) => regionsOf(imageOf(lines)));
  const say = (lines: readonly LineNote[], fate: Place["fate"]): Place[] =>
    lines.flatMap(({ changes }) =>
      changes.map(({ start: at, new: bytes }) => {
        // Behind a line of a disk lies a sector; lines of memory are what they are.
        const isMemory = unit === LINE_BYTES;
        const start = isMemory ? at : Math.floor(at / LINE_BYTES) * unit;
        const length = isMemory ? bytes.length : unit;
        return { start, length, words: wordsFor(regions, start), fate };
      }),
    );
  return cuts.flatMap(({ lost, arrived }) => [...say(lost, "lost"), ...say(arrived, "arrived")]);
}

/** What lies at a byte of a volume, in words. */
export function placeAt({ imageOf }: Underlay, lines: readonly Uint8Array[], at: number): string {
  return wordsFor(
    lines.flatMap((each) => regionsOf(imageOf(each))),
    at,
  );
}

function wordsFor(regions: readonly Region[], at: number): string {
  const found = regions.find(({ start, length }) => start <= at && at < start + length);
  return found === undefined ? "a block that no file has" : found.words(at - found.start);
}

function regionsOf(image: Uint8Array): Region[] {
  const bytes = Uint8Array.from(image);
  return [...regionsOn(new RamDisk({ name: "ram0", bytes }))];
}
