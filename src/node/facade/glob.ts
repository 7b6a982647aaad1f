/**
 * `glob`, as Node 22 has it: braces, `**`, `*`, `?` and classes; links to directories are matched
 * and, behind `**`, not entered. Names that start with a dot are matched by patterns that do.
 *
 * @module
 */
import type { Dirent } from "node:fs";
import { join } from "node:path/posix";
import { isDaxError } from "../../lib/errno.ts";
import type { DirectoryEntry, Inode } from "../../vfs/filesystem.ts";
import { isDirectory } from "../../vfs/modes.ts";
import { type Function_, checkFunction, invalidType, plainOptions } from "./arguments.ts";
import type { Context } from "./context.ts";
import { type Part, type PathPattern, matches, parsePattern } from "./glob-pattern.ts";
import { pathOf, shownPath } from "./paths.ts";
import { direntOf } from "./stats.ts";

/** How to search. */
export interface GlobOptions {
  /** Where relative patterns start; where relative paths do unless given. */
  readonly cwd?: string | URL;
  /** What is left out, and not entered: told by path, or patterns of it. */
  readonly exclude?: ((path: string) => boolean) | readonly string[];
  /** With true, the results are of `fs.Dirent`. */
  readonly withFileTypes?: boolean;
}

/** `glob` and `globSync`, which Node has from version 22 on. */
export interface GlobCalls {
  /** Finds what patterns name, from the root of the volume on. */
  glob(pattern: string | readonly string[], callback: GlobCallback): void;
  /** Finds what patterns name. */
  glob(pattern: string | readonly string[], options: GlobOptions, callback: GlobCallback): void;
  /** What patterns name, as entries. @throws ENOTSUP, EINVAL for a pattern that is not known */
  globSync(
    pattern: string | readonly string[],
    options: GlobOptions & { readonly withFileTypes: true },
  ): Dirent[];
  /** What patterns name. @throws ENOTSUP, EINVAL for a pattern that is not known */
  globSync(pattern: string | readonly string[], options?: GlobOptions): string[];
}

/** Gets what was found, or why nothing could be. */
export type GlobCallback = (error: Error | null, found?: (string | Dirent)[]) => void;

/** What is to be found, checked. */
interface GlobRequest {
  readonly patterns: readonly PathPattern[];
  readonly cwd: string;
  readonly excludes: (found: string | Dirent) => boolean;
  readonly typed: boolean;
}

function requestOf(context: Context, [given, options]: readonly unknown[]): GlobRequest {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  const patterns = list.flatMap((pattern) => {
    if (typeof pattern === "string") return parsePattern(pattern);
    throw invalidType("patterns", "of type string or an instance of Array", pattern);
  });
  const { cwd = context.workingDirectory, exclude, withFileTypes } = plainOptions(options);
  const excludes = excluding(exclude);
  return {
    patterns,
    cwd: pathOf(cwd, "options.cwd").path,
    excludes,
    typed: withFileTypes === true,
  };
}

function excluding(exclude: unknown): GlobRequest["excludes"] {
  if (exclude === undefined || exclude === null) return () => false;
  if (!Array.isArray(exclude)) {
    checkFunction(exclude, "options.exclude");
    const asked: Function_ = exclude;
    return (found) => Boolean(asked(found));
  }
  const patterns = (exclude as string[]).flatMap((pattern) => parsePattern(pattern));
  return (found) => {
    const path = typeof found === "string" ? found : join(found.parentPath, found.name);
    const names = path.split("/").filter((name) => name !== "");
    return patterns.some(({ parts }) => isMatch(names, parts));
  };
}

/** Whether the names of a path are what the parts of a pattern say: all ways at once. */
function isMatch(names: readonly string[], parts: readonly Part[]): boolean {
  let states = closure([0], parts);
  for (const name of names) {
    const next = [...states].flatMap((state) => {
      const part = parts[state];
      if (part === undefined) return [];
      if (part.kind === "globstar") return [state];
      const fits = part.kind === "literal" ? part.name === name : matches(name, part);
      return fits ? [state + 1] : [];
    });
    states = closure(next, parts);
  }
  return states.has(parts.length);
}

/** With all that follow where `**` stands for nothing. */
function closure(from: readonly number[], parts: readonly Part[]): ReadonlySet<number> {
  const states = new Set(from);
  for (const state of states) if (parts[state]?.kind === "globstar") states.add(state + 1);
  return states;
}

/** A place of the walk: its path from where the search starts, empty for that itself. */
interface Place {
  readonly path: string;
  readonly inode: Inode;
}

/** One search. */
class Search {
  readonly #context: Context;
  readonly #request: GlobRequest;
  readonly #found = new Set<string>();
  /** Places that were looked at for a part of a pattern: two ways lead to many. */
  #seen = new Set<string>();
  #start = "";

  constructor(context: Context, request: GlobRequest) {
    this.#context = context;
    this.#request = request;
  }

  *run(): Generator<string | Dirent> {
    const { patterns, cwd } = this.#request;
    for (const pattern of patterns) {
      this.#start = pattern.absolute ? "/" : cwd;
      this.#seen = new Set();
      const inode = this.#look(this.#start, true);
      if (inode !== undefined) yield* this.#walk({ path: "", inode }, pattern, 0);
    }
  }

