/**
 * What `daxkit replay` says of what it found.
 *
 * @module
 */
import type { LostRequest, RecoveryFindings, StopFindings } from "../crash/stop-findings.ts";
import { stopName } from "../crash/block-states.ts";
import { count, plural } from "../crash/words.ts";
import type { ReplayResult } from "../node/replay/replay.ts";
import type { ReplaySettings } from "../node/replay/settings.ts";
import type { JunitCase } from "../node/prove/junit.ts";
import { printable } from "./output.ts";
import { quoted } from "./quoting.ts";
import type { Style } from "./terminal.ts";

/** Colours, where there are any. */
export interface Painter {
  style(style: Style, text: string): string;
}

const PLAIN: Painter = { style: (_, text) => text };

/** A verdict over all instants, as JSON has it. */
export interface ReplayVerdict {
  readonly verdict: "survived" | "lost" | "not-measured";
  /** Why it is `not-measured`, or how much a loss may have hidden. */
  readonly reasons: readonly string[];
  /** Instants: all of them, and those that were looked at. */
  readonly instants: number;
  readonly looked: number;
  /** Instants at which not every state was looked at. */
  readonly incomplete: number;
  /** Decimal, for they may be many. */
  readonly states: string;
  readonly covered: string;
  readonly failing: string;
  /** Of these states, those that a second power cut leaves, inside recovery. */
  readonly inRecovery: string;
  readonly runs: number;
  readonly failures: readonly {
    readonly instant: string;
    readonly mark: string | null;
    readonly failing: string;
    /** More may fail: not all were looked at. */
    readonly atLeast: boolean;
    readonly of: string;
    readonly state: string;
    readonly said: string;
    readonly lost: readonly LostRequest[];
  }[];
}

/** Weighs what was found; `ending` says what ended it, if it did not end by itself. */
export function verdictOf(
  { stops, total, vacuous, ended }: ReplayResult,
  settings: ReplaySettings,
  ending = "",
): ReplayVerdict {
  const sum = (of: (stop: StopFindings) => bigint) =>
    stops.reduce((all, stop) => all + of(stop), 0n);
  const inRecovery = (of: (found: RecoveryFindings) => bigint) =>
    sum(({ recovery }) => (recovery === undefined ? 0n : of(recovery)));
  const refused = stops.find(({ recovery }) => recovery?.refused !== undefined)?.recovery?.refused;
  const incomplete = stops.filter(
    ({ covered, space, recovery }) =>
      covered < space || (recovery !== undefined && recovery.covered < recovery.space),
  );
  const failing = stops.filter(({ failure }) => failure !== undefined);
  const unmeasurable = stops.find((stop) => stop.unmeasurable !== undefined);
  const reasons = [
    ...(total === 0 ? ["there is no instant to look at; is it all before the start?"] : []),
    ...(vacuous ? ["the check has nothing against a disk of zeros: does it check at all?"] : []),
    ...(unmeasurable === undefined
      ? []
      : [`the check is not deterministic: ${unmeasurable.unmeasurable}`]),
    ...(refused === undefined ? [] : [`recovery is not cut, for it is refused: ${refused}`]),
    ...(unmeasurable === undefined ? tooMany(incomplete, settings) : []),
    ...(ended ? [endedBy(ending, stops, total)] : []),
  ];
  const verdict = failing.length > 0 ? "lost" : reasons.length > 0 ? "not-measured" : "survived";
  return {
    verdict,
    reasons,
    instants: total,
    looked: stops.filter((stop) => stop.ended !== true).length,
    incomplete: incomplete.length,
    states: String(sum(({ space }) => space) + inRecovery(({ space }) => space)),
    covered: String(sum(({ covered }) => covered) + inRecovery(({ covered }) => covered)),
    failing: String(sum((stop) => stop.failing) + inRecovery((found) => found.failing)),
    inRecovery: String(inRecovery(({ space }) => space)),
    runs: stops.reduce((all, { runs }) => all + runs, 0),
    failures: failing.map(({ stop, failing: bad, space, covered, failure, recovery }) => ({
      instant: stopName(stop),
      mark: stop.mark ?? null,
      failing: String(bad > 0n ? bad : (recovery?.failing ?? bad)),
      atLeast: bad > 0n && covered < space,
      of: String(bad > 0n ? space : space + (recovery?.space ?? 0n)),
      state: failure?.state ?? "",
      said: failure?.said ?? "",
      lost: failure?.lost ?? [],
    })),
  };
}

