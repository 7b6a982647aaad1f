/**
 * Persistence domains: which part of a media keeps what, when power goes.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { ByteRange, DomainRange, PersistenceDomain } from "./media.ts";

/** One domain for all of `size` bytes. */
export function uniformDomain(size: number, domain: PersistenceDomain): readonly DomainRange[] {
  return [{ start: 0, length: size, domain }];
}

/**
 * The given domains, sorted, with equal neighbours merged.
 * @throws EINVAL unless they are disjoint and cover exactly `[0, size)`
 */
export function coverWithDomains(
  size: number,
  domains: readonly DomainRange[],
): readonly DomainRange[] {
  const sorted = domains.toSorted((a, b) => a.start - b.start);
  const merged: DomainRange[] = [];
  let at = 0;
  for (const { start, length, domain } of sorted) {
    if (start !== at || !(length > 0) || !Number.isSafeInteger(start + length)) {
      throw badDomains(`${domain} at ${start}+${length} where byte ${at} is next`);
    }
    const last = merged.at(-1);
    if (last?.domain === domain) {
      merged[merged.length - 1] = { ...last, length: last.length + length };
    } else merged.push({ start, length, domain });
    at = start + length;
  }
  if (at !== size) throw badDomains(`they end at byte ${at}, the media at ${size}`);
  return merged;
}

function badDomains(detail: string): DaxError {
  return new DaxError("EINVAL", {
    detail: `persistence domains must cover the media without gap or overlap: ${detail}`,
  });
}

/** The range that holds `offset`; they are sorted and covering, and `offset` is inside. */
export function rangeAround<R extends ByteRange>(ranges: readonly R[], offset: number): R {
  let low = 0;
  let high = ranges.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (ranges[middle]!.start <= offset) low = middle;
    else high = middle - 1;
  }
  return ranges[low]!;
}
