/**
 * The chooser decides a crash image where it is looked at, and nowhere else. At the first load of
 * open bytes it forks over the contents that differ there; which way it goes is the path, so the
 * same path leads through the same run again.
 *
 * @module
 */
import type { Observer } from "../media/recorder.ts";
import { LINE_BYTES } from "../media/trace.ts";
import type { CrashImage } from "./crash-image.ts";
import type { Frontier } from "./frontier.ts";
import { RunEnded } from "./program.ts";
import { StepCounter } from "./run.ts";
import { type Group, maskHi, maskLo, splitBy } from "./versions.ts";

/** One decision of a run. */
export interface Fork {
  readonly line: number;
  /** The load that asked: bytes of the media. */
  readonly at: number;
  readonly length: number;
  readonly groups: readonly Group[];
  chosen: number;
  /** Raw states that come this far, before the decision. */
  readonly states: bigint;
  /** Raw states of the line before the decision. */
  readonly lineStates: bigint;
}

/** Raw states that follow the chosen way of a fork. */
export function statesAfter({ states, lineStates, groups, chosen }: Fork): bigint {
  return (states / lineStates) * BigInt((groups[chosen] as Group).weight);
}

/** Decides as loads ask. One for all runs; {@link begin} starts one. */
export class Chooser implements Observer {
  readonly #image: CrashImage;
  /** What a run may still do. */
  readonly counter: StepCounter;
  #frontier: Frontier | undefined;
  #path: Fork[] = [];
  #cursor = 0;
  #space = 1n;
  #looked = new Map<number, Group>();
  #loads = 0;
  #log: number[] | undefined;
  #strayed: string | undefined;

  constructor(image: CrashImage, steps: number) {
    this.#image = image;
    this.counter = new StepCounter(steps);
  }

  /** The lines that this run looked at, and what they may still be. */
  get looked(): ReadonlyMap<number, Group> {
    return this.#looked;
  }

  /** Loads made by this run. */
  get loads(): number {
    return this.#loads;
  }

  /** How the run differed from an earlier one on the same path, if it did. */
  get strayed(): string | undefined {
    return this.#strayed;
  }

  /** Forks of the path that this run has met. */
  get depth(): number {
    return this.#cursor;
  }

  /** Raw states that this run stands for, as decided so far. */
  get states(): bigint {
    const last = this.#path[this.#cursor - 1];
    return last === undefined ? this.#space : statesAfter(last);
  }

  /** A run along `path`, which grows where the run asks for more than it holds. */
  begin(frontier: Frontier, path: Fork[], space: bigint, log: number[] | undefined): void {
    this.#frontier = frontier;
    this.#path = path;
    this.#space = space;
    this.#cursor = 0;
    this.#looked = new Map();
    this.#loads = 0;
    this.#log = log;
    this.counter.refill();
    this.#strayed = undefined;
  }

  /** To be called when a run came to its end: it must have met every fork of its path. */
  end(): void {
    if (
      this.#strayed === undefined &&
      !this.counter.exhausted &&
      this.#cursor < this.#path.length
    ) {
      const fork = this.#path[this.#cursor] as Fork;
      this.#stray(`it did not load bytes ${fork.at}+${fork.length} again`);
    }
  }

  load(at: number, length: number): void {
    this.#spend(length);
    this.#loads++;
    this.#log?.push(at, length);
    const { lo, hi } = this.#image;
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    for (let line = Math.floor(at / LINE_BYTES); line <= last; line++) {
      if ((lo[line]! | hi[line]!) !== 0) this.#look(line, at, length);
    }
  }

  store(at: number, length: number): void {
    this.#spend(length);
    const { lo, hi } = this.#image;
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    for (let line = Math.floor(at / LINE_BYTES); line <= last; line++) {
      if ((lo[line]! | hi[line]!) === 0) {
        this.#image.save(line);
        continue;
      }
      // What the line may hold is worked out before the store hides some of it.
      if (!this.#looked.has(line)) this.#open(line);
      const start = line * LINE_BYTES;
      const from = Math.max(at - start, 0);
      const to = Math.min(at + length - start, LINE_BYTES);
      this.#image.save(line);
      lo[line]! &= ~maskLo(from, to);
      hi[line]! &= ~maskHi(from, to);
    }
  }

  order(_at: number, length: number): void {
    this.#spend(length);
  }

  #look(line: number, at: number, length: number): void {
    if (!this.#looked.has(line)) this.#open(line);
    const start = line * LINE_BYTES;
    const from = Math.max(at - start, 0);
    const to = Math.min(at + length - start, LINE_BYTES);
    const lo = this.#image.lo[line]! & maskLo(from, to);
    const hi = this.#image.hi[line]! & maskHi(from, to);
    if ((lo | hi) !== 0) this.#decide(line, this.#fork(line, at, length, lo, hi));
  }

  /** The next fork of the path, or a new one at its end. */
  #fork(line: number, at: number, length: number, lo: number, hi: number): Group {
    const known = this.#path[this.#cursor];
    if (known !== undefined) {
      if (known.line !== line || known.at !== at || known.length !== length) {
        this.#stray(
          `it loaded bytes ${at}+${length} where it had loaded ${known.at}+${known.length}`,
        );
        throw new RunEnded(this.#strayed);
      }
      this.#cursor++;
      return known.groups[known.chosen] as Group;
    }
    const group = this.#looked.get(line) as Group;
    const groups = splitBy(group.versions, { lo, hi });
    const { states } = this;
    const lineStates = BigInt(group.weight);
    this.#path.push({ line, at, length, groups, chosen: 0, states, lineStates });
    this.#cursor++;
    return groups[0] as Group;
  }

  #open(line: number): void {
    const group = this.#frontier?.group(line);
    if (group !== undefined) this.#decide(line, group);
  }

  #decide(line: number, group: Group): void {
    this.#image.decide(line, group);
    this.#looked.set(line, group);
  }

  #spend(length: number): void {
    if (this.#strayed !== undefined) throw new RunEnded(this.#strayed);
    this.counter.spend(length);
  }

  #stray(how: string): void {
    this.#strayed = `the same state was run twice, and the second time ${how}`;
  }
}
