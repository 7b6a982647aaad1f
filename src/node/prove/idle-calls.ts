/**
 * Calls that were to make something durable when there was nothing to do, whatever the model: each
 * costs a flush or a fence, or at least a call.
 *
 * @module
 */
import type { FlushEffect } from "../../crash/frontier.ts";
import { TraceKind } from "../../media/trace.ts";
import { type CallNote, placeOfCall } from "./calls.ts";
import type { VolumeRecording } from "./recording.ts";
import type { IdleCall } from "./volume-verdict.ts";

/** By place in the program; `effects` as the explorer saw them. */
export function idleCalls(
  { trace, calls }: VolumeRecording,
  effects: readonly FlushEffect[],
): IdleCall[] {
  const useful = new Set(
    effects.filter(({ lines, clean, needless }) => clean + needless < lines).map((e) => e.event),
  );
  const found = new Map<string, { call: CallNote; times: number; idle: number }>();
  for (const call of calls) {
    const place = placeOfCall(call);
    if (
      place === "" ||
      call.threw !== undefined ||
      !/^(?:fsync|fdatasync|flush)$/u.test(call.name)
    ) {
      continue;
    }
    const entry = found.get(place) ?? { call, times: 0, idle: 0 };
    entry.times++;
    if (call.name === "flush" ? !flushes(call) : !syncs(call)) entry.idle++;
    found.set(place, entry);
  }
  return [...found.values()].filter(({ idle }) => idle > 0);

  /** Whether any line of a mapping had something to write back. */
  function flushes({ from, stop }: CallNote): boolean {
    for (let event = from; event < stop; event++) if (useful.has(event)) return true;
    return false;
  }

  /** Whether anything was stored since the fence before the call, or by it. */
  function syncs({ from, stop }: CallNote): boolean {
    for (let event = stop - 1; event >= 0; event--) {
      const kind = trace.kindOf(event);
      if (kind < TraceKind.flush) return true;
      if (kind === TraceKind.fence && event < from) return false;
    }
    return false;
  }
}
