/**
 * Why nothing can be said of a program.
 *
 * @module
 */

/** Ends an exploration: its message becomes the reason of a `NotMeasured`. */
export class Unmeasurable extends Error {}
