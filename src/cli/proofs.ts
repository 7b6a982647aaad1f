/**
 * Proofs in files: what `daxkit prove` runs.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import { type Proof, type ProveSettings, prove, stateOfMemory } from "../crash/prove.ts";
import type { ReportOptions, Style, Torn, Verdict } from "../crash/prove.ts";
import type { DiskSectors, VolumeProof } from "../node/prove/volume-proof.ts";
import type { VolumeVerdict } from "../node/prove/volume-verdict.ts";
import type { PersistenceDomain } from "../media/media.ts";
import { whatIsWrongWith } from "../crash/proof.ts";
import { UsageError } from "./command.ts";
import { NoticedAddons } from "../node/addons.ts";
import { loadProgram } from "../node/load-program.ts";
import { awaitWatched } from "../node/watched-load.ts";
import { CallTimeout, type Watch, runWatched } from "../node/watched-run.ts";
import type { Style as TerminalStyle, Terminal } from "./terminal.ts";

/** What the command line says instead of the proof. */
export interface ProveOptions {
  readonly torn?: Torn;
  readonly depth?: number;
  /** What arrives together on a disk; there is something in it. */
  readonly disk?: DiskSectors;
  readonly domain?: PersistenceDomain;
  /** Leaves. */
  readonly budget?: number;
  /** What lies under a volume, by name. */
  readonly model?: string;
  /** When the filesystem commits: `any` or `asked`. */
  readonly commits?: string;
  /** What fails beside the power: `all`, or kinds and `kind@number`, by commas. */
  readonly faults?: string;
  /** Proves only what has this name. */
  readonly only?: string;
  /** Makes only the state with this name. */
  readonly state?: string;
  /** Where the volume is saved as the power cut left it: the state's, or the counter-example's. */
  readonly saveImage?: string;
  /** Seconds that one call of the proof's functions may take; 30 unless told otherwise. */
  readonly patience?: number;
}

/** What ten million steps on a busy machine stay below. */
const PATIENCE = 30;

/** One proof of a file, and how it ended. */
export interface ProvedFile {
  readonly name: string;
  /** The file holds other proofs, too. */
  readonly oneOfMany?: boolean;
  readonly verdict: Verdict | VolumeVerdict;
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
  using addons = new NoticedAddons();
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
  const all = proofsIn(exports);
  if (all.length === 0) {
    return [broken(path, `it exports no proof; ${whatIsMissing(exports["default"])}`)];
  }
  const { only } = options;
  const proofs = only === undefined ? all : all.filter((proof) => nameOf(proof) === only);
  if (proofs.length === 0) {
    const names = all.map((proof) => `'${nameOf(proof)}'`).join(", ");
    throw new UsageError(`option '--only' is '${only}'; ${path} has ${names}`);
  }
  await refuseOptions(proofs, options);
  const oneOfMany = all.length > 1;
  const proved: ProvedFile[] = [];
  for (const proof of proofs) {
    // One after the other: they share the processor, and what they print.
    // oxlint-disable-next-line no-await-in-loop
    const { name, verdict } = await proveOne(proof, options, settings);
    proved.push({ name, verdict: noted(verdict, addons.note), oneOfMany });
  }
  return proved;
}

/** Options that memory has nothing of. */
const OF_VOLUMES = ["model", "commits", "faults"] as const;

/** @throws UsageError for options without which the proofs would be right */
async function refuseOptions(
  proofs: readonly (Proof | VolumeProof)[],
  options: ProveOptions,
): Promise<void> {
  const odd = OF_VOLUMES.find((option) => options[option] !== undefined);
  const name = odd ?? (options.disk === undefined ? undefined : "sector");
  if (name !== undefined && proofs.every((proof) => "size" in proof)) {
    const words = name === "sector" ? "--sector' and '--torn-sector' are" : `--${name}' is`;
    throw new UsageError(`'${words} for programs on files; '${nameOf(proofs[0]!)}' has memory`);
  }
  for (const proof of proofs) {
    // They are few.
    // oxlint-disable-next-line no-await-in-loop
    const wrong = await whatIsWrongWithOptions(proof, options);
    if (wrong !== undefined) throw new UsageError(`with '${nameOf(proof)}', ${wrong}`);
  }
}

