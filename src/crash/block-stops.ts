/**
 * The instants of a trace at which states of a disk are looked at.
 *
 * @module
 */
import type { BlockFrontier } from "./block-frontier.ts";
import type { Stop } from "./block-states.ts";
import type { BlockEvent, BlockTrace, BlockWrite } from "./block-trace.ts";

/** Entries after which the disk is looked at as replay makes it, with nothing lost. */
export type ReplayAt = "flush" | "fua" | "entry" | "mark";

/** Which instants. */
export interface StopPlan {
  /** After every flush, FUA write, entry or mark. */
  readonly at: readonly ReplayAt[];
  /** Before every flush and FUA write has completed, and at the end, with requests lost. */
  readonly reorder: boolean;
  /** Entries before this one, or before this mark, are written and not looked at. */
  readonly startEntry?: number;
  readonly startMark?: string;
  /** Stops whose states were all seen at the one before, too: to find one by its name. */
  readonly every?: boolean;
  /** Nothing behind this mark is done. */
  readonly endMark?: string;
}

/** Walks a trace; with a frontier it does what the trace says, without one it only counts. */
class Walk {
  readonly #plan: StopPlan;
  readonly #frontier: BlockFrontier | undefined;
  #started: boolean;
  #index = 0;
  #mark: string | undefined;
  /** A request that may be lost, or a mark, came since the last stop with losses. */
  #news = true;
  /** What the present entry is. */
  #kinds = new Set<ReplayAt>();

  constructor(plan: StopPlan, frontier: BlockFrontier | undefined) {
    this.#plan = plan;
    this.#frontier = frontier;
    this.#started = plan.startMark === undefined;
  }

  *stops(trace: BlockTrace): Generator<Stop, void> {
    let present = -1;
    let events = 0;
    for (const event of trace.events) {
      const entry = event.entry ?? events;
      events++;
      if (entry !== present) {
        yield* this.#replayed(present);
        if (this.#isOver) return;
        present = entry;
      }
      yield* this.#event(event, entry);
    }
    yield* this.#replayed(present);
    if (this.#plan.reorder && !this.#isOver) yield* this.#stop("end", present + 1);
  }

  get #isOver(): boolean {
    return this.#mark !== undefined && this.#mark === this.#plan.endMark;
  }

  *#event(event: BlockEvent, entry: number): Generator<Stop, void> {
    this.#kinds.add("entry");
    if (event.kind === "mark") this.#marked(event.label);
    else if (event.kind === "flush") {
      this.#kinds.add("flush");
      if (this.#plan.reorder) yield* this.#stop("flush", entry);
      this.#frontier?.flush();
    } else if (event.kind === "discard") {
      this.#news = true;
      this.#frontier?.discard(event);
    } else yield* this.#write(event, entry);
  }

  #marked(label: string): void {
    this.#kinds.add("mark");
    this.#mark = label;
    this.#news = true;
    if (label === this.#plan.startMark) this.#started = true;
  }

  *#write(write: BlockWrite, entry: number): Generator<Stop, void> {
    this.#news = true;
    this.#frontier?.write(write);
    if (!write.fua) return;
    this.#kinds.add("fua");
    if (this.#plan.reorder) yield* this.#stop("fua", entry);
    this.#frontier?.settle(write);
  }

  *#replayed(entry: number): Generator<Stop, void> {
    const wanted = this.#plan.at.some((kind) => this.#kinds.has(kind));
    this.#kinds.clear();
    if (wanted && this.#isFrom(entry)) yield this.#make("replayed", entry);
  }

  /**
   * Without news the states are among those of the stop before: there the FUA write that completed
   * since might have been missing as well.
   */
  *#stop(kind: "flush" | "fua" | "end", entry: number): Generator<Stop, void> {
    if (!this.#isFrom(entry) || !(this.#news || this.#plan.every === true)) return;
    this.#news = false;
    yield this.#make(kind, entry);
  }

  #isFrom(entry: number): boolean {
    return this.#started && entry >= (this.#plan.startEntry ?? 0);
  }

  #make(kind: Stop["kind"], entry: number): Stop {
    return { index: this.#index++, kind, entry, mark: this.#mark };
  }
}

/** Does what the trace says on the frontier, and stops where the plan wants to look. */
export function stopsOf(
  trace: BlockTrace,
  plan: StopPlan,
  frontier: BlockFrontier,
): Generator<Stop, void> {
  return new Walk(plan, frontier).stops(trace);
}

/** How many stops {@link stopsOf} makes. */
export function countStops(trace: BlockTrace, plan: StopPlan): number {
  let count = 0;
  for (const _ of new Walk(plan, undefined).stops(trace)) count++;
  return count;
}
