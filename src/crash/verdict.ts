/**
 * Verdicts: what a proof ends with. There is no fifth way, and none that is silent.
 *
 * @module
 */
import type { CallSite } from "../lib/call-site.ts";
import type { Objection } from "./program.ts";
import type { Tally } from "./tally.ts";
import type { Torn } from "./versions.ts";

/** One event of a program on its media. */
export interface EventNote {
  /** Its place in the trace, from 0. */
  readonly number: number;
  /** `end` is where the program ended; it is no event. */
  readonly kind: "store" | "copy" | "copyNonTemporal" | "flush" | "fence" | "ack" | "end";
  /** Bytes of the media, for stores and flushes. */
  readonly offset?: number;
  readonly length?: number;
  /** What an ack promised. */
  readonly label?: unknown;
  /** Where in the program; absent when it is not known. */
  readonly site?: CallSite;
}

/**
 * What became of a store in the state that failed:
 * - `durable`: it was flushed and fenced, or needs neither;
 * - `arrived`: it might have been lost, and was not;
 * - `torn`: a part of it arrived;
 * - `lost`: none of it did.
 */
export type Fate = "durable" | "arrived" | "torn" | "lost";

/** An event of the epoch in which power was cut. */
export interface TimelineEntry extends EventNote {
  /** For stores. */
  readonly fate?: Fate;
}

/** A run of bytes before and after the stores that were pending. */
export interface ByteChange {
  /** Bytes from the start of the media. */
  readonly start: number;
  readonly old: Uint8Array;
  readonly new: Uint8Array;
}

/** A cache line that might have held another version. */
export interface LineNote {
  /** Bytes from the start of the media. */
  readonly start: number;
  readonly changes: readonly ByteChange[];
  /** The stores in question. */
  readonly events: readonly EventNote[];
  /** What the line still lacked for being durable. */
  readonly lacked: "flush and fence" | "fence";
}

/** One power cut of a counter-example. */
export interface PowerCut {
  /** What was running. */
  readonly during: "workload" | "recovery";
  /** The event that did not take effect. */
  readonly before: EventNote;
  /** For a store to a battery-backed range: how many bytes of it had arrived. */
  readonly done: number;
  /** The last event that did take effect. */
  readonly after: EventNote | undefined;
  /** Promises made by then. */
  readonly acked: readonly unknown[];
  /** Lines that hold an old version. */
  readonly lost: readonly LineNote[];
  /** Lines that hold their new version, and but for that the check would have been content. */
  readonly arrived: readonly LineNote[];
  readonly timeline: readonly TimelineEntry[];
}

/** The smallest failing state. */
export interface CounterExample extends Objection {
  /** One power cut, or several in a row: the first in the workload, the others in recovery. */
  readonly cuts: readonly PowerCut[];
}

/** A flush, a fence or both that the program lacks. */
export interface Insertion {
  readonly during: "workload" | "recovery";
  /** The range to flush, as it is at the place of the counter-example; absent: only a fence. */
  readonly flush?: { readonly offset: number; readonly length: number };
  readonly fence: boolean;
  /** Insert after this event, every time the program comes there. */
  readonly after: EventNote;
  /** The event that follows now. */
  readonly before: EventNote;
  /** How often the program comes there. */
  readonly times: number;
}

/** Flushes that wrote nothing back, by call site. */
export interface RedundantFlush {
  readonly site?: CallSite;
  /** How often the flush was made, and how often all of its lines were redundant. */
  readonly flushes: number;
  readonly redundantFlushes: number;
  readonly lines: number;
  /** Lines that were clean, or flushed since their last store. */
  readonly cleanLines: number;
  /** Lines that need no flush: battery-backed, uncached, written through or volatile. */
  readonly needlessLines: number;
}

/** Fences that had nothing to make durable, by call site. */
export interface RedundantFence {
  readonly site?: CallSite;
  /** How often the fence was made, and how often nothing waited for it. */
  readonly fences: number;
  readonly redundantFences: number;
}

/** What was counted, and how. */
export interface Measure {
  readonly name: string;
  readonly torn: Torn;
  /** Raw states over all crash points and depths; every one of them is covered by a leaf. */
  readonly space: bigint;
  /** Runs of recovery and check. */
  readonly leaves: number;
  readonly crashPoints: number;
  /** The same for each depth: power cuts in the workload, in recovery from them, … */
  readonly depths: readonly Readonly<Tally>[];
  /** Events the workload made, and promises among them. */
  readonly events: number;
  readonly acks: number;
  /** What a reader must know to trust the verdict no further than it goes. */
  readonly notes: readonly string[];
}

/** In every state that the model allows, recovery and check are content. */
export interface Survived extends Measure {
  readonly kind: "Survived";
  readonly redundantFlushes: readonly RedundantFlush[];
  readonly redundantFences: readonly RedundantFence[];
}

/** There is a state in which they are not. */
export interface Lost extends Measure {
  readonly kind: "Lost";
  /** How many raw states fail, over all depths. */
  readonly failing: bigint;
  /** Whether every state was checked; if not, there may be smaller counter-examples. */
  readonly complete: boolean;
  readonly counterExample: CounterExample;
  /** Makes exactly this state again: `daxkit prove FILE --state ID`. */
  readonly state: string;
  /**
   * What recovery or check say even when no power was cut: the workload came to its end, and every
   * store arrived. Then the program's logic is wrong, or the check, and not its durability.
   */
  readonly intact?: Objection;
  /**
   * The smallest set of flushes and fences whose addition makes every state survive (verified);
   * `undefined` when there is none, or none was found: see {@link noRemedy}.
   */
  readonly missing: readonly Insertion[] | undefined;
  readonly noRemedy: string | undefined;
}

/** Nothing can be said, or not about everything. */
export interface NotMeasured {
  readonly kind: "NotMeasured";
  readonly name: string;
  readonly why: string;
  /** Raw states that were checked, of how many, in power cuts of the workload. */
  readonly share?: { readonly covered: bigint; readonly space: bigint };
}

/** The proof itself does not work. */
export interface HarnessBroken {
  readonly kind: "HarnessBroken";
  readonly name: string;
  readonly phase: "proof" | "setup" | "workload" | "recover" | "check";
  readonly said: string;
  readonly error?: unknown;
}

/** What a proof ends with; `kind` tells them apart. */
export type Verdict = Survived | Lost | NotMeasured | HarnessBroken;