async function whatIsWrongWithOptions(
  proof: Proof | VolumeProof,
  options: ProveOptions,
): Promise<string | undefined> {
  if ("size" in proof) {
    // What is wrong with the proof itself is its verdict.
    if (whatIsWrongWith(proof) !== undefined) return undefined;
    return whatIsWrongWith(withOptions(proof, options));
  }
  const volumes = await import("./volume-proofs.ts");
  return volumes.whatIsWrongWithOptions(proof, options);
}

/** The verdict with one more thing to know. */
function noted<V extends Verdict | VolumeVerdict>(verdict: V, note: string | undefined): V {
  if (note === undefined || verdict.kind === "HarnessBroken") return verdict;
  if (verdict.kind === "NotMeasured") return { ...verdict, why: `${verdict.why}; ${note}` };
  return { ...verdict, notes: [...verdict.notes, note] };
}

async function proveOne(
  proof: Proof | VolumeProof,
  options: ProveOptions,
  settings: ProveSettings,
): Promise<ProvedFile> {
  if ("size" in proof) {
    const { name } = proof;
    return { name, verdict: proveWatched(withOptions(proof, options), options, settings) };
  }
  const { proveVolumeOf } = await import("./volume-proofs.ts");
  const verdict = await proveVolumeOf(proof, options, settings);
  return { name: verdict.name, verdict };
}

/** Steps are counted, but a loop that neither loads nor stores makes none. */
function proveWatched(proof: Proof, options: ProveOptions, settings: ProveSettings): Verdict {
  const { patience = PATIENCE } = options;
  try {
    return runWatched(patience, (watch) => proveMemory(watched(proof, watch), options, settings));
  } catch (error) {
    if (!(error instanceof CallTimeout)) throw error;
    const said = `it did not end within ${patience} s; give --patience if it needs longer`;
    const phase = error.what as (typeof PARTS)[number];
    return { kind: "HarnessBroken", name: proof.name, phase, said };
  }
}

function proveMemory(
  proof: Proof,
  { state, saveImage }: ProveOptions,
  settings: ProveSettings,
): Verdict {
  if (state !== undefined) return proveOneState(proof, state, saveImage);
  const verdict = prove(proof, settings);
  if (saveImage === undefined || verdict.kind !== "Lost") return verdict;
  const made = stateOfMemory(proof, verdict.state);
  if ("image" in made) writeFileSync(saveImage, made.image);
  return verdict;
}

function proveOneState(proof: Proof, id: string, saveImage: string | undefined): Verdict {
  const made = stateOfMemory(proof, id);
  if ("kind" in made) return made;
  if (saveImage !== undefined) writeFileSync(saveImage, made.image);
  const why = `only state ${id} was made: recovery and check are content with it`;
  return made.lost ?? { kind: "NotMeasured", name: proof.name, why };
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

/** What a proof is called in its verdict. */
function nameOf({ name }: Proof | VolumeProof): string {
  return typeof name === "string" && name !== "" ? name : "workload";
}

function broken(path: string, said: string, error?: unknown): ProvedFile {
  const verdict = { kind: "HarnessBroken", name: path, phase: "proof", said } as const;
  return { name: path, verdict: error === undefined ? verdict : { ...verdict, error } };
}

function proofsIn(exports: Readonly<Record<string, unknown>>): (Proof | VolumeProof)[] {
  const found = new Set<Proof | VolumeProof>();
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
function isProof(value: unknown): value is Proof | VolumeProof {
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

/** How a report looks on this terminal, with the command that makes it again. */
export function reportFor(terminal: Terminal, command?: string): ReportOptions {
  const { screen } = terminal;
  return {
    shorten: shortenPath,
    paint: (style, text) => terminal.style(STYLES[style], text),
    ...(screen === undefined ? {} : { width: screen }),
    ...(command === undefined ? {} : { command }),
  };
}

/** Paths below the working directory as people type them. */
function shortenPath(file: string): string {
  const short = relative(process.cwd(), file);
  return short === "" || short.startsWith("..") ? file : short;
}
