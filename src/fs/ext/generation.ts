/**
 * Numbers that say that something is another than before. None is given twice in a process, so that
 * what was read anew is never taken for what was known of it.
 *
 * @module
 */

let last = 0;

/** A number that no generation had before. */
export function nextGeneration(): number {
  return ++last;
}
