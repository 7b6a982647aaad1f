/**
 * What a process that runs checks is told, and what it answers.
 *
 * @module
 */
import type { Look } from "./look-tree.ts";
import type { MountSpace } from "./mount-space.ts";
import type { RecordedStep } from "./recorded-run.ts";

/** What runs when power is back: the recovery of the program's own, and what looks at that. */
export type CheckPart = "recover" | "check";

/** How checks are run. */
export interface CheckSettings {
  /** What the volume holds, but for what a job says. */
  readonly base: Uint8Array;
  /** Where each state is mounted. */
  readonly directory: string;
  /** A line of shell for each part. */
  readonly commands: Readonly<Record<CheckPart, string>>;
  /** Seconds that a check may take. */
  readonly patience: number;
}

/** Bytes of a state that are not those of the base. */
export interface Patch {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A state to be recovered, or checked. */
export interface CheckJob {
  readonly part: CheckPart;
  readonly patches: readonly Patch[];
  readonly acked: readonly string[];
}

/** What came of it. */
export interface CheckOutcome {
  /** Bytes of the volume that the command has looked at, in the order of their first look. */
  readonly looks: readonly Look[];
  /** What it said of a state that is bad; undefined: it is content. */
  readonly said?: string | undefined;
  /** What a recovery asked of the volume. */
  readonly steps?: readonly RecordedStep[] | undefined;
  /** Why nothing can be said at all. */
  readonly broken?: string | undefined;
}

/** From who wants checks. The first is the settings. */
export type CheckRequest =
  | { readonly kind: "settings"; readonly settings: CheckSettings; readonly space: MountSpace }
  | { readonly kind: "job"; readonly job: CheckJob };

/** Back: `ready`, and then one outcome for each job. */
export type CheckReply =
  | { readonly kind: "ready" }
  | { readonly kind: "outcome"; readonly outcome: CheckOutcome };
