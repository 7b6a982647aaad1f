/**
 * A failing state in words of calls, files and places.
 *
 * @module
 */
import type { Exploration } from "../../crash/explorer.ts";
import type { Cut } from "../../crash/failure.ts";
import { tellCuts } from "../../crash/notes.ts";
import type { Objection } from "../../crash/program.ts";
import type { Replay } from "../../crash/replay.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import type { VolumeFs } from "../facade/facade.ts";
import type { CallNote } from "./calls.ts";
import { placesIn } from "./places.ts";
import { type VolumeRecording, mountProof } from "./recording.ts";
import { type PathHistory, differencesIn, sightsAt, timelineOf } from "./timeline.ts";
import type { Underlay } from "./underlay.ts";
import type { VolumeProof } from "./volume-proof.ts";
import type { VolumeLost } from "./volume-verdict.ts";

/** A state that fails, and what is known of how it came about. */
export interface FailingState {
  readonly proof: VolumeProof;
  readonly underlay: Underlay;
  readonly what: Exploration;
  readonly recording: VolumeRecording;
  /** What paths held after each call; undefined where nobody looked. */
  readonly paths: PathHistory | undefined;
  readonly cuts: readonly Cut[];
  readonly told: Replay;
  readonly objection: Objection;
}

/** The event of the workload before which power was cut. */
export function cutEvent({ cuts }: Replay): number {
  return cuts[0]?.point.event ?? 0;
}

/** Tells it. @throws NeedsRun */
export function tellState(
  failing: FailingState,
): Pick<VolumeLost, "counterExample" | "calls" | "cutIn" | "places" | "timeline" | "differences"> {
  const { proof, underlay, what, recording, paths, told, objection } = failing;
  const failure = { cuts: failing.cuts, objection, lostLines: 0 };
  const cuts = tellCuts(what, failure, told);
  const event = cutEvent(told);
  const seen = paths?.paths ?? [];
  const mount = (lines: Uint8Array | undefined): VolumeFs | undefined =>
    lines === undefined ? undefined : mountedOn(proof, underlay, lines);
  const afterwards = {
    history: paths,
    state: sightsAt(mount(told.cuts.at(-1)?.left), seen),
    durable: sightsAt(mount(told.cuts[0]?.durable), seen),
  };
  const timeline = timelineOf(recording.trace, recording.calls, event, afterwards);
  return {
    counterExample: { ...objection, cuts },
    calls: recording.calls.filter(({ from }) => from <= event),
    cutIn: recording.calls.findLast((call) => isCutIn(call, event)),
    places: placesIn(underlay, recording, told, cuts),
    timeline,
    differences: differencesIn(timeline, event, afterwards),
  };
}

function isCutIn({ from, stop, name }: CallNote, event: number): boolean {
  return name !== "ack" && from <= event && event < stop;
}

/** What a mount makes of it; undefined when it cannot be mounted. */
function mountedOn(
  proof: VolumeProof,
  underlay: Underlay,
  lines: Uint8Array,
): VolumeFs | undefined {
  const media = new ModelledMedia(lines.length, underlay.modelled);
  media.recorder.image.set(lines);
  media.recorder.recording = false;
  try {
    return mountProof(media, underlay, proof).fs;
  } catch {
    return undefined;
  }
}
