/**
 * States of a disk at one instant, one by one: how they are named, put on the image and taken off
 * it, enumerated where they are few, and chosen where they are many.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Prng } from "../lib/prng.ts";
import type { BlockFrontier, BlockModel, Versions } from "./block-frontier.ts";

/** Which of its contents each unit has (an index of `Versions.contents`); absent: the newest. */
export type Assignment = ReadonlyMap<number, number>;

/** An instant at which states are looked at. */
export interface Stop {
  /** Counted from 0. */
  readonly index: number;
  /**
   * - `replayed`: everything up to the entry is there, as replay tools make it;
   * - `flush`, `fua`: the power goes before the flush, or the FUA write, has completed;
   * - `end`: the power goes after the last entry.
   */
  readonly kind: "replayed" | "flush" | "fua" | "end";
  /** The entry of the log; for `end` their number. */
  readonly entry: number;
  /** The last mark before it. */
  readonly mark: string | undefined;
}

const LETTERS = { replayed: "", flush: "f", fua: "w", end: "e" } as const;

/** The name of a stop: `57`, `57f`, `57w`, `88e`. */
export function stopName({ kind, entry }: Pick<Stop, "kind" | "entry">): string {
  return `${entry}${LETTERS[kind]}`;
}

/** A state as it is written on a command line. */
export interface StateName {
  readonly stop: string;
  readonly model: BlockModel;
  readonly assignment: Assignment;
  /** Power cuts in the workload and in recoveries from it (`state-id.ts`), instead of that. */
  readonly inner?: string;
}

const STATE = /^(\d+[fwe]?)(?:@(512|4096)(?:t(\d+))?)?(?::(.+))?$/u;
const UNITS = /^(\d+)(?:-(\d+))?=(\d+)$/u;
const MOST_UNITS = 2 ** 23;

/** What a name says of sectors: `@512`, `@4096t1024`. */
export function modelName({ unit, torn }: BlockModel): string {
  return `@${unit}${torn === undefined ? "" : `t${torn}`}`;
}

/**
 * The name of a state: `57f@512:12=0,16-19=1`, by units of the disk and which contents they have.
 */
export function nameOfState(stop: Stop, model: BlockModel, given: Assignment): string {
  if (stop.kind === "replayed") return stopName(stop);
  const parts: string[] = [];
  const units = [...given].toSorted(([a], [b]) => a - b);
  for (let i = 0; i < units.length; i++) {
    const [first, content] = units[i] as [number, number];
    let last = first;
    while (units[i + 1]?.[0] === last + 1 && units[i + 1]?.[1] === content) {
      last++;
      i++;
    }
    parts.push(`${first}${last > first ? `-${last}` : ""}=${content}`);
  }
  return `${stopName(stop)}${modelName(model)}${parts.length > 0 ? `:${parts.join(",")}` : ""}`;
}

/** @throws EINVAL for what names no state */
export function parseState(text: string): StateName {
  const cut = text.indexOf("/");
  const inner = cut === -1 ? {} : { inner: text.slice(cut + 1) };
  const [, stop, unit, torn, list] = STATE.exec(cut === -1 ? text : text.slice(0, cut)) ?? [];
  if (stop === undefined) throw badName(text, "it looks like 57, 57f@512 or 57f@512:12=0,16-19=1");
  const assignment = new Map<number, number>();
  for (const part of list?.split(",") ?? []) {
    const [, first, last = first, content] = UNITS.exec(part) ?? [];
    if (first === undefined) throw badName(text, `'${part}' is not UNIT=CONTENT`);
    if (Number(last) - Number(first) + assignment.size > MOST_UNITS) {
      throw badName(text, `'${part}' names too many units`);
    }
    for (let at = Number(first); at <= Number(last); at++) assignment.set(at, Number(content));
  }
  const tears = torn === undefined ? {} : { torn: Number(torn) };
  const model = { unit: Number(unit ?? 512), ...tears };
  checkModel(model);
  return { stop, model, assignment, ...inner };
}

/** @throws EINVAL for units that no disk has, or parts that are none of them */
export function checkModel({ unit, torn }: BlockModel): void {
  if (unit !== 512 && unit !== 4096)
    throw refused(`sectors of ${unit} bytes; they have 512 or 4096`);
  if (torn === undefined || (torn >= 8 && torn < unit && torn % 8 === 0)) return;
  throw refused(`torn after ${torn} bytes; give a multiple of 8 below ${unit}`);
}

function refused(detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "replay", detail });
}

function badName(text: string, rule: string): DaxError {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return refused(`state '${shown}': ${rule}`);
}

/**
 * What a name gives units of the disk, by units of the image.
 * @throws EINVAL for units that are decided here, or have no such contents
 */
export function inImage(frontier: BlockFrontier, named: Assignment): Assignment {
  const given = new Map<number, number>();
  for (const [unit, content] of named) {
    const at = frontier.inImage(unit) ?? -1;
    const many = frontier.undecided[at] === 1 ? frontier.versions(at).contents.length : 0;
    if (content >= many) {
      const rule = many === 0 ? "cannot be lost here" : `has contents 0 to ${many - 1}`;
      throw badName(`${unit}=${content}`, `unit ${unit} ${rule}`);
    }
    given.set(at, content);
  }
  return given;
}

/** The same by units of the disk. */
export function onDisk(frontier: BlockFrontier, given: Assignment): Assignment {
  if (frontier.map.isWhole) return given;
  return new Map([...given].map(([unit, content]) => [frontier.onDisk(unit), content]));
}

