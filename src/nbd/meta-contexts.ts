/**
 * Meta contexts: what BLOCK_STATUS can tell of an export. `base:allocation` is the
 * specification's, `daxkit:dirty` tells which ranges were written since a mark.
 *
 * @module
 */
import { NBD_STATE_DIRTY, NBD_STATE_HOLE, NBD_STATE_ZERO } from "../format/nbd.ts";
import type { NbdExport } from "./export.ts";

/** The contexts, as they are spelled on the wire. */
export const BASE_ALLOCATION = "base:allocation";
/** Ranges written since a mark, where the export keeps a map; flag 1: written. */
export const DAXKIT_DIRTY = "daxkit:dirty";

/** A run of bytes with one status. */
export interface StatusExtent {
  readonly length: number;
  readonly status: number;
}

/** The id of a context, the same in every session. */
export function contextId(name: string): number {
  return name === BASE_ALLOCATION ? 1 : 2;
}

/** What an export can tell. */
export function contextsOf(target: NbdExport): string[] {
  return target.dirty === undefined ? [BASE_ALLOCATION] : [BASE_ALLOCATION, DAXKIT_DIRTY];
}

function matches(name: string, query: string): boolean {
  return query === name || (query.endsWith(":") && name.startsWith(query));
}

/** The contexts that queries list: none asks for all, `base:` and `daxkit:` for a namespace. */
export function listContexts(target: NbdExport, queries: readonly string[]): string[] {
  const all = contextsOf(target);
  if (queries.length === 0) return all;
  return all.filter((name) => queries.some((query) => matches(name, query)));
}

/** The contexts that queries select: by their whole names only. */
export function selectContexts(target: NbdExport, queries: readonly string[]): string[] {
  return contextsOf(target).filter((name) => queries.includes(name));
}

/** What a context says of a range, in order; the last extent may reach beyond it. */
export function* statusOf(
  target: NbdExport,
  name: string,
  offset: number,
  length: number,
): Generator<StatusExtent, void> {
  if (name === DAXKIT_DIRTY) {
    for (const extent of target.dirty?.extents(offset, length) ?? []) {
      yield { length: extent.length, status: extent.dirty ? NBD_STATE_DIRTY : 0 };
    }
    return;
  }
  for (const extent of target.store.allocation(offset, length)) {
    const hole = extent.hole ? NBD_STATE_HOLE : 0;
    yield { length: extent.length, status: hole | (extent.zero ? NBD_STATE_ZERO : 0) };
  }
}
