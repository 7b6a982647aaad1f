/**
 * The tables of docs/prove-programs.md, made of what `npm run programs -- --write` found.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";

/** A program that is proved. */
export interface Case {
  readonly name: string;
  /** Programs that have to be there. */
  readonly needs: readonly string[];
  readonly build?: string;
  readonly setup?: string;
  readonly check: string;
  readonly run: string;
  readonly expected: "Lost" | "Survived";
  readonly why?: string;
}

export const COMMITS = ["asked", "any"] as const;
export type Commits = (typeof COMMITS)[number];

/** What was found; counts are decimal. */
export interface Found {
  readonly kind: string;
  readonly states: string;
  readonly fail: string;
  readonly said?: string;
  readonly missing?: string;
  /** Who sees the same loss. */
  readonly judges?: readonly string[];
  readonly against?: readonly string[];
}

/** By the names of cases. */
export type Results = Readonly<Record<string, { readonly [K in Commits]?: Found }>>;

const root = resolve(import.meta.dirname, "..");
const folder = join(root, "examples/programs");
/** The page, from the root of the repository. */
export const PAGE = "docs/prove-programs.md";

/** All programs. */
export function casesOf(): readonly Case[] {
  const text = readFileSync(join(folder, "cases.json"), "utf8");
  return (JSON.parse(text) as { readonly cases: readonly Case[] }).cases;
}

/** What was found when they were proved last. */
export function resultsOf(): Results {
  return JSON.parse(readFileSync(join(folder, "results.json"), "utf8")) as Results;
}

/** Rows of cells, the first of which is the head. */
type Table = readonly (readonly string[])[];

const counted = (number: string | undefined): string => BigInt(number ?? 0).toLocaleString("en");
const kept = (found: Found | undefined): string => (found?.kind === "Survived" ? "yes" : "no");

const SQLITE = /^SQLite, journal_mode=(\w+), synchronous=(\w+): durable$/u;

/** Each mode and setting of SQLite. */
function sqliteTable(results: Results): Table {
  const head = ["journal_mode", "synchronous", "durable", "sound", "states"];
  const rows = casesOf().flatMap(({ name }) => {
    const [, mode, setting] = SQLITE.exec(name) ?? [];
    if (mode === undefined || setting === undefined) return [];
    const durable = results[name];
    const sound = results[name.replace("durable", "sound")];
    const { asked } = durable ?? {};
    const words = [mode.toUpperCase(), setting.toUpperCase(), kept(durable?.any), kept(sound?.any)];
    const counts = [asked?.states, asked?.fail, sound?.asked?.fail].map(counted);
    return [[...words, ...counts, asked?.missing ?? ""]];
  });
  return [[...head, "not durable", "not sound", "missing (verified)"], ...rows];
}

/** All others. */
function othersTable(results: Results): Table {
  const rows = casesOf()
    .filter(({ name }) => !SQLITE.test(name) && !name.startsWith("SQLite"))
    .map(({ name, run, why = "" }) => {
      const { asked, any } = results[name] ?? {};
      const program = run.replace(/^(?:sh|python3) |^\$DAXKIT_BUILT\//u, "");
      const word = any?.kind === "Survived" ? "survives" : "loses";
      const [states, fail] = [asked?.states, asked?.fail].map(counted) as [string, string];
      const missing = asked?.missing ?? "";
      return [name.replace(/: .*/u, ""), `\`${program}\``, word, states, fail, why, missing];
    });
  return [["program", "", "verdict", "states", "fail", "why", "missing (verified)"], ...rows];
}

/** The tables by the names that they have on the page. */
export function tablesOf(results: Results): Readonly<Record<string, Table>> {
  return { sqlite: sqliteTable(results), others: othersTable(results) };
}

const blockOf = (name: string): RegExp =>
  new RegExp(`(<!-- ${name} -->\n)([\\s\\S]*?)(\n<!-- /${name} -->)`, "u");

/** The table of this name that a page shows. */
export function shownIn(page: string, name: string): Table {
  const lines = (blockOf(name).exec(page)?.[2] ?? "").split("\n").filter((line) => line !== "");
  const cells = lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return cells.filter((_, i) => i !== 1);
}

/** Writes the page anew; a status for a process. */
export function writePage(results: Results): number {
  const path = join(root, PAGE);
  let page = readFileSync(path, "utf8");
  for (const [name, [head = [], ...rows]] of Object.entries(tablesOf(results))) {
    const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
    page = page.replace(blockOf(name), (_, open: string, _old, close: string) =>
      [open, ...lines, close].join("\n"),
    );
  }
  writeFileSync(path, page);
  return spawnSync(join(root, "node_modules/.bin/oxfmt"), [path], { stdio: "inherit" }).status ?? 1;
}