/** Where the check was run as often as it may be. */
function tooMany(incomplete: readonly StopFindings[], settings: ReplaySettings): string[] {
  const { runs, afterFailure = runs } = settings;
  const whole = incomplete.filter((stop) => stop.ended !== true);
  const [lost, good] = [whole.filter(isLost), whole.filter((stop) => !isLost(stop))];
  const words = [];
  if (good.length > 0) {
    words.push(`${plural(good.length, "instant")} with more states than ${runs} runs cover`);
  }
  if (lost.length > 0) {
    const more = `no more than ${plural(Math.min(runs, afterFailure), "run")} after the first loss`;
    words.push(`${plural(lost.length, "instant")} at which more states may fail: ${more}`);
  }
  return words;
}

const isLost = ({ failure }: StopFindings): boolean => failure !== undefined;

function endedBy(ending: string, stops: readonly StopFindings[], total: number): string {
  const begun = stops.filter((stop) => stop.ended === true).length;
  const done = `${stops.length - begun} of ${plural(total, "instant")} looked at`;
  return `${ending} ended it, with ${done}${begun > 0 ? ` and ${begun} begun` : ""}`;
}

/** What has to be typed again. */
export interface Again {
  readonly log: string;
  readonly check: string;
  /** Options of the disk, and those of the check, as they were given. */
  readonly disk: readonly string[];
  readonly checking: readonly string[];
}

/** Failures that are printed whole. */
const SHOWN_FAILURES = 3;
const SHOWN_LOST = 8;

/** The verdict for people. */
export function reportLines(verdict: ReplayVerdict, again: Again, terminal: Painter): string[] {
  const { failures } = verdict;
  const lines = [headline(verdict, terminal)];
  for (const failure of failures.slice(0, SHOWN_FAILURES)) {
    lines.push("", ...failureLines(failure, again, terminal));
  }
  if (failures.length > SHOWN_FAILURES) {
    lines.push("", `and ${failures.length - SHOWN_FAILURES} more instants at which states fail`);
  }
  for (const reason of verdict.reasons) {
    lines.push(`${terminal.style("warning", "not measured:")} ${printable(reason)}`);
  }
  const { looked, instants, incomplete, covered, states, runs } = verdict;
  const share = covered === states ? "all of them" : `${partOf(covered, states)} of them`;
  if (runs === 0) {
    lines.push(`${looked} of ${plural(instants, "instant")}, and no state`);
    return lines;
  }
  const space = plural(BigInt(states), "state");
  lines.push(
    `${looked} of ${plural(instants, "instant")}, ${space}, ${share} covered by ` +
      plural(runs, "run") +
      (incomplete > 0 ? `; at ${plural(incomplete, "instant")} not all` : ""),
  );
  return lines;
}

/** One case for each instant that was looked at, and one for what was not. */
export function junitCases(
  stops: readonly StopFindings[],
  { verdict, reasons, failures }: ReplayVerdict,
  again: Again,
): JunitCase[] {
  const failed = new Map(failures.map((failure) => [failure.instant, failure]));
  const file = again.log;
  const cases = stops.map(({ stop }): JunitCase => {
    const name = stopName(stop);
    const failure = failed.get(name);
    if (failure === undefined) return { verdict: { kind: "Survived", name }, report: [], file };
    const report = failureLines(failure, again, PLAIN);
    return { verdict: { kind: "Lost", name }, report, file };
  });
  if (verdict !== "not-measured") return cases;
  const whole = { kind: "NotMeasured", name: "all instants" } as const;
  return [...cases, { verdict: whole, report: reasons.map(printable), file }];
}

