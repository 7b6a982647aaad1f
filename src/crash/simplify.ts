/**
 * The plainer of two counter-examples of the same size: a store that is lost whole is easier to
 * understand than one that is torn, so it is shown lost where that fails too.
 *
 * @module
 */
import { LINE_BYTES } from "../media/trace.ts";
import type { Exploration } from "./explorer.ts";
import type { Cut, Failure } from "./failure.ts";
import { fatesIn } from "./fates.ts";
import { type ReplayedCut, replay } from "./replay.ts";
import { applySegment } from "./versions.ts";

/** The failure with as few torn stores as it can have. */
export function simplify(what: Exploration, failure: Failure): Failure {
  let best = failure;
  for (const [level, cut] of failure.cuts.entries()) {
    for (const line of cut.old.keys()) best = untear(what, best, level, line) ?? best;
  }
  return best;
}

/** The failure with nothing of the line's torn store, if that fails too. */
function untear(
  what: Exploration,
  failure: Failure,
  level: number,
  line: number,
): Failure | undefined {
  const standing = replay(what, failure.cuts)?.cuts[level];
  const content = standing && withoutTorn(standing, line, what);
  const cut = failure.cuts[level];
  if (content === undefined || cut === undefined) return undefined;
  const plainer: Cut = { point: cut.point, old: new Map(cut.old).set(line, content) };
  const cuts = failure.cuts.map((other, i) => (i === level ? plainer : other));
  const objection = replay(what, cuts)?.objection;
  return objection === undefined ? undefined : { ...failure, cuts, objection };
}

/** What the line held before its torn store; `undefined` when none is torn. */
function withoutTorn(
  standing: ReplayedCut,
  line: number,
  { torn }: Exploration,
): Uint8Array | undefined {
  const tornAt = fatesIn(standing, line, torn).findIndex(({ fate }) => fate === "torn");
  if (tornAt === -1) return undefined;
  const { frontier, durable, trace } = standing;
  const content = durable.slice(line * LINE_BYTES, (line + 1) * LINE_BYTES);
  for (const segment of frontier.pending(line).slice(0, tornAt)) {
    applySegment(content, segment, trace.bytes);
  }
  return content;
}
