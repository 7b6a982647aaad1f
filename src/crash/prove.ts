/**
 * Proofs: cut the power of a program at every instant that matters, and say exactly whether all it
 * promised is still there (crash model, memory side).
 *
 * ```ts
 * import { defineProof } from "daxkit/prove";
 *
 * export default defineProof({
 *   name: "a counter",
 *   size: 4096,
 *   workload({ mapping, ack }) {
 *     for (let n = 1; n <= 3; n++) {
 *       mapping.setU64(0, n);
 *       mapping.persist(0, 8);
 *       ack(n);
 *     }
 *   },
 *   check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length),
 * });
 * ```
 *
 * @module
 */
import { HarnessFault } from "./program.ts";
import { type Proof, type ProveSettings, whatIsWrongWith } from "./proof.ts";
import { type MemoryState, Prover, broken } from "./prover.ts";
import { RecordingFault } from "./record.ts";
import type { HarnessBroken, Verdict } from "./verdict.ts";

export { Mapping, mapMedia } from "../media/mapping.ts";
export type { CallSite, Frame } from "../lib/call-site.ts";
export type { MemoryState } from "./prover.ts";
export type { Objection } from "./program.ts";
export type { Budget } from "./explorer.ts";
export type { Aftermath, Proof, ProveSettings, Work } from "./proof.ts";
export { type ReportOptions, type Style, report } from "./report.ts";
export type { Tally } from "./tally.ts";
export { type Json, toJson } from "./verdict-json.ts";
export type * from "./verdict.ts";
export type { Torn } from "./versions.ts";

/** Checks the types of a proof, and returns it. */
export function defineProof<Label, Recovered>(
  proof: Proof<Label, Recovered>,
): Proof<Label, Recovered> {
  return proof;
}

/**
 * Proves a program, or shows the smallest state in which it lost something. Whatever goes wrong in
 * the program or in its proof is a verdict. The same proof gives the same verdict.
 * @throws AssertionError for a bug of daxkit only
 */
export function prove<Label, Recovered>(
  proof: Proof<Label, Recovered>,
  settings: ProveSettings = {},
): Verdict {
  return orBroken(proof, () => new Prover(proof, settings).verdict());
}

/**
 * Makes one state of a proof again, by the name that its counter-example has (`state`); a verdict
 * where the proof does not work.
 * @throws EINVAL for a name that is none of this proof
 */
export function stateOfMemory(proof: Proof, id: string): MemoryState | HarnessBroken {
  return orBroken(proof, () => new Prover(proof).state(id));
}

function orBroken<T>(proof: Proof, body: () => T): T | HarnessBroken {
  const wrong = whatIsWrongWith(proof);
  const name = nameOf(proof);
  if (wrong !== undefined) return broken(name, "proof", wrong);
  try {
    return body();
  } catch (error) {
    if (error instanceof RecordingFault) {
      return broken(name, error.phase, error.message, error.cause);
    }
    if (error instanceof HarnessFault) return broken(name, error.part, error.message, error);
    throw error;
  }
}

/** The name of what may be no proof. */
function nameOf(proof: unknown): string {
  const { name } = (proof ?? {}) as { name?: unknown };
  return typeof name === "string" ? name : "unnamed";
}
