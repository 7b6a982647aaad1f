/**
 * Changes of where the bytes of a file lie, while it is mapped: mappings lose the pages first, so
 * that nobody loads from or stores to blocks that are another's by then, and who has memory of them
 * that cannot be taken back is dealt with (Linux: `dax_break_layouts`, `truncate_pagecache`).
 *
 * @module
 */
import { AddressSpaces } from "../dax/address-spaces.ts";
import type { LayoutRange, WhenBusy } from "../dax/layout-change.ts";
import { changingLayout } from "../dax/layout-change.ts";
import { runToEnd } from "../dax/steps.ts";
import type { Inode } from "./filesystem.ts";
import { denied } from "./permissions.ts";
import { FALLOCATE_MODES, type FallocateMode } from "./writing.ts";

/** What to do about memory that was handed out and may be stored to. */
export interface LayoutOptions {
  /**
   * `fail`, unless given: EBUSY. `revoke`: mappings that can be ended are. A function is asked
   * before each further try, with who is in the way; it may have somebody let go, and answers
   * whether to try again. Linux waits.
   */
  readonly whenBusy?: WhenBusy | undefined;
}

/**
 * Changes the layout of a file from byte `offset` on. @throws EBUSY while bytes of the range are in
 * a raw array that may be stored to, or are pinned; with nothing changed
 */
export function changeLayout(
  inode: Inode,
  range: LayoutRange,
  { whenBusy = "fail" }: LayoutOptions,
  body: () => void,
): void {
  const space = AddressSpaces.of(inode.filesystem).get(inode.ino);
  if (space === undefined) body();
  else runToEnd(changingLayout(space, inode, range, whenBusy, body));
}

/** What `truncate` to a size is about. */
export function cutFrom(size: number): LayoutRange {
  return { offset: size, length: Number.POSITIVE_INFINITY, cuts: true };
}

/** What `fallocate` is about; nothing moves for `allocate`. */
export function changedBy(mode: FallocateMode, offset: number, length: number): LayoutRange {
  if (mode === "allocate") return { offset, length: 0, cuts: false };
  const moves = mode === "collapse" || mode === "insert";
  return { offset, length: moves ? Number.POSITIVE_INFINITY : length, cuts: false };
}

/** @throws EINVAL, EOPNOTSUPP for a mode that is none, and for `keepSize` with what always moves */
export function assertRange(
  mode: FallocateMode,
  offset: number,
  length: number,
  keepSize: boolean,
): void {
  if (!FALLOCATE_MODES.includes(mode)) {
    throw denied("EOPNOTSUPP", `mode ${mode}: there are ${FALLOCATE_MODES.join(", ")}`);
  }
  const sane = Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length);
  if (!sane || length <= 0) throw denied("EINVAL", `bytes ${offset}+${length}`);
  if (keepSize && (mode === "collapse" || mode === "insert")) {
    throw denied("EOPNOTSUPP", `${mode} always changes the size`);
  }
}