/** Makes the image that state; it was the newest one. */
export function putState(frontier: BlockFrontier, given: Assignment): void {
  for (const [unit, content] of given) putContent(frontier, unit, content);
}

/** Makes the image the newest state again. */
export function takeState(frontier: BlockFrontier, given: Assignment): void {
  for (const unit of given.keys()) {
    putContent(frontier, unit, frontier.versions(unit).contents.length - 1);
  }
}

function putContent(frontier: BlockFrontier, unit: number, content: number): void {
  const { contents } = frontier.versions(unit);
  frontier.image.put(unit * frontier.model.unit, frontier.model.unit, contents[content]);
}

/** States to be checked at one stop. */
export interface StateList {
  /** Different ones there are. */
  readonly distinct: bigint;
  /** All of them are in `states`. */
  readonly complete: boolean;
  /** Each once. */
  readonly states: Iterable<Assignment>;
}

/** All states at an instant if there are at most `most`, else so many that were chosen. */
export function statesAt(frontier: BlockFrontier, most: number, prng: Prng): StateList {
  const live: [number, Versions][] = [];
  let distinct = 1n;
  for (const unit of frontier.openUnits()) {
    const versions = frontier.versions(unit);
    if (versions.contents.length === 1) continue;
    live.push([unit, versions]);
    distinct *= BigInt(versions.contents.length);
  }
  const complete = distinct <= BigInt(most);
  const states = complete ? everyState(live) : someStates(live, most, prng);
  return { distinct, complete, states };
}

/** Counts through them; the newest comes first. */
function* everyState(live: readonly [number, Versions][]): Generator<Assignment, void> {
  const digits = live.map(([, { contents }]) => contents.length - 1);
  for (;;) {
    const given = new Map<number, number>();
    for (const [i, [unit, { contents }]] of live.entries()) {
      if (digits[i] !== contents.length - 1) given.set(unit, digits[i] as number);
    }
    yield given;
    let i = 0;
    while (i < live.length && digits[i] === 0) {
      digits[i] = (live[i] as [number, Versions])[1].contents.length - 1;
      i++;
    }
    if (i === live.length) return;
    digits[i]!--;
  }
}

/**
 * The newest state and the oldest, then those with whole requests missing: up to one, but for one,
 * only one; then half of the requests and half of the units by chance.
 */
function* someStates(
  live: readonly [number, Versions][],
  most: number,
  prng: Prng,
): Generator<Assignment, void> {
  const seen = new Set<string>();
  let left = most;
  // Chance may repeat itself for ever where it is made of few requests.
  for (let tries = most * 4; tries > 0; tries--) {
    for (const given of guided(live, prng)) {
      const key = [...given].join();
      if (seen.has(key)) continue;
      seen.add(key);
      yield given;
      if (--left === 0) return;
    }
  }
}

function* guided(live: readonly [number, Versions][], prng: Prng): Generator<Assignment, void> {
  const requests = [...new Set(live.flatMap(([, { entries }]) => [...entries]))].filter(
    (entry) => entry !== -1,
  );
  yield arrivedOf(live, () => true);
  yield arrivedOf(live, () => false);
  const order = shuffled(requests, prng);
  for (const request of order) {
    yield arrivedOf(live, (entry) => entry <= request);
    yield arrivedOf(live, (entry) => entry !== request);
    yield arrivedOf(live, (entry) => entry === request);
    yield arrivedOf(live, halfOf(requests, prng));
    yield byChance(live, prng);
  }
}

/** Each unit is as the last request left it that arrived. */
function arrivedOf(
  live: readonly [number, Versions][],
  arrived: (entry: number) => boolean,
): Assignment {
  const given = new Map<number, number>();
  for (const [unit, { contents, entries }] of live) {
    const newest = contents.length - 1;
    let content = newest;
    while (content > 0 && entries[content] !== -1 && !arrived(entries[content] as number)) {
      content--;
    }
    if (content !== newest) given.set(unit, content);
  }
  return given;
}

function halfOf(requests: readonly number[], prng: Prng): (entry: number) => boolean {
  const half = new Set(requests.filter(() => prng.below(2) === 0));
  return (entry) => half.has(entry);
}

function byChance(live: readonly [number, Versions][], prng: Prng): Assignment {
  const given = new Map<number, number>();
  for (const [unit, { contents }] of live) {
    const content = prng.below(contents.length);
    if (content !== contents.length - 1) given.set(unit, content);
  }
  return given;
}

function shuffled(list: readonly number[], prng: Prng): number[] {
  const order = [...list];
  for (let i = order.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/**
 * The smallest loss that still fails, as far as it can be found in `most` runs: whole halves of
 * what is lost are given back first, then less and less, then single units.
 */
export function smallestLoss(
  given: Assignment,
  fails: (smaller: Assignment) => boolean,
  most: number,
): Assignment {
  let lost = [...given].toSorted(([a], [b]) => a - b);
  let runs = most;
  for (let size = lost.length; size >= 1 && runs > 0; size = Math.floor(size / 2)) {
    for (let at = 0; at < lost.length && runs > 0;) {
      const fewer = [...lost.slice(0, at), ...lost.slice(at + size)];
      runs--;
      if (fails(new Map(fewer))) lost = fewer;
      else at += size;
    }
  }
  return new Map(lost);
}
