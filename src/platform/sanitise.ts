/**
 * Sanitising an e820 map: overlaps resolved, neighbours merged, sorted.
 *
 * @module
 */
import { E820_TYPE_PRAM, E820_TYPE_SOFT_RESERVED } from "../format/e820.ts";
import { ADDRESS_SPACE, E820_MAX_ENTRIES, type E820Entry, type PlatformProfile } from "./e820.ts";

/** How a map is sanitised. */
export interface SanitiseOptions {
  readonly profile?: PlatformProfile;
  /** Entries that the output may have; further ones are lost silently, as in the kernel. */
  readonly capacity?: number;
}

/**
 * Where ranges overlap the numerically largest type wins. Abutting ranges of one type merge, but
 * legacy persistent memory (12) never does, and today soft-reserved memory neither: each of their
 * entries is split at every edge of whatever lies under or over it, so that every piece becomes a
 * device of its own.
 *
 * Returns `undefined`, the kernel's -1, for fewer than two entries and for one that reaches past
 * 2^64; the caller keeps its map then.
 */
export function sanitise(
  entries: readonly E820Entry[],
  options: SanitiseOptions = {},
): E820Entry[] | undefined {
  const { profile = "modern", capacity = E820_MAX_ENTRIES } = options;
  if (entries.length < 2) return undefined;
  if (entries.some(({ start, length }) => start + length >= ADDRESS_SPACE)) return undefined;
  const live = new LiveTypes();
  const output: E820Entry[] = [];
  let last = 0;
  let start = 0n;
  for (const { at, opens, type } of changePoints(entries)) {
    if (opens) live.add(type);
    else live.delete(type);
    const current = live.largest();
    if (current === last && !neverMerges(current, profile)) continue;
    if (last !== 0 && at > start) {
      output.push({ start, length: at - start, type: last });
      if (output.length >= capacity) break;
    }
    start = at;
    last = current;
  }
  return output;
}

function neverMerges(type: number, profile: PlatformProfile): boolean {
  return type === E820_TYPE_PRAM || (profile === "modern" && type === E820_TYPE_SOFT_RESERVED);
}

interface ChangePoint {
  readonly at: bigint;
  /** Whether the entry starts here, or ends. */
  readonly opens: boolean;
  readonly type: number;
}

/** At one address starts come before ends, or abutting entries of one type would not merge. */
function changePoints(entries: readonly E820Entry[]): ChangePoint[] {
  const points: ChangePoint[] = [];
  for (const { start, length, type } of entries) {
    if (length === 0n) continue;
    points.push({ at: start, opens: true, type }, { at: start + length, opens: false, type });
  }
  return points.toSorted((a, b) =>
    a.at === b.at ? Number(b.opens) - Number(a.opens) : a.at < b.at ? -1 : 1,
  );
}

/** A multiset of types that knows its largest member. */
class LiveTypes {
  readonly #counts = new Map<number, number>();

  add(type: number): void {
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
  }

  delete(type: number): void {
    const count = this.#counts.get(type) ?? 0;
    if (count > 1) this.#counts.set(type, count - 1);
    else this.#counts.delete(type);
  }

  /** 0 when nothing lives. */
  largest(): number {
    let largest = 0;
    for (const type of this.#counts.keys()) if (type > largest) largest = type;
    return largest;
  }
}
