/**
 * What is said of a proof that ended with an error.
 *
 * @module
 */
import { broken } from "../../crash/prover.ts";
import { HarnessFault } from "../../crash/program.ts";
import type { HarnessBroken, NotMeasured } from "../../crash/verdict.ts";
import { isDaxError } from "../../lib/errno.ts";
import { WorkloadFault } from "./recording.ts";
import type { VolumeProof } from "./volume-proof.ts";
import { Strayed, Unended } from "./waiting.ts";

/** What a proof is called, whatever it is. */
export function nameOf(proof: unknown): string {
  const { name } = (proof ?? {}) as { name?: unknown };
  return typeof name === "string" && name !== "" ? name : "workload";
}

/** The verdict on a proof that ended with an error. @throws the error, if it is a bug of ours */
export function brokenBy(proof: VolumeProof, error: unknown): HarnessBroken | NotMeasured {
  const name = nameOf(proof);
  if (error instanceof WorkloadFault) {
    return broken(name, error.phase, error.message, error.cause);
  }
  if (error instanceof HarnessFault) return broken(name, error.part, error.message, error);
  if (error instanceof Strayed || error instanceof Unended) {
    return { kind: "NotMeasured", name, why: error.message };
  }
  if (isDaxError(error)) return broken(name, "proof", error.message, error);
  throw error;
}
