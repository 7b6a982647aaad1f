/**
 * What the leaves of one instant add up to, and how they are gone on with when they were left.
 *
 * @module
 */
import { DaxError, assert } from "../lib/errno.ts";
import type { ChooseWay } from "./block-chooser.ts";
import type { BlockFrontier } from "./block-frontier.ts";
import {
  type Assignment,
  type Stop,
  inImage,
  nameOfState,
  onDisk,
  parseState,
} from "./block-states.ts";
import type { StopRest } from "./stop-findings.ts";

/** What leaves add up to. */
export class LeafWalk {
  readonly space: bigint;
  leaves = 0;
  /** So many at most. */
  most = 0;
  covered = 0n;
  failing = 0n;
  first: { given: Assignment; said: string } | undefined;
  unmeasurable: string | undefined;
  /** Ways of the next leaf. */
  next: readonly number[] = [];
  /** Present when it was ended. */
  rest: StopRest | undefined;

  constructor(space: bigint) {
    this.space = space;
  }

  take(said: string | undefined, states: bigint, given: Assignment): void {
    this.leaves++;
    this.covered += states;
    if (said !== undefined) this.fail(said, states, given);
  }

  /** Keeps the failure that lost least. */
  fail(said: string, states: bigint, given: Assignment): void {
    this.failing += states;
    if (this.first === undefined || given.size < this.first.given.size) {
      this.first = { given, said };
    }
  }

  /** All ways were gone; notes of another disk would not add up. */
  settle(resumed: boolean): void {
    if (resumed && this.covered !== this.space) {
      const detail = "what was noted is of another disk; start again without it";
      throw new DaxError("EINVAL", { syscall: "replay", detail });
    }
    assert(
      this.covered === this.space,
      () => `leaves weigh ${this.covered}, the stop ${this.space}`,
    );
  }

  restAt(stop: Stop, frontier: BlockFrontier): StopRest {
    const { leaves, most, covered, failing, next: ways, first } = this;
    const done = { leaves, most, covered, failing, ways };
    if (first === undefined) return done;
    const state = nameOfState(stop, frontier.model, onDisk(frontier, first.given));
    return { ...done, failed: { state, said: first.said } };
  }

  /** @throws EINVAL for what was noted of another disk */
  resume({ leaves, most, covered, failing, failed }: StopRest, frontier: BlockFrontier): void {
    this.leaves = leaves;
    this.most = most;
    this.covered = covered;
    this.failing = failing;
    if (failed === undefined) return;
    const given = inImage(frontier, parseState(failed.state).assignment);
    this.first = { given, said: failed.said };
  }
}

/** Goes these ways, and the first behind them. */
export function along(ways: readonly number[]): ChooseWay {
  let at = 0;
  return ({ groups }) => Math.min(ways[at++] ?? 0, groups.length - 1);
}
