/**
 * What a replay is asked to do; plain data, so that threads can be told.
 *
 * @module
 */
import type { BlockModel } from "../../crash/block-frontier.ts";
import type { StopPlan } from "../../crash/block-stops.ts";

/** Where the log is, and what disk it is replayed onto. */
export interface ReplaySource {
  /** Path of the log. */
  readonly log: string;
  /** Image with what the disk held before; zeros unless given. It is only read. */
  readonly base?: string;
  /** Bytes of the disk: those of the base, else what the log reaches, unless given. */
  readonly size?: number;
  /** Entries from the start; all of them unless given. */
  readonly limit?: number;
  /** What was discarded keeps its contents. */
  readonly ignoreDiscards?: boolean;
}

/** What looks at each state. */
export type ReplayCheck =
  /** Our own recovery in memory and check of ext2, ext3 and ext4. */
  | {
      readonly kind: "ext";
      /** Power cuts in a row: 2 cuts recovery, too. */ readonly depth?: 1 | 2;
    }
  /** A line of shell, in which `{image}` is the path of the state; status 0 is good. */
  | { readonly kind: "command"; readonly line: string; readonly seconds: number };

/** Everything that decides what is found. */
export interface ReplaySettings extends ReplaySource {
  readonly plan: StopPlan;
  readonly model: BlockModel;
  readonly check: ReplayCheck;
  /** Runs of the check at one stop, at most. */
  readonly runs: number;
  /** Runs there after the first that fails, with our own check; as many as all unless given. */
  readonly afterFailure?: number;
  readonly seed: number;
}
