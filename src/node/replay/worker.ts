/**
 * A thread of a replay: takes the next stop that nobody has, replays up to it, explores it.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import type { StopFindings } from "../../crash/stop-findings.ts";
import { stopsOf } from "../../crash/block-stops.ts";
import { assert, isDaxError } from "../../lib/errno.ts";
import type { BlockEvent, BlockTrace } from "../../crash/block-trace.ts";
import { openExplorer } from "./checks.ts";
import { type ReplayDisk, openReplayDisk } from "./disk.ts";
import { withPlaces } from "./lost-places.ts";
import { Reporter } from "./reporter.ts";
import { BEYOND, NEXT, type ReplayMessage, type ReplayThreadData } from "./messages.ts";

const data = workerData as ReplayThreadData;

function tell(message: ReplayMessage): void {
  assert(parentPort !== null, "this is a thread");
  parentPort.postMessage(message, []);
}

/** Nobody wants any stop any more. */
function isOver(): boolean {
  return Atomics.load(data.shared, BEYOND) === 0;
}

function claim(done: ReadonlySet<number>): number {
  for (;;) {
    const next = Atomics.add(data.shared, NEXT, 1);
    if (!done.has(next)) return next;
  }
}

function note(findings: StopFindings): void {
  tell({ kind: "found", findings });
  if (findings.ended === true) return;
  if (findings.failure === undefined || !data.stopAtFirst) return;
  // The lowest wins: a thread may be at work on an earlier stop.
  const beyond = findings.stop.index + 1;
  for (;;) {
    const present = Atomics.load(data.shared, BEYOND);
    if (present <= beyond) return;
    if (Atomics.compareExchange(data.shared, BEYOND, present, beyond) === present) return;
  }
}

/** What failed, with what lies there. */
function told(findings: StopFindings, { frontier, device, media }: ReplayDisk): StopFindings {
  const { failure } = findings;
  if (failure === undefined) return findings;
  const placed = withPlaces(failure, frontier, device);
  media.recorder.forgetAliases();
  return { ...findings, failure: placed };
}

/** The trace, to whose reader somebody listens; it ends where all is over. */
function followed({ trace, entries }: ReplayDisk, reporter: Reporter): BlockTrace {
  function* events(): Generator<BlockEvent, void> {
    for (const event of trace.events) {
      if (isOver()) return;
      reporter.reading(event.entry ?? 0, entries);
      yield event;
    }
  }
  return { size: trace.size, events: { [Symbol.iterator]: events } };
}

function work(): void {
  const { settings } = data;
  const { plan, model, check, runs, seed } = settings;
  const disk = openReplayDisk(settings, model, plan.reorder);
  const { afterFailure = runs } = settings;
  const opened = openExplorer(disk, check, { runs, seed, afterFailure });
  const reporter = new Reporter(tell, isOver);
  opened.explorer.watch = reporter;
  try {
    if (data.first && opened.passesEmpty()) tell({ kind: "vacuous" });
    const done = new Set(data.done);
    let mine = claim(done);
    for (const stop of stopsOf(followed(disk, reporter), plan, disk.frontier)) {
      if (mine >= Atomics.load(data.shared, BEYOND)) break;
      if (stop.index !== mine) continue;
      note(told(opened.explorer.explore(stop, data.begun.get(mine)), disk));
      mine = claim(done);
    }
  } finally {
    opened.close();
    disk.close();
  }
}

try {
  work();
  tell({ kind: "done" });
} catch (error) {
  if (!isDaxError(error)) throw error;
  const { code, syscall, path, detail } = error;
  const context = {
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
    ...(detail === undefined ? {} : { detail }),
  };
  tell({ kind: "failed", code, context });
}
