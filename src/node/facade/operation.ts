/**
 * An operation of the facade: described once, offered in three flavours.
 *
 * @module
 */
import type { Context } from "./context.ts";

/** How a call was made; it matters where Node's own flavours read their arguments differently. */
export type Flavour = "sync" | "callback" | "promise";

/** One row of the table. */
export interface Operation {
  /**
   * Checks the arguments, throwing Node's own errors, and returns what does the work. Callbacks
   * throw from the first step at once and get errors of the second as their argument.
   */
  prepare(context: Context, args: readonly unknown[], flavour: Flavour): () => unknown;
  /** Whether the first argument may be a descriptor instead of a path. */
  readonly onDescriptorToo?: boolean;
  /**
   * A short cut of the synchronous flavour for arguments that need no second look; undefined where
   * they do, or where it would fail.
   */
  immediate?(context: Context, args: readonly unknown[]): unknown;
  /** What a callback gets behind its error; the result, if there is one, unless given. */
  passed?(result: unknown): readonly unknown[];
}

/** Operations by their name in `node:fs`. */
export type OperationTable = Readonly<Record<string, Operation>>;

/** An operation that needs no more than its arguments. */
export function operation(prepare: Operation["prepare"]): Operation {
  return { prepare };
}
