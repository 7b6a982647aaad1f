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

/** Undecided bytes of a line that a load asks for. */
interface Asked {
  readonly line: number;
  readonly at: number;
  readonly length: number;
  readonly lo: number;
  readonly hi: number;
}

/** An entry of {@link Chooser.looked} before it changed; absent: there was none. */
interface LookedBefore {
  readonly line: number;
  readonly group: Group | undefined;
}

/** Which way a run goes at a fork that no run of its path has met: an index of its groups. */
export type Guide = (line: number, groups: readonly Group[]) => number;

/** How far a run has come. */
export interface ChooserMark {
  /** Forks of the path that the run has met. */
  readonly depth: number;
  readonly changes: number;
  readonly loads: number;
  readonly left: number;
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
  /** What {@link looked} held before each change of it, to go back. */
  #changes: LookedBefore[] = [];
  #loads = 0;
  #log: number[] | undefined;
  #strayed: string | undefined;
  /** When each line was last looked at, by {@link now}; kept where that is asked for. */
  looks: Uint32Array | undefined;
  now = 0;
  /** Absent: the way that lost least. */
  guide: Guide | undefined;

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
    this.#changes = [];
    this.#loads = 0;
    this.#log = log;
    this.counter.refill();
    this.#strayed = undefined;
  }

  /** How far the run has come: {@link rewind} goes back there. */
  mark(): ChooserMark {
    const { left } = this.counter;
    return { depth: this.#cursor, changes: this.#changes.length, loads: this.#loads, left };
  }

  /** Goes back to where the present run has been; the image is the caller's. */
  rewind({ depth, changes, loads, left }: ChooserMark): void {
    while (this.#changes.length > changes) {
      const { line, group } = this.#changes.pop() as LookedBefore;
      if (group === undefined) this.#looked.delete(line);
      else this.#looked.set(line, group);
    }
    this.#cursor = depth;
    this.#loads = loads;
    this.counter.refill(left);
  }

  /** Whether something is undecided in the lines of these bytes. */
  isOpen(at: number, length: number): boolean {
    const { lo, hi } = this.#image;
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    for (let line = Math.floor(at / LINE_BYTES); line <= last; line++) {
      if ((lo[line]! | hi[line]!) !== 0) return true;
    }
    return false;
  }

  /** A load of bytes that are known to be decided. */
  pass(at: number, length: number): void {
    this.#spend(length);
    this.#loads++;
    if (this.looks !== undefined) this.#note(this.looks, at, length);
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
    if (this.looks !== undefined) this.#note(this.looks, at, length);
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

  #note(looks: Uint32Array, at: number, length: number): void {
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    looks.fill(this.now, Math.floor(at / LINE_BYTES), last + 1);
  }

  #look(line: number, at: number, length: number): void {
    const known = this.#looked.get(line);
    const group = known ?? this.#frontier?.group(line);
    if (group === undefined) return;
    const start = line * LINE_BYTES;
    const from = Math.max(at - start, 0);
    const to = Math.min(at + length - start, LINE_BYTES);
    const lo = this.#image.lo[line]! & group.open.lo & maskLo(from, to);
    const hi = this.#image.hi[line]! & group.open.hi & maskHi(from, to);
    if ((lo | hi) !== 0) this.#decide(line, this.#fork(group, { line, at, length, lo, hi }));
    else if (known === undefined) this.#decide(line, group);
  }

  /** The next fork of the path, or a new one at its end. */
  #fork(group: Group, { line, at, length, lo, hi }: Asked): Group {
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
    const groups = splitBy(group.versions, { lo, hi });
    const { states } = this;
    const lineStates = BigInt(group.weight);
    const chosen = this.guide?.(line, groups) ?? 0;
    this.#path.push({ line, at, length, groups, chosen, states, lineStates });
    this.#cursor++;
    return groups[chosen] as Group;
  }

  #open(line: number): void {
    const group = this.#frontier?.group(line);
    if (group !== undefined) this.#decide(line, group);
  }

  #decide(line: number, group: Group): void {
    this.#image.decide(line, group);
    this.#changes.push({ line, group: this.#looked.get(line) });
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
