/**
 * What a proof of a program on a filesystem is, and what it cannot be.
 *
 * @module
 */
import { checkModel } from "../../crash/block-states.ts";
import type { Budget } from "../../crash/explorer.ts";
import type { Torn } from "../../crash/versions.ts";
import type { ExtMountOptions } from "../../fs/ext/ext.ts";
import type { MakeExtOptions } from "../../fs/ext/mkfs-options.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Environment } from "../../lib/environment.ts";
import type { MapOptions } from "../../vfs/map-options.ts";
import type { Mapping } from "../../vfs/mapping.ts";
import type { ModelledOptions } from "../../media/modelled.ts";
import type { VolumeFs } from "../facade/facade.ts";
import { type FaultNote, type FaultPlan, whatIsWrongWithFaults } from "./faults.ts";
import type { History } from "./history.ts";
import { PRESETS, type PresetName } from "./presets.ts";

/** What a workload is given. */
export interface VolumeWork<Label = unknown> {
  /** `node:fs` over the volume, in all its flavours. */
  readonly fs: VolumeFs;
  /** Promises something to somebody: from here on it must survive. */
  readonly ack: (label: Label) => void;
  /** Maps a file of the volume to be stored to, with MAP_SYNC. */
  readonly mapping: (path: string, options?: Omit<MapOptions, "access">) => Mapping;
  /** Random bytes that are the same each time. */
  readonly random: Environment["random"];
  /** A clock that is the same each time. */
  readonly clock: Environment["clock"];
}

/** What a check is given. */
export interface VolumeAftermath<Label = unknown, Recovered = unknown> {
  /** `node:fs` over what recovery left; what writes is EROFS. */
  readonly fs: VolumeFs;
  /** What was promised before the power went, in order. */
  readonly acked: readonly Label[];
  /** What `recover` returned. */
  readonly recovered: Recovered;
  /** What the volume held after each call of the workload, for checks that ask for it. */
  readonly history: History;
  /** What failed beside the power, and which calls threw; empty unless a proof asks for faults. */
  readonly faults: readonly FaultNote[];
}

/** `false`, or what is wrong; anything else is content. */
export type CheckResult = boolean | string | void;

/** Says whether promises were kept: by throwing, returning `false`, or what is wrong. */
export interface VolumeCheck<Label = unknown, Recovered = unknown> {
  (aftermath: VolumeAftermath<Label, Recovered>): CheckResult | Promise<CheckResult>;
  /** Whether {@link VolumeAftermath.history} is to be kept. */
  readonly wantsHistory?: boolean;
  /**
   * Asks for the state of a step, whole. Contents that are on their way are those of no step, so
   * the `flusher` is left out for it.
   */
  readonly wantsSteps?: boolean;
}

/** What arrives together on a disk. */
export interface DiskSectors {
  /** Bytes of a sector, 512 or 4096; the preset's unless given. */
  readonly sector?: number;
  /**
   * What is written to a sector arrives in parts of so many bytes, from its start, of
   * which the last may be missing. A sector is old or new unless given. Each part costs an event.
   */
  readonly torn?: number;
}

/** What is under a volume: memory, or a disk. */
export interface VolumeMachine extends ModelledOptions, DiskSectors {
  /** Bytes, a multiple of 8192; 10 MiB unless given. */
  readonly size?: number;
}

/** How far a proof goes. */
export interface VolumeBudget extends Budget {
  /** Faults that are run; what is left out is told. A thousand unless given. */
  readonly faults: number;
}

/** A program on a filesystem, to be proved. */
export interface VolumeProof<Label = unknown, Recovered = unknown> {
  /** `workload` unless given. */
  readonly name?: string;
  /** What lies underneath, by name; `ext4-dax` unless given. */
  readonly model?: PresetName;
  /** What the preset says of memory, otherwise. */
  readonly machine?: VolumeMachine;
  /** What the preset says of making the filesystem, otherwise. */
  readonly make?: MakeExtOptions;
  /** What the preset says of mounting it, otherwise. */
  readonly mount?: ExtMountOptions;
  /** What a power cut leaves of a bulk copy inside a line; `line` unless given. */
  readonly torn?: Torn;
  /** Power cuts in a row: 2 cuts the recovery too. On disks 2 unless given, on memory 1. */
  readonly depth?: number;
  /** What fails beside the power, one at a time; nothing unless given. */
  readonly faults?: FaultPlan;
  /**
   * `any`, unless given: commits and late allocation that nobody asked for may come between any two
   * steps, as on Linux. `asked`: nothing is written but what the program wants to be durable.
   */
  readonly commits?: "any" | "asked";
  /** Where exploration ends; a million leaves (with each fault), ten million steps a run. */
  readonly budget?: Partial<VolumeBudget>;
  /** Seconds that the workload may take, and that a check may wait; 30 unless given. */
  readonly patience?: number;
  /** Seed of time and chance; 1 unless given. */
  readonly seed?: number;
  /** Brings the volume to its first state, all of which is durable. */
  setup?(work: { readonly fs: VolumeFs }): void | Promise<void>;
  /** The program. It keeps its state on the volume, and does the same each time. */
  workload(work: VolumeWork<Label>): unknown;
  /** Runs when power is back and the filesystem is mounted; its stores may be cut in their turn. */
  recover?(found: { readonly fs: VolumeFs }): Recovered | Promise<Recovered>;
  /** Runs on every recovered state. */
  readonly check: VolumeCheck<Label, Recovered>;
}

