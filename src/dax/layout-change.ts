/**
 * A change of where the bytes of a file lie, against faults, write-backs and pins: no fault runs
 * meanwhile, pages of the range are taken from every mapping, whoever cannot give his up is in the
 * way, and entries go when the blocks have gone.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { AddressSpace } from "./address-space.ts";
import { ALL_PAGES } from "./address-space.ts";
import type { FaultedFile } from "./fault-backing.ts";
import { PAGE_SIZE } from "./operations.ts";
import type { Steps } from "./steps.ts";

/** What changes, in bytes of the file. */
export interface LayoutRange {
  readonly offset: number;
  /** Infinity: all that is behind `offset`. */
  readonly length: number;
  /** The file ends there from now on: private copies behind it go, too. */
  readonly cuts: boolean;
}

/**
 * What is done about who is in the way: EBUSY; his mapping ends; or he is asked about, try by try,
 * and the answer says whether to try again.
 */
export type WhenBusy = "fail" | "revoke" | ((holder: string, attempt: number) => boolean);

/**
 * Runs `body`, which changes the layout. What is dirty in the range is written back before, unless
 * the file is cut there. Where `body` throws, entries stay: the blocks may, too.
 * @throws EBUSY with nothing changed; what `body` throws
 */
export function* changingLayout(
  space: AddressSpace,
  file: FaultedFile,
  range: LayoutRange,
  whenBusy: WhenBusy,
  body: () => void,
): Steps<void> {
  const { offset, length, cuts } = range;
  const first = Math.floor(offset / PAGE_SIZE);
  const stop = Math.min(ALL_PAGES, Math.ceil((offset + length) / PAGE_SIZE));
  // The page that the file ends in stays its own, though it has to be looked for anew.
  const gone = cuts ? Math.ceil(offset / PAGE_SIZE) : first;
  for (let attempt = 1; ; attempt++) {
    yield* space.layout.take();
    let holder: string | undefined;
    try {
      space.unmap(first, stop - first, false);
      yield;
      holder = space.holderOf(offset, length);
      if (holder === undefined) {
        if (!cuts) yield* space.writingBack(first, stop - first);
        yield;
        space.follow(file);
        body();
        yield* space.removing(gone, stop - gone, cuts);
        space.settle(file);
        return;
      }
    } finally {
      space.layout.release();
    }
    letGo(space, range, whenBusy, holder, attempt);
    yield;
  }
}

/** @throws EBUSY when nothing can be done */
function letGo(
  space: AddressSpace,
  { offset, length }: LayoutRange,
  whenBusy: WhenBusy,
  holder: string,
  attempt: number,
): void {
  if (typeof whenBusy === "function" && whenBusy(holder, attempt)) return;
  if (whenBusy === "revoke") {
    const areas = space.areasOver(offset, length).filter(({ pinsBlocks }) => pinsBlocks);
    for (const area of areas) area.detach("blocks of the file were taken away");
    if (areas.length > 0) return;
  }
  space.assertLoose(offset, length);
  throw new DaxError("EBUSY", { detail: `${holder}; nobody waits for it any more` });
}
