/**
 * What chmod and chown have in common: what is wished for stands on the command line or belongs to
 * a file of reference, and every file that is named has its turn, with -R all below it.
 *
 * @module
 */
import type { Inode } from "../vfs/filesystem.ts";
import { walkBelow } from "./below.ts";
import { type ChangedPath, type Changes, withChanges } from "./changes.ts";
import { type Invocation, UsageError } from "./command.ts";
import { IMAGE_OPTIONS } from "./images.ts";

/** How much is said; the last options of both. */
export const SAYING_OPTIONS = {
  changes: { type: "flag", short: "c", text: "as -v, but only what changes" },
  silent: { type: "flag", short: "f", text: "say nothing of what cannot be done" },
  verbose: { type: "flag", short: "v", text: "print what becomes of each file" },
  ...IMAGE_OPTIONS,
} as const;

interface AttributeValues {
  readonly recursive: boolean;
  readonly reference?: string | undefined;
  readonly changes: boolean;
  readonly silent: boolean;
  readonly verbose: boolean;
}

/** A file that is to be changed. */
export interface ChangedFile {
  readonly inode: Inode;
  /** As messages call it. */
  readonly word: string;
  readonly image: string;
}

/** What one of the commands makes of this. */
export interface AttributeChange<T> {
  readonly syscall: string;
  /** Whether what is named stands for what it leads to. */
  readonly follow: boolean;
  /** @throws UsageError */
  parse(text: string): T;
  /** What a file of reference has. */
  take(inode: Inode): T;
  apply(file: ChangedFile, wanted: T, changes: Changes): void;
}

/** Runs the command; its exit status. @throws UsageError */
export function changeAttributes<T extends object>(
  invocation: Invocation<typeof SAYING_OPTIONS> & { readonly values: AttributeValues },
  change: AttributeChange<T>,
): Promise<number> {
  const { values, operands } = invocation;
  const { reference } = values;
  const words = reference === undefined ? operands.slice(1) : operands;
  if (words.length === 0) throw new UsageError("IMAGE:PATH is missing");
  const given = reference === undefined ? change.parse(operands[0] ?? "") : undefined;
  return withChanges(invocation, (changes) => {
    changes.quiet = values.silent;
    changes.verbose = values.verbose || values.changes;
    const wanted = given ?? change.take(statOf(changes, reference ?? ""));
    changes.each(words, "cannot access", (place) => {
      for (const file of filesAt(place, values.recursive, change, changes)) {
        change.apply(file, wanted, changes);
      }
    });
  });
}

/** @throws ENOENT */
function statOf(changes: Changes, word: string): Inode {
  const { tree, path } = changes.openToRead(word);
  return tree.stat(path);
}

/** What a word names, with all below it when that is asked for. @throws ENOENT */
function* filesAt(
  { tree, path, word, image }: ChangedPath,
  recursive: boolean,
  { syscall, follow }: { readonly syscall: string; readonly follow: boolean },
  changes: Changes,
): Generator<ChangedFile> {
  const start = tree.locate(path, { syscall, follow });
  if (!recursive) {
    yield { inode: start.inode, word, image };
    return;
  }
  const trouble = changes.trouble("cannot access");
  for (const { location, word: where, leaving } of walkBelow(tree, start, word, trouble)) {
    if (!leaving) yield { inode: location.inode, word: where, image };
  }
}
