/**
 * Proofs of programs on files, as `daxkit prove` runs them.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import type { FaultKind, FaultPlan } from "../node/prove/faults.ts";
import { PRESETS, type PresetName } from "../node/prove/presets.ts";
import { type VolumeProof, whatIsWrongWith } from "../node/prove/volume-proof.ts";
import { isDaxError } from "../lib/errno.ts";
import { brokenBy } from "../node/prove/broken-by.ts";
import { proveVolume, volumeState } from "../node/prove/volume-prover.ts";
import type { VolumeVerdict } from "../node/prove/volume-verdict.ts";
import type { ProveSettings } from "../crash/prove.ts";
import type { ProveOptions } from "./proofs.ts";

/**
 * Proves one program, or makes one of its states; saves the volume if that is wanted.
 * @throws what `fs` throws for an image that cannot be written, EINVAL for a state that is none
 */
export async function proveVolumeOf(
  given: VolumeProof,
  options: ProveOptions,
  settings: ProveSettings = {},
): Promise<VolumeVerdict> {
  const { saveImage, state } = options;
  const proof = withOptions(given, options);
  if (state !== undefined) return stateVerdict(proof, state, saveImage);
  const verdict = await proveVolume(proof, settings);
  if (saveImage !== undefined && verdict.kind === "Lost") {
    writeFileSync(saveImage, (await volumeState(proof, verdict.state)).image);
  }
  return verdict;
}

/** What is said of one state alone: nothing is measured of the others. */
async function stateVerdict(
  proof: VolumeProof,
  id: string,
  saveImage: string | undefined,
): Promise<VolumeVerdict> {
  try {
    const { image, lost } = await volumeState(proof, id);
    if (saveImage !== undefined) writeFileSync(saveImage, image);
    if (lost !== undefined) return lost;
  } catch (error) {
    // That there is no such state is nothing that the proof is to blame for.
    if (isDaxError(error, "EINVAL") && error.syscall === "prove") throw error;
    return brokenBy(proof, error);
  }
  const why = `only state ${id} was made: recovery and check are content with it`;
  return { kind: "NotMeasured", name: proof.name ?? "workload", why };
}

/** What is wrong with options, of a proof that is right without them. */
export function whatIsWrongWithOptions(
  proof: VolumeProof,
  options: ProveOptions,
): string | undefined {
  if (whatIsWrongWith(proof) !== undefined) return undefined;
  const changed = withOptions(proof, options);
  const { model = "ext4-dax" } = changed;
  if (options.domain !== undefined && PRESETS[model].sector !== undefined) {
    return `'--domain' is of memory, and under ${model} is a disk`;
  }
  return whatIsWrongWith(changed);
}

function withOptions(proof: VolumeProof, options: ProveOptions): VolumeProof {
  const { torn, depth, disk, domain, budget, model, patience, faults, commits } = options;
  const { domains: _, ...machine } = proof.machine ?? {};
  return {
    ...proof,
    ...(patience === undefined ? {} : { patience }),
    ...(torn === undefined ? {} : { torn }),
    ...(depth === undefined ? {} : { depth }),
    ...(model === undefined ? {} : { model: model as PresetName }),
    ...(commits === undefined ? {} : { commits: commits as NonNullable<VolumeProof["commits"]> }),
    ...(faults === undefined ? {} : { faults: faultsFrom(faults) }),
    ...(budget === undefined ? {} : { budget: { ...proof.budget, leaves: budget } }),
    ...(disk === undefined ? {} : { machine: { ...proof.machine, ...disk } }),
    ...(domain === undefined ? {} : { machine: { ...machine, ...disk, domain } }),
  };
}

/** `all`, or `write,flush@3`; what is wrong with it the proof says. */
export function faultsFrom(text: string): FaultPlan {
  if (text === "all") return "all";
  return text.split(",").map((word) => {
    const [kind = "", at] = word.split("@");
    if (at === undefined) return kind as FaultKind;
    return { kind: kind as FaultKind, at: /^\d+$/u.test(at) ? Number(at) : Number.NaN };
  });
}
