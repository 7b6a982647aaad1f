/**
 * Looks that are remembered. Who runs the same program on the same device thousands of times, as an
 * exploration of power cuts does, gives a device that knows what came of looking at it.
 *
 * @module
 */

/** What was made of what was read. */
export interface Memo {
  /**
   * What `look` answers; it is run only where something is read that was never read at this point
   * before. So what it does may depend on what it reads of the device, through buffers of its own,
   * on which object `of` is, and on `what`: on nothing else. It stores nothing, and nobody changes
   * what it answers, which may be answered again. @throws what `look` throws
   */
  recall<T>(of: object, what: string | number, look: () => T): T;
  /**
   * The same of what is done to the device, stores included: they are made again where it is known
   * what they are. @throws what `act` throws, when it did as much as it then does
   */
  perform<T>(of: object, what: string | number, act: () => T): T;
}

/** `look()`, remembered if there is somebody to do it; see {@link Memo.recall}. */
export function recall<T>(
  memo: Memo | undefined,
  of: object,
  what: string | number,
  look: () => T,
): T {
  return memo === undefined ? look() : memo.recall(of, what, look);
}

/** `act()`, remembered if there is somebody to do it; see {@link Memo.perform}. */
export function perform<T>(
  memo: Memo | undefined,
  of: object,
  what: string | number,
  act: () => T,
): T {
  return memo === undefined ? act() : memo.perform(of, what, act);
}
