/**
 * Verdicts on programs that work on a filesystem: those of raw memory, in words of files and calls.
 *
 * @module
 */
import type { HarnessBroken, Lost, NotMeasured, Survived } from "../../crash/verdict.ts";
import type { Frame } from "../../lib/call-site.ts";
import type { CallNote } from "./calls.ts";
import type { FaultNote, FaultTally } from "./faults.ts";
import type { PresetName } from "./presets.ts";
import type { Schedule, ScheduleTally } from "./schedules.ts";
import type { CallEntry, PathNote } from "./timeline.ts";

/** A call that the program lacks. */
export interface MissingCall {
  /** Where it is to be inserted: before or after this call, every time the program comes there. */
  readonly when: "before" | "after";
  readonly call: CallNote;
  /** `fsync` of the file of the call, or of the directory that holds its name. */
  readonly what: "file" | "directory";
  /** The path that was synced at the first of these times. */
  readonly path: string;
}

/** A call to make something durable, a `flush` of a mapping too, that no state needs. */
export interface RedundantCall {
  readonly call: CallNote;
  /** How often it was made. */
  readonly times: number;
  /** Where the function that makes it is called, if only what comes from there is not needed. */
  readonly caller?: Frame;
}

/** A call to make something durable that had nothing to do, on any model. */
export interface IdleCall {
  /** `fsync`, `fdatasync`, or `flush` of a mapping. */
  readonly call: CallNote;
  /** How often it was made, and how often for nothing. */
  readonly times: number;
  readonly idle: number;
}

/** Bytes that were lost, or that arrived and should not have, in words of the filesystem. */
export interface Place {
  /** Bytes from the start of the volume. */
  readonly start: number;
  readonly length: number;
  /** `directory block of /data`, `inode 12: size of /data/f`. */
  readonly words: string;
  readonly fate: "lost" | "arrived";
}

/** What was measured on which model. */
export interface VolumeMeasure {
  readonly model: PresetName;
  /** What the model assumes. */
  readonly assumes: string;
}

/** Everything that was promised is there, whenever power goes. */
export interface VolumeSurvived extends Survived, VolumeMeasure {
  /** Calls without which every state survives too. */
  readonly redundantCalls: readonly RedundantCall[];
  readonly idleCalls: readonly IdleCall[];
  /** The same with what the filesystem may do by itself. */
  readonly schedules: readonly ScheduleTally[];
  /** Faults that the program was given beside the power cut, by kind. */
  readonly faults: readonly FaultTally[];
}

/** There is a state in which it is not. */
export interface VolumeLost extends Lost, VolumeMeasure {
  /** What the filesystem had done by itself; absent: nothing. */
  readonly schedule?: Pick<Schedule, "name" | "words">;
  /** What failed beside the power; absent: nothing. */
  readonly fault?: FaultNote;
  /** The calls up to the power cut, and the one that was cut. */
  readonly calls: readonly CallNote[];
  /** What had been called when power went, and had not returned; undefined: nothing. */
  readonly cutIn: CallNote | undefined;
  /** The calls up to the power cut, with what was on the device and what became of it. */
  readonly timeline: readonly CallEntry[];
  /** Where the volume is not what the program had made of it. */
  readonly differences: readonly PathNote[];
  readonly places: readonly Place[];
  /** The smallest set of calls whose addition makes every state survive (verified). */
  readonly missingCalls: readonly MissingCall[] | undefined;
}

/** What a proof on a volume ends with; `kind` tells them apart. */
export type VolumeVerdict = VolumeSurvived | VolumeLost | NotMeasured | HarnessBroken;
