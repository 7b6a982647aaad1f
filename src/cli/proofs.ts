/**
 * Proofs in files: what `daxkit prove` runs.
 *
 * @module
 */
import { relative } from "node:path";
import { type Proof, type ProveSettings, prove } from "../crash/prove.ts";
import type { ReportOptions, Style, Torn, Verdict } from "../crash/prove.ts";
import type { PersistenceDomain } from "../media/media.ts";
import { loadProgram } from "../node/load-program.ts";
import { awaitWatched } from "../node/watched-load.ts";
import { CallTimeout, type Watch, runWatched } from "../node/watched-run.ts";
import type { Style as TerminalStyle, Terminal } from "./terminal.ts";

/** What the command line says instead of the proof. */
export interface ProveOptions {
  readonly torn?: Torn;
  readonly depth?: number;
  readonly domain?: PersistenceDomain;
  /** Leaves. */
  readonly budget?: number;
  /** Seconds that one call of the proof's functions may take; 30 unless told otherwise. */
  readonly patience?: number;
}

/** What ten million steps on a busy machine stay below. */
const PATIENCE = 30;

/** One proof of a file, and how it ended. */
export interface ProvedFile {
  readonly name: string;
  readonly verdict: Verdict;
}

/**
 * Proves everything that a file exports: a proof as its default export, a list of them, or proofs
 * as named exports. A module that cannot be loaded, or holds no proof, is a broken harness.
 * @throws what `fs` throws for a file that cannot be read
 */
export async function proveFile(
  path: string,
  options: ProveOptions = {},
  settings: ProveSettings = {},
): Promise<ProvedFile[]> {
  const { patience = PATIENCE } = options;
  let exports: Readonly<Record<string, unknown>>;
  try {
    exports = await awaitWatched("loading", patience, () => loadProgram(path));
  } catch (error) {
    if (error instanceof CallTimeout) {
      const why = "its top level loops or waits for ever, or --patience is too short";
      return [broken(path, `it cannot be loaded within ${patience} s: ${why}`)];
    }
    if (/^E[A-Z]+$/u.test((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return [broken(path, `it cannot be loaded: ${String(error)}`, error)];
  }
  const proofs = proofsIn(exports);
  if (proofs.length === 0) {
    return [broken(path, `it exports no proof; ${whatIsMissing(exports["default"])}`)];
  }
  return proofs.map((proof) => {
    const { name } = proof;
    return { name, verdict: proveWatched(withOptions(proof, options), options, settings) };
  });
}

/** Steps are counted, but a loop that neither loads nor stores makes none. */
function proveWatched(
  proof: Proof,
  { patience = PATIENCE }: ProveOptions,
  settings: ProveSettings,
): Verdict {
  try {
    return runWatched(patience, (watch) => prove(watched(proof, watch), settings));
  } catch (error) {
    if (!(error instanceof CallTimeout)) throw error;
    const said = `it did not end within ${patience} s; give --patience if it needs longer`;
    const phase = error.what as (typeof PARTS)[number];
    return { kind: "HarnessBroken", name: proof.name, phase, said };
  }
}

const PARTS = ["setup", "workload", "recover", "check"] as const;

function watched(proof: Proof, watch: Watch): Proof {
  const changed = { ...proof } as Record<string, unknown>;
  for (const part of PARTS) {
    const body: unknown = proof[part];
    if (typeof body !== "function") continue;
    changed[part] = (given: unknown): unknown =>
      watch.call(part, () => body.call(proof, given) as unknown);
  }
  return changed as unknown as Proof;
}

function broken(path: string, said: string, error?: unknown): ProvedFile {
  const verdict = { kind: "HarnessBroken", name: path, phase: "proof", said } as const;
  return { name: path, verdict: error === undefined ? verdict : { ...verdict, error } };
}

function proofsIn(exports: Readonly<Record<string, unknown>>): Proof[] {
  const found = new Set<Proof>();
  for (const value of Object.values(exports)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (isProof(each)) found.add(each);
    }
  }
  return [...found];
}

/** What would make a proof of a default export. */
function whatIsMissing(value: unknown): string {
  if (typeof value !== "object" || value === null) return "export default defineProof({ ... })";
  const missing = ["workload", "check"].filter((part) => !(part in value));
  const others = Object.keys(value).slice(0, 8).join(", ");
  return `its default export has no ${missing.join(" and no ")}, only ${others || "nothing"}`;
}

/** Whatever else is wrong with it, `prove` says. */
function isProof(value: unknown): value is Proof {
  return typeof value === "object" && value !== null && "workload" in value && "check" in value;
}

function withOptions(proof: Proof, options: ProveOptions): Proof {
  const { torn, depth, domain, budget } = options;
  const changed: { -readonly [K in keyof Proof]: Proof[K] } = { ...proof };
  if (torn !== undefined) changed.torn = torn;
  if (depth !== undefined) changed.depth = depth;
  if (budget !== undefined) changed.budget = { ...proof.budget, leaves: budget };
  if (domain !== undefined) {
    delete changed.domains;
    changed.domain = domain;
  }
  return changed;
}

const STYLES = {
  good: "good",
  bad: "bad",
  unsure: "warning",
  strong: "heading",
  faint: "faint",
} as const satisfies Record<Style, TerminalStyle>;

/** How a report looks on this terminal. */
export function reportFor(terminal: Terminal): ReportOptions {
  return { shorten: shortenPath, paint: (style, text) => terminal.style(STYLES[style], text) };
}

/** Paths below the working directory as people type them. */
function shortenPath(file: string): string {
  const short = relative(process.cwd(), file);
  return short === "" || short.startsWith("..") ? file : short;
}
