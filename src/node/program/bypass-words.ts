/**
 * What is said of ways around a volume.
 *
 * @module
 */
import { type CallSite } from "../../lib/call-site.ts";
import type { Program } from "./run-program.ts";
import type { BypassEntry, Entry } from "./record.ts";

/** Paths outside of the mount that are named. */
const MOST_NAMED = 5;
const BLIND = "which does not see the volume";

/** The ways around the volume that a program went. */
export function bypassesIn(entries: readonly Entry[]): BypassEntry[] {
  return entries.filter((entry) => entry.kind === "bypass");
}

/** A line for each of them; `other` is the command that sees what is said. */
export function bypassNotes(entries: readonly Entry[], other: string): string[] {
  const found = bypassesIn(entries);
  const outside = found.filter(({ bypass }) => bypass === "outside");
  const more = outside.length - MOST_NAMED;
  return [
    ...outside.slice(0, MOST_NAMED).map(({ what, site }) => {
      return `wrote outside of the mount: ${what}${placeOf(site)}; that is no part of the proof`;
    }),
    ...(more > 0 ? [`and ${more} more paths outside of the mount`] : []),
    ...found.filter(({ bypass }) => bypass !== "outside").map((entry) => wordsOf(entry, other)),
  ];
}

/** Whether something was loaded that can reach files without `node:fs`. */
export function mayGoAround(entries: readonly Entry[]): boolean {
  return bypassesIn(entries).some(({ bypass }) => bypass !== "outside");
}

function wordsOf({ bypass, what, site }: BypassEntry, other: string): string {
  const place = placeOf(site);
  switch (bypass) {
    case "addon":
      return `native addon ${what} was loaded${place} and may go around node:fs: ${other}`;
    case "builtin":
      return `${what} was used${place} and goes around node:fs: ${other}`;
    case "process":
      return `another process was started, ${BLIND}: ${what}${place}: ${other}`;
    default:
      return `a worker thread was started, ${BLIND}: ${what}${place}: ${other}`;
  }
}

function placeOf(site: CallSite | undefined): string {
  return site === undefined ? "" : `, at ${site.file}:${site.line}:${site.column}`;
}

/** The commands that see all that a program writes, by whatever way. */
export function otherCommands({ script, args }: Program, mount: string, check?: string): string {
  const words = [script, ...args].map(quoted).join(" ");
  const checked = check === undefined ? "" : ` --check ${quoted(`node ${check}`)}`;
  return (
    `use \`daxkit prove --mount-fuse ${quoted(mount)}${checked} -- node ${words}\`, or record a ` +
    "disk below it: `daxkit nbd --record LOG IMAGE`, attach it, mount it there, then " +
    "`daxkit replay LOG`"
  );
}

function quoted(word: string): string {
  return /^[\w./:=@%+-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
