/**
 * A full leaf of a hash tree, cut in two: which names stay and which ones go.
 *
 * @module
 */
import { assert } from "../../lib/errno.ts";
import { type NamedEntry, entryLength } from "./entry-area.ts";

/** An entry with the hash that orders it. */
export interface HashedEntry extends NamedEntry {
  readonly hash: number;
}

/** The halves of a leaf. */
export interface SplitLeaf {
  readonly lower: readonly HashedEntry[];
  readonly upper: readonly HashedEntry[];
  /** The key of the upper half; bit 0 says that the lower one has names of this hash as well. */
  readonly key: number;
}

/**
 * Cuts entries, in any order, into halves of about the same number of bytes; of at least two. An
 * entry takes hardly more than a fourth of a block, so what does not fit one always fits two.
 */
export function splitLeaf(entries: readonly HashedEntry[]): SplitLeaf {
  assert(entries.length > 1, "a leaf of one entry cannot be split");
  const sorted = entries.toSorted((a, b) => a.hash - b.hash);
  const at = middleOf(sorted);
  const [lower, upper] = [sorted.slice(0, at), sorted.slice(at)];
  const [last, first] = [lower.at(-1), upper[0]] as [HashedEntry, HashedEntry];
  return { lower, upper, key: first.hash + (last.hash === first.hash ? 1 : 0) };
}

/** How many entries come before the cut that leaves the least difference between the halves. */
function middleOf(entries: readonly HashedEntry[]): number {
  const total = entries.reduce((sum, { name }) => sum + entryLength(name.length), 0);
  let [best, least, before] = [1, total, 0];
  for (let at = 1; at < entries.length; at++) {
    before += entryLength((entries[at - 1] as HashedEntry).name.length);
    const difference = Math.abs(total - 2 * before);
    if (difference >= least) continue;
    [best, least] = [at, difference];
  }
  return best;
}
