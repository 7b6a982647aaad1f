/** Known ways to lose data, put back into our own code: only the copy that is tested has them. */

/** A place of a source that reads otherwise. */
export interface PlantedPatch {
  /** Under the root of the repository. */
  readonly file: string;
  /** Text that stands there exactly once, within a function. */
  readonly snippet: string;
  readonly replacement: string;
}

/** A bug. */
export interface PlantedBug {
  readonly name: string;
  /** Which kind of mistake. */
  readonly class: string;
  /** What is wrong, in a line. */
  readonly what: string;
  /** Where the field has met it. */
  readonly seen: string;
  /** The story that finds it (test/support/persistence). */
  readonly story: string;
  readonly patches: readonly PlantedPatch[];
}
