/**
 * What a caller without types has given, in a few words: for the error that refuses it.
 *
 * @module
 */

/** `"pmem0"`, `7`, `a MediaDisk named "pmem0"`. */
export function givenText(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 64));
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value).slice(0, 64);
  const { constructor: maker, name } = value as { constructor?: unknown; name?: unknown };
  const kind = typeof maker === "function" && maker.name !== "" ? maker.name : "object";
  const article = /^[aeiou]/iu.test(kind) ? "an" : "a";
  const named = typeof name === "string" ? ` named ${JSON.stringify(name.slice(0, 64))}` : "";
  return `${article} ${kind}${named}`;
}
