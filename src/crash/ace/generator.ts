/**
 * The generator: every sequence of so many calls within the bounds, with every choice of
 * persistence points: after each call but the last one or none, after the last one.
 *
 * @module
 */
import { type AceFilesystem, isFirstOfItsKind, operationsOf } from "./bounds.ts";
import { Draft } from "./draft.ts";
import {
  type Operation,
  type Persistence,
  type Step,
  type Workload,
  stepText,
} from "./workload.ts";

/** What is generated. */
export interface AceOptions {
  readonly filesystem: AceFilesystem;
  /** Calls of a workload that are not there for another's sake: 1 is ACE's seq-1. */
  readonly length: number;
  /**
   * What may be made durable: `used`, what the calls so far have changed (the default), or `range`,
   * which adds the other files and the directories, as ACE does for seq-1 and seq-2.
   */
  readonly persist?: "used" | "range";
  /** The calls, instead of all that the bounds name. */
  readonly operations?: readonly Operation[];
  /** The first calls, instead of all of those: a part of the workloads. */
  readonly first?: readonly Operation[];
}

/** Something that may be made durable, and the last call that changed it. */
interface Choice {
  readonly persistence: Persistence;
  readonly changed: number;
}

/** One call with what it needs, and how what was done so far may be made durable then. */
interface Part {
  readonly steps: readonly Step[];
  readonly choices: readonly Choice[];
}

/** Every workload within the bounds, in an order that is always the same. */
export function* aceWorkloads(options: AceOptions): Generator<Workload, void> {
  for (const calls of sequences(options)) {
    const drafted = draftOf(calls, options);
    if (drafted === undefined) continue;
    const { setup, parts } = drafted;
    for (const steps of choose(parts, NOTHING)) yield { setup, steps };
  }
}

/** How many they are. */
export function countAceWorkloads(options: AceOptions): number {
  let count = 0;
  for (const calls of sequences(options)) {
    const parts = draftOf(calls, options)?.parts ?? [];
    if (parts.length > 0) for (const _ of choices(parts, NOTHING)) count++;
  }
  return count;
}

function* sequences(options: AceOptions): Generator<readonly Operation[], void> {
  const { length, filesystem, operations = operationsOf(filesystem) } = options;
  const last = length === 1 ? (options.first ?? operations) : operations;
  if (length === 0) {
    yield [];
    return;
  }
  for (const before of sequences({ ...options, length: length - 1 })) {
    for (const operation of last) yield [...before, operation];
  }
}

interface Drafted {
  readonly setup: readonly Operation[];
  readonly parts: readonly Part[];
}

/** Undefined where one of the calls cannot be made after the others. */
function draftOf(calls: readonly Operation[], options: AceOptions): Drafted | undefined {
  if (!isFirstOfItsKind(calls)) return undefined;
  const draft = new Draft();
  const parts: Part[] = [];
  for (const call of calls) {
    const steps = draft.add(call);
    if (steps === undefined) return undefined;
    parts.push({ steps, choices: choicesOf(draft, call, options) });
  }
  return { setup: draft.setup, parts };
}

/** What has to be there before the calls, and a way through them, each turn as it is `drawn`. */
export interface Ways {
  readonly setup: readonly Operation[];
  readonly choose: (drawn: (many: number) => number) => readonly Step[];
}

/** How so many calls may be made durable; undefined where one cannot be made after the others. */
export function waysOf(
  calls: readonly Operation[],
  options: Omit<AceOptions, "length">,
): Ways | undefined {
  const drafted = draftOf(calls, { ...options, length: calls.length });
  if (drafted === undefined) return undefined;
  const { setup, parts } = drafted;
  return { setup, choose: (drawn) => draw(parts, drawn) };
}

function draw(parts: readonly Part[], drawn: (many: number) => number): readonly Step[] {
  let done = NOTHING;
  const steps: Step[] = [];
  for (const [i, part] of parts.entries()) {
    steps.push(...part.steps);
    const open = part.choices.filter(
      ({ persistence, changed }) => changed > durableSince(done, persistence),
    );
    const persistence = open[drawn(open.length + (i < parts.length - 1 ? 1 : 0))]?.persistence;
    if (persistence === undefined) continue;
    steps.push(persistence);
    done = new Map([...done, [stepText(persistence), part.choices[0]?.changed ?? 0]]);
  }
  return steps;
}

/** How what was done so far may be made durable. */
function choicesOf(
  draft: Draft,
  last: Operation,
  { persist = "used" }: AceOptions,
): readonly Choice[] {
  const { calls } = draft;
  const found: Choice[] = [{ persistence: { do: "sync" }, changed: calls }];
  const add = (name: "fsync" | "fdatasync" | "msync", path: string, changed: number): void => {
    found.push({ persistence: { do: name, path }, changed });
  };
  const touched = draft.touched();
  for (const { path, changed } of touched) add("fsync", path, changed);
  if (persist === "range") {
    const others = draft.present().filter((path) => touched.every((one) => one.path !== path));
    for (const path of others) add("fsync", path, calls);
  }
  for (const { path, isDirectory, changedData } of touched) {
    if (changedData !== undefined && !isDirectory) add("fdatasync", path, changedData);
  }
  if (last.do === "mmapwrite") add("msync", last.path, calls);
  return found;
}

/** What was made durable so far: by path and way, after how many calls. */
type Done = ReadonlyMap<string, number>;
const NOTHING: Done = new Map();

/** Ways through the parts. What has not changed since it was made durable is not made so again. */
function* choices(
  parts: readonly Part[],
  done: Done,
  part = 0,
): Generator<readonly (Persistence | undefined)[], void> {
  const here = parts[part];
  if (here === undefined) {
    yield [];
    return;
  }
  if (part < parts.length - 1) {
    for (const rest of choices(parts, done, part + 1)) yield [undefined, ...rest];
  }
  for (const { persistence, changed } of here.choices) {
    if (changed <= durableSince(done, persistence)) continue;
    const now = here.choices[0]?.changed ?? 0;
    const after = new Map([...done, [stepText(persistence), now]]);
    for (const rest of choices(parts, after, part + 1)) yield [persistence, ...rest];
  }
}

function durableSince(done: Done, persistence: Persistence): number {
  if (persistence.do === "sync") return done.get("sync") ?? 0;
  const { path } = persistence;
  const ways = ["sync", `fsync ${path}`];
  if (persistence.do !== "fsync") ways.push(`fdatasync ${path}`);
  return Math.max(...ways.map((way) => done.get(way) ?? 0));
}

function* choose(parts: readonly Part[], done: Done): Generator<readonly Step[], void> {
  for (const chosen of choices(parts, done)) {
    yield parts.flatMap(({ steps }, i) => {
      const persistence = chosen[i];
      return persistence === undefined ? steps : [...steps, persistence];
    });
  }
}
