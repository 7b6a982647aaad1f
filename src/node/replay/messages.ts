/**
 * What the threads of a replay tell each other.
 *
 * @module
 */
import type { StopFindings, StopRest } from "../../crash/stop-findings.ts";
import type { Stop } from "../../crash/block-states.ts";
import type { ErrnoCode, ErrorContext } from "../../lib/errno.ts";
import type { ReplaySettings } from "./settings.ts";

/** What a thread is started with. */
export interface ReplayThreadData {
  readonly settings: ReplaySettings;
  /** Two numbers that all share: the next stop that nobody has, and the first that none wants. */
  readonly shared: Int32Array<SharedArrayBuffer>;
  /** Stops that were explored before. */
  readonly done: readonly number[];
  /** Those that were begun, and where to go on. */
  readonly begun: ReadonlyMap<number, StopRest>;
  /** Asks the check about a disk of zeros first. */
  readonly first: boolean;
  /** A stop that fails makes those behind it unwanted. */
  readonly stopAtFirst: boolean;
}

export const NEXT = 0;
export const BEYOND = 1;

/** What a thread tells. */
export type ReplayMessage =
  /** On the way to a stop. */
  | { readonly kind: "reading"; readonly entry: number; readonly entries: number }
  /** At a stop: `share` of its states are covered, from 0 to 1. */
  | {
      readonly kind: "looking";
      readonly stop: Stop;
      readonly runs: number;
      readonly most: number;
      readonly share: number;
      readonly rest?: StopRest;
    }
  | { readonly kind: "found"; readonly findings: StopFindings }
  | { readonly kind: "vacuous" }
  | { readonly kind: "failed"; readonly code: ErrnoCode; readonly context: ErrorContext }
  | { readonly kind: "done" };
