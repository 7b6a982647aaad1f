/**
 * What the process that runs a program is told: a variable of its environment carries it.
 *
 * @module
 */
import type { MakeExtOptions } from "../../fs/ext/mkfs-options.ts";
import type { Fault } from "../prove/faults.ts";
import type { PresetName } from "../prove/presets.ts";
import type { VolumeProof } from "../prove/volume-proof.ts";

/** The variable; programs that ours starts inherit it, and see by `pid` that it is not theirs. */
export const JOB_VARIABLE = "DAXKIT_PROGRAM";

/** How a program is to be run. */
export interface ProgramJob {
  /** Where the volume is mounted; absolute. */
  readonly mount: string;
  /** The file that its record goes to. */
  readonly record: string;
  /** The record of a program that ran before it, whose work is there. */
  readonly setup?: string;
  readonly ackPrefix: string;
  /** How the volume is made. */
  readonly model?: PresetName;
  readonly size?: number;
  readonly make?: MakeExtOptions;
  /** What is to fail, and what more the proof says of the volume. */
  readonly fault?: Fault;
  readonly terms?: Pick<VolumeProof, "machine" | "mount" | "seed">;
}
