/**
 * What a command line of `daxkit replay` cannot mean: said before the log is opened.
 *
 * @module
 */
import { UsageError } from "./command.ts";
import { refuseUnwritable } from "./output-files.ts";

/** What `daxkit replay` is told; flags are false where they are not given. */
export interface ReplayValues {
  readonly at: readonly string[];
  readonly check: string | undefined;
  readonly "end-mark": string | undefined;
  readonly find: boolean;
  readonly jobs: number | undefined;
  readonly junit: string | undefined;
  readonly resume: string | undefined;
  readonly runs: number | undefined;
  readonly sector: string | undefined;
  readonly size: number | undefined;
  readonly state: string | undefined;
  readonly to: string | undefined;
  readonly torn: number | undefined;
  readonly within: number | undefined;
}

const MOST_JOBS = 256;
/** A day: timers of Node end at 24. */
const LONGEST = 86_400;
const PAGE = 4096;

/** Options that mean something where states are looked at, and nowhere else. */
const OF_CHECKS = [
  "reorder",
  "sector",
  "torn",
  "depth",
  "runs",
  "seed",
  "timeout",
  "within",
  "all",
  "jobs",
  "resume",
  "junit",
] as const;
/** Those that say where to look, or to what a disk is made. */
const OF_INSTANTS = ["at", "start-entry", "start-mark"] as const;
const OF_DISKS = ["base", "size", "no-discard"] as const;

/** @throws UsageError; what `fs` throws for a report that cannot be written */
export function refuseReplay(values: ReplayValues): void {
  const { check, find, to, state, junit } = values;
  if (state !== undefined && check === undefined && to === undefined) {
    throw new UsageError("'--state' needs '--check' or '--to'");
  }
  if (check === undefined) refuseAll(values, OF_CHECKS, "'--check'");
  if (check === undefined && !find) refuseAll(values, OF_INSTANTS, "'--check' and '--find'");
  if (check === undefined && to === undefined) {
    refuseAll(values, OF_DISKS, "'--check' and '--to'");
  }
  refuseEnd(values);
  refuseNumbers(values);
  if (junit !== undefined) refuseUnwritable(junit);
}

function refuseEnd({ check, find, to, at, "end-mark": endMark }: ReplayValues): void {
  if (find && at.length === 0 && endMark === undefined) {
    throw new UsageError("'--find' needs '--at' or '--end-mark'");
  }
  if (find && at.length > 0 && endMark !== undefined) {
    throw new UsageError("'--find' takes '--at' or '--end-mark', and not both");
  }
  if (endMark !== undefined && !find && check === undefined && to === undefined) {
    throw new UsageError("'--end-mark' is for '--check', '--find' and '--to'");
  }
}

function refuseAll(values: ReplayValues, names: readonly string[], where: string): void {
  const given = names.find((name) => isGiven(values[name as keyof ReplayValues]));
  if (given !== undefined) throw new UsageError(`'--${given}' is for ${where}`);
}

function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
}

function refuseNumbers({ jobs, within, runs, torn, sector = "4096", size }: ReplayValues): void {
  if (jobs !== undefined && (jobs < 1 || jobs > MOST_JOBS)) {
    refuse("jobs", jobs, `it takes 1 to ${MOST_JOBS} threads`);
  }
  if (within !== undefined && (within < 1 || within > LONGEST)) {
    refuse("within", within, `it takes 1 to ${LONGEST} seconds`);
  }
  if (runs === 0) refuse("runs", runs, "that would look at nothing");
  if (torn !== undefined && (torn < 8 || torn >= Number(sector) || torn % 8 !== 0)) {
    refuse("torn", torn, `it takes a multiple of 8 below ${sector}`);
  }
  if (size !== undefined && (size === 0 || size % PAGE !== 0)) {
    refuse("size", size, `it takes a multiple of ${PAGE}`);
  }
}

function refuse(option: string, value: number, rule: string): never {
  throw new UsageError(`option '--${option}' is '${value}'; ${rule}`);
}
