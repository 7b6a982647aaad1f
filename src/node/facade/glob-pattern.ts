/**
 * Patterns of `glob`: braces are expanded, paths are split, and names are matched in time that is
 * linear in pattern times name, whatever either holds.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";

/** Patterns that braces of one may become. */
const MOST_EXPANSIONS = 10_000;
/** Characters of a pattern. */
const LONGEST = 65_536;

/** What one part of a path has to be. */
export type Part =
  | { readonly kind: "globstar" }
  | { readonly kind: "literal"; readonly name: string }
  | { readonly kind: "pattern"; readonly tokens: readonly Token[]; readonly dots: boolean };

/** One step of a pattern: any run, any character, or one that passes a test. */
type Token = "run" | "any" | ((character: string) => boolean);

/** A pattern for paths. */
export interface PathPattern {
  readonly absolute: boolean;
  readonly parts: readonly Part[];
  /** Whether it ends in a slash, which only directories match. */
  readonly directories: boolean;
}

function refuse(code: "EINVAL" | "ENOTSUP", detail: string): never {
  throw new DaxError(code, { syscall: "glob", detail });
}

/** The pattern without braces: all that they stand for. @throws EINVAL for too many */
function expand(pattern: string): string[] {
  const done: string[] = [];
  const waiting = [pattern];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const choice = firstChoice(next);
    if (choice === undefined) done.push(next);
    else waiting.push(...choice.toReversed());
    if (done.length + waiting.length > MOST_EXPANSIONS) refuse("EINVAL", "too many alternatives");
  }
  return done;
}

/** The alternatives of the first brace that has some. */
function firstChoice(pattern: string): string[] | undefined {
  for (let at = pattern.indexOf("{"); at !== -1; at = pattern.indexOf("{", at + 1)) {
    if (pattern[at - 1] === "\\" || pattern[at - 1] === "$") continue;
    const found = alternatives(pattern, at);
    if (found === undefined) continue;
    const [head, tail] = [pattern.slice(0, at), pattern.slice(found.next)];
    return found.items.map((item) => head + item + tail);
  }
  return undefined;
}

/** What lies between a brace and its partner; undefined where it is only a brace. */
function alternatives(
  pattern: string,
  from: number,
): { readonly items: readonly string[]; readonly next: number } | undefined {
  const items: string[] = [];
  let depth = 0;
  let start = from + 1;
  for (let at = from; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (character === "{") depth++;
    else if (character === "," && depth === 1) {
      items.push(pattern.slice(start, at));
      start = at + 1;
    } else if (character === "}" && --depth === 0) {
      items.push(pattern.slice(start, at));
      const range = items.length === 1 ? rangeOf(items[0] as string) : items;
      return range === undefined ? undefined : { items: range, next: at + 1 };
    }
  }
  return undefined;
}

/** `{1..9}`, `{a..f}`. */
function rangeOf(text: string): string[] | undefined {
  const found = /^(-?\d{1,9})\.\.(-?\d{1,9})$|^([A-Za-z])\.\.([A-Za-z])$/u.exec(text);
  if (found === null) return undefined;
  const [, low, high, first, last] = found;
  const [from, to] =
    first === undefined
      ? [Number(low), Number(high)]
      : [first.charCodeAt(0), (last as string).charCodeAt(0)];
  const count = Math.abs(to - from) + 1;
  if (count > MOST_EXPANSIONS) refuse("EINVAL", `{${text}} stands for ${count} names`);
  const step = to < from ? -1 : 1;
  const values = Array.from({ length: count }, (_, i) => from + i * step);
  return values.map((value) => (first === undefined ? String(value) : String.fromCharCode(value)));
}

/** A `[…]` from `at` on, and where it ends; undefined where it is only a bracket. */
function classAt(
  text: string,
  at: number,
): { readonly test: (character: string) => boolean; readonly next: number } | undefined {
  const negated = text[at + 1] === "!" || text[at + 1] === "^";
  const from = at + (negated ? 2 : 1);
  const close = text.indexOf("]", from + 1);
  if (close === -1) return undefined;
  const singles = new Set<string>();
  const ranges: (readonly [string, string])[] = [];
  for (let i = from; i < close; i++) {
    if (text[i] === "\\") i++;
    const character = text[i] as string;
    const isRange = text[i + 1] === "-" && i + 2 < close;
    if (isRange) ranges.push([character, text[(i += 2)] as string]);
    else singles.add(character);
  }
  const inside = (character: string): boolean =>
    singles.has(character) || ranges.some(([low, high]) => character >= low && character <= high);
  return { test: (character) => inside(character) !== negated, next: close + 1 };
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    let character = text[at] as string;
    const found = character === "[" ? classAt(text, at) : undefined;
    if (found !== undefined) {
      tokens.push(found.test);
      at = found.next;
      continue;
    }
    if (character === "*") {
      if (tokens.at(-1) !== "run") tokens.push("run");
    } else if (character === "?") tokens.push("any");
    else {
      if (character === "\\" && at + 1 < text.length) character = text[++at] as string;
      const wanted = character;
      tokens.push((one) => one === wanted);
    }
    at++;
  }
  return tokens;
}

function partOf(text: string): Part {
  if (text === "**") return { kind: "globstar" };
  if (/[@?*+!]\(/u.test(text)) {
    refuse("ENOTSUP", `'${text}': +(…) and its kin; use braces, or a glob that takes an fs`);
  }
  if (!/[*?[]/u.test(text)) return { kind: "literal", name: text.replaceAll(/\\(.)/gu, "$1") };
  return { kind: "pattern", tokens: tokensOf(text), dots: text.startsWith(".") };
}

/** The patterns that one stands for. @throws EINVAL, ENOTSUP for what is not known */
export function parsePattern(pattern: string): PathPattern[] {
  if (pattern.length > LONGEST) refuse("EINVAL", `a pattern of ${pattern.length} characters`);
  return expand(pattern).map((one) => {
    const parts = one.split("/").filter((part) => part !== "" && part !== ".");
    // Two in a row say no more than one.
    const kept = parts.filter((part, i) => part !== "**" || parts[i - 1] !== "**");
    return {
      absolute: one.startsWith("/"),
      parts: kept.map(partOf),
      directories: one.endsWith("/"),
    };
  });
}

/** Whether a name is what a pattern says: by going back to the last run only, never further. */
export function matches(
  name: string,
  { tokens, dots }: Extract<Part, { kind: "pattern" }>,
): boolean {
  if (name.startsWith(".") && !dots) return false;
  const characters = Array.from(name);
  let at = 0;
  let token = 0;
  let back: readonly [number, number] | undefined;
  while (at < characters.length) {
    const wanted = tokens[token];
    if (wanted === "run") {
      back = [++token, at];
    } else if (wanted === "any" || wanted?.(characters[at] as string) === true) {
      token++;
      at++;
    } else if (back === undefined) return false;
    else {
      back = [back[0], back[1] + 1];
      [token, at] = back;
    }
  }
  return tokens.slice(token).every((rest) => rest === "run");
}
