/**
 * An operation of the facade: described once, offered in three flavours.
 *
 * @module
 */
import type { OpenFile } from "../../vfs/open-file.ts";
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

/** Who sees every call of a facade before its work is done, and may do something else instead. */
export type CallObserver = (call: ObservedCall) => () => unknown;

/** Where a call is made. */
export interface ObservedContext {
  /** Where relative paths start. */
  readonly workingDirectory: string;
  /** What a descriptor stands for, if it is open. */
  openFile(fd: number): OpenFile | undefined;
}

/** A call of a facade whose arguments were found right. */
export interface ObservedCall {
  readonly context: ObservedContext;
  /** Its name in `node:fs`, without its flavour: `fsync` for `FileHandle.sync` too. */
  readonly name: string;
  readonly args: readonly unknown[];
  /** Does what was asked for; asynchronous where that takes several steps. */
  readonly work: () => unknown;
}

/** The same operation, which the context's observer sees, if there is one. */
export function observable(name: string, row: Operation): Operation {
  return {
    ...row,
    prepare(context, args, flavour) {
      const work = row.prepare(context, args, flavour);
      return context.observer?.({ context, name, args, work }) ?? work;
    },
    ...(row.immediate === undefined
      ? {}
      : {
          immediate: (context, args) =>
            context.observer === undefined ? row.immediate?.(context, args) : undefined,
        }),
  };
}

/** Operations by their name in `node:fs`. */
export type OperationTable = Readonly<Record<string, Operation>>;

/** An operation that needs no more than its arguments. */
export function operation(prepare: Operation["prepare"]): Operation {
  return { prepare };
}