  *#walk(place: Place, pattern: PathPattern, index: number): Generator<string | Dirent> {
    const key = `${index} ${place.path}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const part = pattern.parts[index];
    if (part === undefined) yield* this.#find(place, pattern);
    else if (part.kind === "literal") {
      const path = join(place.path, part.name);
      const inode = this.#look(this.#whole(path), index < pattern.parts.length - 1);
      if (inode !== undefined) yield* this.#enter({ path, inode }, pattern, index + 1);
    } else if (part.kind === "pattern") {
      for (const { name } of this.#entries(place)) {
        if (matches(name, part)) yield* this.#step(place, name, pattern, index + 1);
      }
    } else yield* this.#globstar(place, pattern, index);
  }

  /** Nothing at all, or whatever is below; links are found and not entered. */
  *#globstar(place: Place, pattern: PathPattern, index: number): Generator<string | Dirent> {
    yield* this.#walk(place, pattern, index + 1);
    const last = index === pattern.parts.length - 1;
    for (const { name } of this.#entries(place)) {
      if (name.startsWith(".")) continue;
      const path = join(place.path, name);
      const inode = this.#look(this.#whole(path), false);
      if (inode === undefined || this.#isExcluded(path, inode)) continue;
      if (isDirectory(inode.mode)) yield* this.#walk({ path, inode }, pattern, index);
      else if (last) yield* this.#find({ path, inode }, pattern);
    }
  }

  *#step(
    { path: above }: Place,
    name: string,
    pattern: PathPattern,
    index: number,
  ): Generator<string | Dirent> {
    const path = join(above, name);
    const inode = this.#look(this.#whole(path), index < pattern.parts.length);
    if (inode !== undefined) yield* this.#enter({ path, inode }, pattern, index);
  }

  *#enter(place: Place, pattern: PathPattern, index: number): Generator<string | Dirent> {
    if (this.#isExcluded(place.path, place.inode)) return;
    // `**` may stand for nothing, behind a file too.
    const more = pattern.parts.slice(index).some(({ kind }) => kind !== "globstar");
    if (!more || isDirectory(place.inode.mode)) yield* this.#walk(place, pattern, index);
  }

  *#find({ path, inode }: Place, pattern: PathPattern): Generator<string | Dirent> {
    if (path === "" && !pattern.absolute && pattern.parts.length > 0) return;
    if (pattern.directories && !this.#leadsToDirectory(path)) return;
    const whole = pattern.absolute ? `/${path}` : path;
    if (this.#found.has(whole)) return;
    this.#found.add(whole);
    yield this.#request.typed ? this.#direntOf(path, inode) : shownPath(whole);
  }

  #leadsToDirectory(path: string): boolean {
    const inode = this.#look(this.#whole(path), true);
    return inode !== undefined && isDirectory(inode.mode);
  }

  #isExcluded(path: string, inode: Inode): boolean {
    const { excludes, typed } = this.#request;
    return excludes(typed ? this.#direntOf(path, inode) : shownPath(path));
  }

  #direntOf(path: string, inode: Inode): Dirent {
    const slash = path.lastIndexOf("/");
    const parent = join(this.#start, slash === -1 ? "" : path.slice(0, slash));
    return direntOf(shownPath(path.slice(slash + 1)), inode.mode, shownPath(parent));
  }

  #whole(path: string): string {
    return join(this.#start, path);
  }

  #entries({ path, inode }: Place): DirectoryEntry[] {
    if (!isDirectory(inode.mode)) return [];
    try {
      const { tree } = this.#context;
      return [...tree.readdir(this.#whole(path), "scandir", this.#context.by("scandir"))];
    } catch (error) {
      if (isDaxError(error)) return [];
      throw error;
    }
  }

  /** What cannot be looked at is not found. */
  #look(path: string, follow: boolean): Inode | undefined {
    try {
      return this.#context.tree.stat(path, { follow, ...this.#context.by("lstat") });
    } catch (error) {
      if (isDaxError(error)) return undefined;
      throw error;
    }
  }
}

function find(context: Context, args: readonly unknown[]): Generator<string | Dirent> {
  return new Search(context, requestOf(context, args)).run();
}

/** `glob` in its three flavours. */
export function globOf(context: Context): GlobCalls {
  const calls: Readonly<Record<keyof GlobCalls, Function_>> = {
    glob: (...args) => {
      const callback = args.at(-1);
      checkFunction(callback, "callback");
      const done: Function_ = callback;
      const search = find(context, args.slice(0, -1));
      setImmediate(() => {
        let result: unknown;
        try {
          result = [...search];
        } catch (error) {
          done(error);
          return;
        }
        done(null, result);
      });
    },
    globSync: (...args) => [...find(context, args)],
  };
  return calls as unknown as GlobCalls;
}

/** `promises.glob`. */
export async function* globLater(
  context: Context,
  args: readonly unknown[],
): AsyncGenerator<string | Dirent> {
  yield* find(context, args);
}