const KNOWN: Readonly<Record<keyof VolumeProof, true>> = {
  name: true,
  model: true,
  machine: true,
  make: true,
  mount: true,
  torn: true,
  depth: true,
  faults: true,
  commits: true,
  budget: true,
  patience: true,
  seed: true,
  setup: true,
  workload: true,
  recover: true,
  check: true,
};
const KNOWN_MACHINE: Readonly<Record<keyof VolumeMachine, true>> = {
  size: true,
  domain: true,
  domains: true,
  caching: true,
  sector: true,
  torn: true,
};
const MOST_DEPTH = 4;
/** A machine of which each half has whole blocks. */
const SIZE_UNIT = 8192;

/** What a proof cannot be, whoever wrote it. */
export function whatIsWrongWith(proof: VolumeProof): string | undefined {
  if (typeof proof !== "object" || proof === null) return "give an object";
  const odd = Object.keys(proof).find((name) => !Object.hasOwn(KNOWN, name));
  if (odd !== undefined) return `${odd}: there is ${Object.keys(KNOWN).join(", ")}`;
  for (const part of ["workload", "check"] as const) {
    if (typeof proof[part] !== "function") return `${part}: give a function`;
  }
  for (const part of ["setup", "recover"] as const) {
    if (proof[part] !== undefined && typeof proof[part] !== "function") {
      return `${part}: give a function, or leave it out`;
    }
  }
  const { model = "ext4-dax", torn = "line", depth = 1, budget = {}, seed = 1 } = proof;
  if (!Object.hasOwn(PRESETS, model)) {
    return `model: "${model}"; there is ${Object.keys(PRESETS).join(", ")}`;
  }
  if (!["any", "asked", undefined].includes(proof.commits)) {
    return `commits: "${proof.commits}"; there is any, asked`;
  }
  if (!["prefix", "atoms", "line"].includes(torn)) return `torn: "${torn}" is no way to tear`;
  if (!Number.isInteger(depth) || depth < 1 || depth > MOST_DEPTH) {
    return `depth: ${depth}; give 1 to ${MOST_DEPTH} power cuts in a row`;
  }
  if (!Number.isSafeInteger(seed)) return `seed: ${seed}; give a whole number`;
  const wrong = whatIsWrongWithFaults(proof.faults);
  if (wrong !== undefined) return wrong;
  const { machine = {} } = proof;
  if (typeof machine !== "object" || machine === null) return "machine: give an object";
  const strange = Object.keys(machine).find((name) => !Object.hasOwn(KNOWN_MACHINE, name));
  if (strange !== undefined) {
    return `machine.${strange}: there is ${Object.keys(KNOWN_MACHINE).join(", ")}`;
  }
  const { size = SIZE_UNIT } = machine;
  if (!Number.isSafeInteger(size) || size < SIZE_UNIT || size % SIZE_UNIT !== 0) {
    return `machine.size: ${size}; give a multiple of ${SIZE_UNIT}`;
  }
  const disk = whatIsWrongWithDisk(proof);
  if (disk !== undefined) return disk;
  for (const [key, value] of Object.entries(budget)) {
    if (!Number.isSafeInteger(value) || value < 1) return `budget.${key}: ${value}; give 1 or more`;
  }
  return undefined;
}

/** Sectors are of disks, and what tears them divides them. */
function whatIsWrongWithDisk({
  model = "ext4-dax",
  machine = {},
}: VolumeProof): string | undefined {
  const { sector, torn } = machine;
  if (sector === undefined && torn === undefined) return undefined;
  const { sector: usual } = PRESETS[model];
  if (usual === undefined) return `machine: there are no sectors under ${model}, which is memory`;
  try {
    checkModel({ unit: sector ?? usual, ...(torn === undefined ? {} : { torn }) });
    return undefined;
  } catch (error) {
    if (!isDaxError(error)) throw error;
    return `machine: ${error.detail ?? error.message}`;
  }
}
