/**
 * Decides what the units of a disk are after a power cut where they are looked at, and nowhere
 * else. At the first load of bytes that differ between the contents that a unit may still have, the
 * run forks; contents that are the same there stay together.
 *
 * @module
 */
import type { Observer } from "../media/recorder.ts";
import type { BlockFrontier } from "./block-frontier.ts";
import type { Assignment } from "./block-states.ts";
import { RunEnded } from "./program.ts";

/** One decision of a run. */
export interface BlockFork {
  readonly unit: number;
  /** The load that asked: bytes of the disk. */
  readonly at: number;
  readonly length: number;
  /** Indices of contents (`Versions.contents`), ascending. */
  readonly groups: readonly (readonly number[])[];
  /** Raw states of the unit in each group. */
  readonly weights: readonly number[];
  chosen: number;
}

/** Chooses a way at a fork that no path knows. */
export type ChooseWay = (fork: BlockFork) => number;

/** Accesses between two questions whether a run is to end. */
const ASKED_EVERY = 65_536;

/** See the module. One for all runs over one disk; {@link begin} starts one. */
export class BlockChooser implements Observer {
  readonly #bytes: Uint8Array;
  readonly #frontier: BlockFrontier;
  readonly #shift: number;
  readonly #steps: number;
  readonly #isOver: () => boolean;
  #path: BlockFork[] = [];
  #cursor = 0;
  #choose: ChooseWay = () => 0;
  #left = 0;
  #active = false;
  /** What the units that were looked at may still be; the image holds the last of these. */
  readonly #alive = new Map<number, readonly number[]>();
  /** Of units that the run stored to: their bytes before, and which of them it stored. */
  readonly #stored = new Map<number, { readonly before: Uint8Array; readonly mask: Uint8Array }>();
  /** How the run went another way than its path. */
  strayed: string | undefined;
  /** The run was ended, since all of it is over. */
  wasEnded = false;
  loads = 0;

  /**
   * `bytes` are what the observed memory holds; `steps` are accesses that one run may make; a run
   * is ended where `isOver`.
   */
  constructor(
    bytes: Uint8Array,
    frontier: BlockFrontier,
    steps: number,
    isOver: () => boolean = () => false,
  ) {
    this.#isOver = isOver;
    this.#bytes = bytes;
    this.#frontier = frontier;
    this.#shift = Math.log2(frontier.model.unit);
    this.#steps = steps;
  }

  /** Starts a run that follows `path` and extends it. */
  begin(path: BlockFork[], choose: ChooseWay = () => 0): void {
    this.#path = path;
    this.#cursor = 0;
    this.#choose = choose;
    this.#left = this.#steps;
    this.#active = true;
    this.strayed = undefined;
    this.wasEnded = false;
    this.#alive.clear();
  }

