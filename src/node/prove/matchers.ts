/**
 * `expect(workload).toSurvivePowerLoss({ check })`, for vitest and whatever extends `expect` alike;
 * and the same as an assertion, for `node:test`.
 *
 * @module
 */
import { broken } from "../../crash/prover.ts";
import type { VolumeProof } from "./volume-proof.ts";
import type { VolumeVerdict } from "./volume-verdict.ts";
import { volumeReport } from "./volume-report.ts";

/** A proof without its workload. */
export type PowerLossOptions = Omit<VolumeProof, "workload">;

async function proved(workload: unknown, options: PowerLossOptions): Promise<VolumeVerdict> {
  if (typeof workload !== "function") {
    return broken("workload", "proof", "expect() was given no function");
  }
  const { proveVolume } = await import("./volume-prover.ts");
  return proveVolume({ ...options, workload: workload as VolumeProof["workload"] });
}

/**
 * The matchers as `expect` has them, for who declares them to a runner's types:
 * `declare module "vitest" { interface Matchers<T> extends PowerLossAssertions {} }`.
 */
export interface PowerLossAssertions<R = Promise<void>> {
  /** See {@link powerLossMatchers}. */
  toSurvivePowerLoss(options: PowerLossOptions): R;
}

/** What a matcher answers. */
export interface MatcherResult {
  readonly pass: boolean;
  /** The report, for who is told of a failure. */
  readonly message: () => string;
}

/** Matchers, to be handed to `expect.extend`. */
export const powerLossMatchers = {
  /**
   * Passes when everything promised is there in every state; fails with the counter-example.
   * @throws Error with the report where there is no verdict: with `not` that is no success either
   */
  async toSurvivePowerLoss(workload: unknown, options: PowerLossOptions): Promise<MatcherResult> {
    const verdict = await proved(workload, options);
    if (verdict.kind !== "Survived" && verdict.kind !== "Lost") {
      throw new Error(volumeReport(verdict).join("\n"));
    }
    const message = (): string => volumeReport(verdict).join("\n");
    return { pass: verdict.kind === "Survived", message };
  },
};

/** @throws Error with the counter-example as its message */
export async function assertSurvivesPowerLoss(
  workload: VolumeProof["workload"],
  options: PowerLossOptions,
): Promise<void> {
  const verdict = await proved(workload, options);
  if (verdict.kind === "Survived") return;
  throw new Error(volumeReport(verdict).join("\n"));
}