function headline({ verdict, failures }: ReplayVerdict, terminal: Painter): string {
  if (verdict === "survived") return terminal.style("good", "survived: no state fails");
  if (verdict === "not-measured") {
    return terminal.style("warning", "not measured: no state failed that was looked at");
  }
  const where = failures.length === 1 ? "at one instant" : `at ${failures.length} instants`;
  return terminal.style("bad", `lost: states fail ${where}`);
}

function failureLines(
  failure: ReplayVerdict["failures"][number],
  { log, check, disk, checking }: Again,
  terminal: Painter,
): string[] {
  const { instant, mark, state, said, lost, failing, of, atLeast } = failure;
  const rest = [...disk, "--state", state, quoted(log)];
  const again = state.includes("/") ? ", and again inside recovery" : "";
  const behind = mark === null ? "" : `, after mark '${printable(mark)}'`;
  return [
    `${terminal.style("heading", `power cut ${whenOf(instant)}${again}`)}${behind}`,
    `  the check says: ${printable(said)}`,
    ...lostLines(lost),
    ...(of === "1"
      ? []
      : [
          `  ${atLeast ? "at least " : ""}${partOf(failing, of)} of ${count(BigInt(of))} ` +
            "states fail there",
        ]),
    `  again: ${["daxkit replay --check", quoted(check), ...checking, ...rest].join(" ")}`,
    `  to look at it: ${["daxkit replay --to bad.img", ...rest].join(" ")}`,
  ];
}

/** Of very many, nearly all would look like all. */
function partOf(part: string, whole: string): string {
  const words = count(BigInt(part));
  if (part === whole || words !== count(BigInt(whole))) return words;
  return `all but ${count(BigInt(whole) - BigInt(part))}`;
}

function whenOf(instant: string): string {
  const entry = Number.parseInt(instant, 10);
  if (instant.endsWith("f")) return `before the flush of entry ${entry} is complete`;
  if (instant.endsWith("w")) return `during the FUA write of entry ${entry}`;
  if (instant.endsWith("e")) return `after the last entry, ${entry - 1}`;
  return `after entry ${entry}, with nothing lost`;
}

function lostLines(lost: readonly LostRequest[]): string[] {
  if (lost.length === 0) return ["  although everything that was written before is there"];
  const lines = lost.slice(0, SHOWN_LOST).flatMap(requestLines);
  if (lost.length > SHOWN_LOST) lines.push(`  and of ${lost.length - SHOWN_LOST} more entries`);
  return lines;
}

function requestLines({ entry, ranges, places = [] }: LostRequest): string[] {
  const sectors = ranges.map(({ start, length }) => sectorsOf(start / 512, length / 512));
  const some = sectors.slice(0, SHOWN_LOST).join(", ");
  const lines = [`  lost of entry ${entry}: ${some}${sectors.length > SHOWN_LOST ? ", …" : ""}`];
  for (const { words } of places.slice(0, SHOWN_LOST)) lines.push(`    ${printable(words)}`);
  if (places.length > SHOWN_LOST) {
    lines.push(`    and ${places.length - SHOWN_LOST} more places`);
  }
  return lines;
}

function sectorsOf(first: number, sectors: number): string {
  return sectors === 1 ? `sector ${first}` : `sectors ${first} to ${first + sectors - 1}`;
}

/** About how long it takes from here, when `share` of it took `ms`. */
export function remaining(ms: number, share: number): string {
  if (share <= 0) return "";
  const seconds = Math.round((ms * (1 - share)) / share / 1000);
  if (seconds < 60) return `about ${seconds} s left`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `about ${minutes} min left` : `about ${Math.round(minutes / 60)} h left`;
}
