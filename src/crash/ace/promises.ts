/**
 * What the persistence points of a workload promise.
 *
 * @module
 */
import type { Seen, Sight } from "./sight.ts";
import { type Persistence, type Step, isPersistence } from "./workload.ts";

/** What is noted while a workload runs: step so many begins, or what it promises holds. */
export type AceLabel = { readonly begun: number } | { readonly kept: number };

/** From which state on something has to be as it was, or as later calls made it. */
export interface Floor {
  /** All of the filesystem, where its metadata changes in order. */
  readonly state: number;
  /** Everything, bytes included. */
  readonly all: number;
  /** What belongs to an inode. */
  readonly inodes: ReadonlyMap<number, number>;
  /** The bytes of an inode. */
  readonly bytes: readonly BytesFloor[];
}

/** Bytes `[from, to)` of an inode. */
export interface BytesFloor {
  readonly ino: number;
  readonly from: number;
  readonly to: number;
  readonly state: number;
}

const NOTHING: Floor = { state: 0, all: 0, inodes: new Map(), bytes: [] };

/** The states that the calls of a workload have made, and what was promised of them. */
export class Promises {
  readonly steps: readonly Step[];
  /** What was seen after so many calls that change something. */
  readonly states: readonly Sight[];
  /** After each step: what holds from then on. */
  readonly #floors: readonly Floor[];
  /** Calls that change something, up to and with each step. */
  readonly #calls: readonly number[];

  constructor(steps: readonly Step[], states: readonly Sight[]) {
    this.steps = steps;
    this.states = states;
    const floors: Floor[] = [];
    const calls: number[] = [];
    this.#calls = calls;
    for (const [i, step] of steps.entries()) {
      const floor = floors[i - 1] ?? NOTHING;
      const before = calls[i - 1] ?? 0;
      calls.push(isPersistence(step) ? before : before + 1);
      floors.push(isPersistence(step) ? this.#raised(floor, step, before) : floor);
    }
    this.#floors = floors;
  }

  /** What holds when this was noted, and how many calls that change something had begun. */
  at(noted: readonly unknown[]): { readonly floor: Floor; readonly begun: number } {
    let floor = NOTHING;
    let begun = 0;
    for (const label of noted as readonly AceLabel[]) {
      if ("kept" in label) floor = this.#floors[label.kept] ?? floor;
      else begun = this.#calls[label.begun] ?? begun;
    }
    return { floor, begun };
  }

  /** Whether two workloads with the same calls promise the same. */
  get text(): string {
    return JSON.stringify(
      this.#floors.map(({ state, all, inodes, bytes }) => [state, all, [...inodes], bytes]),
    );
  }

  #raised(floor: Floor, step: Persistence, state: number): Floor {
    if (step.do === "sync") return { ...NOTHING, state, all: state };
    const seen = this.states[state]?.entries.get(step.path);
    if (seen === undefined) return floor;
    const { ino, bytes } = seen;
    const size = bytes?.length ?? 0;
    const range = step.do === "msync" ? this.#storedBy(step.path, state) : { from: 0, to: size };
    const raised = { ...floor, bytes: [...floor.bytes, { ino, ...range, state }] };
    if (step.do !== "fsync") {
      return { ...raised, state: Math.max(floor.state, this.#lastExtent(ino, state)) };
    }
    return {
      ...raised,
      state: Math.max(floor.state, this.#lastChange(ino, state)),
      inodes: new Map([...floor.inodes, [ino, state]]),
    };
  }

  /** The last state up to `state` in which something of an inode became what it is. */
  #lastChange(ino: number, state: number): number {
    return this.#last(state, (sight) => sight.inodes.get(ino));
  }

  /** The same of its size and blocks: what reading it back needs. */
  #lastExtent(ino: number, state: number): number {
    return this.#last(state, (sight) => withInode(sight, ino)?.extent);
  }

  #last(state: number, of: (sight: Sight) => string | undefined): number {
    let at = state;
    const now = of(this.states[at] as Sight);
    while (at > 0 && of(this.states[at - 1] as Sight) === now) at--;
    return at;
  }

  /** Which bytes differ from those before the last call that stored through a mapping. */
  #storedBy(path: string, state: number): { readonly from: number; readonly to: number } {
    let call = state;
    let at = this.#calls.lastIndexOf(call);
    for (; call > 0; at--) {
      const step = this.steps[at];
      if (step === undefined) break;
      if (isPersistence(step)) continue;
      if (step.do === "mmapwrite" && step.path === path) break;
      call--;
    }
    const after = this.states[call]?.entries.get(path)?.bytes ?? new Uint8Array(0);
    const before = this.states[call - 1]?.entries.get(path)?.bytes ?? new Uint8Array(0);
    const differs = (byte: number, i: number): boolean => byte !== before[i];
    const from = after.findIndex(differs);
    return from < 0 ? { from: 0, to: 0 } : { from, to: after.findLastIndex(differs) + 1 };
  }
}

/** An inode of a tree by its number, by whichever name is first. */
export function withInode({ entries }: Sight, ino: number): Seen | undefined {
  for (const seen of entries.values()) if (seen.ino === ino) return seen;
  return undefined;
}