  /** Ends the run: the disk is as it was before, with everything that was written in place. */
  end(): void {
    this.#active = false;
    for (const [unit, { before }] of this.#stored) this.#bytes.set(before, this.#start(unit));
    this.#stored.clear();
    for (const unit of this.#alive.keys()) this.#put(unit, this.#newest(unit));
    if (this.#cursor !== this.#path.length) this.strayed ??= "it looked at less the second time";
  }

  /** What the run decided: the newest contents that fit what was seen. */
  decided(): Assignment {
    const decided = new Map<number, number>();
    for (const [unit, alive] of this.#alive) {
      const content = alive.at(-1) as number;
      if (content !== this.#newest(unit)) decided.set(unit, content);
    }
    return decided;
  }

  /** Raw states, of `space`, that all make this run. */
  states(space: bigint): bigint {
    // Divided once: the space of a large disk has a hundred thousand digits.
    let [all, left] = [1n, 1n];
    for (const [unit, alive] of this.#alive) {
      const { weights, states } = this.#frontier.versions(unit);
      all *= BigInt(states);
      left *= BigInt(alive.reduce((sum, content) => sum + (weights[content] as number), 0));
    }
    return (space / all) * left;
  }

  load(at: number, length: number): void {
    if (!this.#active) return;
    this.#step();
    this.loads++;
    const { undecided } = this.#frontier;
    const last = (at + length - 1) >>> this.#shift;
    for (let unit = at >>> this.#shift; unit <= last; unit++) {
      if (undecided[unit] === 1) this.#look(unit, at, length);
    }
  }

  store(at: number, length: number): void {
    if (!this.#active) return;
    this.#step();
    const size = this.#frontier.model.unit;
    const last = (at + length - 1) >>> this.#shift;
    for (let unit = at >>> this.#shift; unit <= last; unit++) {
      const start = this.#start(unit);
      const held = this.#stored.get(unit) ?? {
        before: this.#bytes.slice(start, start + size),
        mask: new Uint8Array(size),
      };
      held.mask.fill(1, Math.max(0, at - start), Math.min(size, at + length - start));
      this.#stored.set(unit, held);
    }
  }

  order(): void {
    if (this.#active) this.#step();
  }

  #step(): void {
    // At the first access, too: short runs are many.
    const due = this.#left % ASKED_EVERY === 0 || this.#left === this.#steps;
    if (due || this.wasEnded) this.#ask();
    if (--this.#left < 0) {
      throw new RunEnded(`more than ${this.#steps} accesses to the disk: does it hang?`);
    }
  }

  #ask(): void {
    this.wasEnded ||= this.#isOver();
    if (this.wasEnded) throw new RunEnded("all of it is over");
  }

  #look(unit: number, at: number, length: number): void {
    const { contents, weights } = this.#frontier.versions(unit);
    const alive = this.#alive.get(unit) ?? contents.map((_, i) => i);
    if (alive.length === 1) return;
    const start = this.#start(unit);
    const from = Math.max(0, at - start);
    const to = Math.min(this.#frontier.model.unit, at + length - start);
    const mask = this.#stored.get(unit)?.mask;
    const groups = grouped(contents, alive, from, to, mask);
    if (groups.length === 1) return;
    const fork = this.#follow(unit, at, length, groups, weights);
    const group = fork.groups[fork.chosen] as readonly number[];
    this.#alive.set(unit, group);
    this.#put(unit, group.at(-1) as number, mask);
  }

  #follow(
    unit: number,
    at: number,
    length: number,
    groups: readonly (readonly number[])[],
    weights: readonly number[],
  ): BlockFork {
    const known = this.#path[this.#cursor];
    if (known !== undefined) {
      this.#cursor++;
      if (known.unit === unit && known.at === at && known.groups.length === groups.length) {
        return known;
      }
      this.strayed ??= `it looked at byte ${at} where it looked at ${known.at} before`;
      throw new RunEnded(`recovery or check is not deterministic: ${this.strayed}`);
    }
    const weightOf = (group: readonly number[]) =>
      group.reduce((sum, content) => sum + (weights[content] as number), 0);
    const fork = { unit, at, length, groups, weights: groups.map(weightOf), chosen: 0 };
    fork.chosen = this.#choose(fork);
    this.#path.push(fork);
    this.#cursor++;
    return fork;
  }

  #newest(unit: number): number {
    return this.#frontier.versions(unit).contents.length - 1;
  }

  #start(unit: number): number {
    return unit * this.#frontier.model.unit;
  }

  #put(unit: number, content: number, mask?: Uint8Array): void {
    const bytes = this.#frontier.versions(unit).contents[content] as Uint8Array;
    const start = this.#start(unit);
    if (mask === undefined) {
      this.#bytes.set(bytes, start);
      return;
    }
    for (let i = 0; i < bytes.length; i++) {
      if (mask[i] === 0) this.#bytes[start + i] = bytes[i] as number;
    }
  }
}

/** Contents that are the same in `[from, to)`, but for what the run itself stored there. */
function grouped(
  contents: readonly Uint8Array[],
  alive: readonly number[],
  from: number,
  to: number,
  mask: Uint8Array | undefined,
): number[][] {
  const groups: number[][] = [];
  for (const content of alive) {
    const bytes = contents[content] as Uint8Array;
    const group = groups.find(([first]) =>
      sameThere(contents[first as number] as Uint8Array, bytes, from, to, mask),
    );
    if (group === undefined) groups.push([content]);
    else group.push(content);
  }
  return groups;
}

function sameThere(
  a: Uint8Array,
  b: Uint8Array,
  from: number,
  to: number,
  mask: Uint8Array | undefined,
): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i] && mask?.[i] !== 1) return false;
  return true;
}
