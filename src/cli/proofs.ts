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
import type { Style as TerminalStyle, Terminal } from "./terminal.ts";

/** What the command line says instead of the proof. */
export interface ProveOptions {
  readonly torn?: Torn;
  readonly depth?: number;
  readonly domain?: PersistenceDomain;
  /** Leaves. */
  readonly budget?: number;
}

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
  let proofs: Proof[];
  try {
    proofs = proofsIn(await loadProgram(path));
  } catch (error) {
    if (/^E[A-Z]+$/u.test((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return [broken(path, `it cannot be loaded: ${String(error)}`, error)];
  }
  if (proofs.length === 0) {
    return [broken(path, "it exports no proof; export default defineProof({ ... })")];
  }
  return proofs.map((proof) => {
    const { name } = proof;
    return { name, verdict: prove(withOptions(proof, options), settings) };
  });
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
