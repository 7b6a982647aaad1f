/**
 * What is found at one instant of a disk, how far it is explored, and who follows.
 *
 * @module
 */
import type { Stop } from "./block-states.ts";

/** How far one stop is explored. */
export interface StopBudget {
  /** Runs of the check: those that cover all, if so many are enough, else a choice of so many. */
  readonly runs: number;
  /** Accesses to the disk that one run may make, where they are seen. */
  readonly steps: number;
  /** Of what is left to chance. */
  readonly seed: number;
  /** Runs after the first that fails, where the check is observed; as many as all unless given. */
  readonly afterFailure?: number;
}

/** How far the exploration of a stop is. */
export interface StopProgress {
  readonly stop: Stop;
  /** Runs of the check there, and how many it may become. */
  readonly runs: number;
  readonly most: number;
  readonly space: bigint;
  readonly covered: bigint;
  /** With which it would be gone on from here; only where the check is observed. */
  readonly rest?: () => StopRest;
}

/** Who follows explorations, and may end them. */
export interface StopWatch {
  /** Told after each run. */
  ran(progress: StopProgress): void;
  /** Whether to end here. Asked after each run, and now and then within one. */
  isOver(): boolean;
}

/** What was done at a stop whose exploration was ended, and where to go on. */
export interface StopRest {
  /** Leaves that were run, and how many are to be at most. */
  readonly leaves: number;
  readonly most: number;
  readonly covered: bigint;
  readonly failing: bigint;
  /** Ways at the forks of the next run. */
  readonly ways: readonly number[];
  /** A state that failed, by its name, and what was said. */
  readonly failed?: { readonly state: string; readonly said: string };
}

/** One request of which something was lost. */
export interface LostRequest {
  readonly entry: number;
  /** Bytes of the disk, ascending. */
  readonly ranges: readonly { readonly start: number; readonly length: number }[];
  /** What lies there, of what differs; present where somebody knows. */
  readonly places?: readonly LostPlace[];
}

/** Bytes of a disk, and what they are. */
export interface LostPlace {
  readonly start: number;
  readonly length: number;
  /** `inode 12 (/one): size, checksum`. */
  readonly words: string;
}

/** A state that fails. */
export interface BlockFailure {
  /** Which makes it again: `57f@512:12=0`. */
  readonly state: string;
  /** What the check said. */
  readonly said: string;
  /** What was lost; all else that was written is there. */
  readonly lost: readonly LostRequest[];
}

/** What was found at one stop. */
export interface StopFindings {
  readonly stop: Stop;
  /** Runs of the check. */
  readonly runs: number;
  /** States: raw ones where the check is observed, else different ones. */
  readonly space: bigint;
  /** How many of them were checked. */
  readonly covered: bigint;
  readonly failing: bigint;
  /** The smallest loss that was found; present when something fails. */
  readonly failure: BlockFailure | undefined;
  /** Why the check says nothing. */
  readonly unmeasurable: string | undefined;
  /** Of power cuts inside the recovery from a state there; these are other states. */
  readonly recovery?: RecoveryFindings;
  /** It was ended before its end: what is here is of what was done until then. */
  readonly ended?: true;
  /** Where it is to be gone on with. */
  readonly rest?: StopRest;
}

/** What was found where the power goes a second time. */
export interface RecoveryFindings {
  readonly space: bigint;
  readonly covered: bigint;
  readonly failing: bigint;
  /** Why recovery was not cut. */
  readonly refused: string | undefined;
}
