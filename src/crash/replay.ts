/**
 * One state, made for real: power is cut at the given crash points, every line holds what it is
 * told or its newest version, and recovery and check run on plain bytes. A counter-example that
 * does not fail here too is none.
 *
 * @module
 */
import type { CallSites } from "../lib/call-site.ts";
import { assert } from "../lib/errno.ts";
import { ModelledMedia } from "../media/modelled.ts";
import type { Observer } from "../media/recorder.ts";
import { LINE_BYTES, type Trace } from "../media/trace.ts";
import { CrashImage } from "./crash-image.ts";
import type { Exploration } from "./explorer.ts";
import { zeroVolatile } from "./ground.ts";
import type { Cut } from "./failure.ts";
import { type CrashPoint, Frontier } from "./frontier.ts";
import type { Objection } from "./program.ts";
import { StepCounter, recoverAndCheck } from "./run.ts";
import { NeedsRun, Scribe } from "./scribe.ts";
import { Transcripts, type Walked } from "./transcript.ts";
import { applySegment } from "./versions.ts";

/** What stood at one power cut. */
export interface ReplayedCut {
  readonly trace: Trace;
  readonly point: CrashPoint;
  readonly frontier: Frontier;
  /** What was durable. */
  readonly durable: Uint8Array;
  /** What the power cut left. */
  readonly left: Uint8Array;
  /** Lines that the run after this power cut looked at. */
  readonly looked: ReadonlySet<number>;
}

/** What came of it. */
export interface Replay {
  readonly cuts: readonly ReplayedCut[];
  readonly objection: Objection | undefined;
}

/** Notes which lines are looked at. */
class Looks implements Observer {
  readonly lines = new Set<number>();
  readonly counter: StepCounter;

  constructor(steps: number) {
    this.counter = new StepCounter(steps);
  }

  load(at: number, length: number): void {
    this.counter.spend(length);
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    for (let line = Math.floor(at / LINE_BYTES); line <= last; line++) this.lines.add(line);
  }

  store(_at: number, length: number): void {
    this.counter.spend(length);
  }

  order(_at: number, length: number): void {
    this.counter.spend(length);
  }
}

/**
 * Makes the state and runs on it; `undefined` when a recovery did not come to the crash point it is
 * to be cut at. With `sites`, the call sites of recovery's events are captured.
 */
export function replay(
  what: Exploration,
  cuts: readonly Cut[],
  sites?: CallSites,
): Replay | undefined {
  const done: ReplayedCut[] = [];
  let bytes = what.initial;
  let { trace } = what;
  let objection: Objection | undefined;
  for (const [level, cut] of cuts.entries()) {
    const standing = cutAt(what, trace, bytes, level, cut);
    if (standing === undefined) return undefined;
    const looks = new Looks(what.budget.steps);
    const media = mediaWith(what, standing.left);
    media.recorder.observer = looks;
    if (sites !== undefined) media.trace.captureSites(sites);
    const promised = done[0]?.point.acked ?? standing.point.acked;
    const acked = Object.freeze(what.trace.labels.slice(0, promised));
    const walked = what.waits === true ? walkOrAsk(what, media, acked, looks) : undefined;
    objection =
      walked === undefined
        ? recoverAndCheck(media, {
            program: what.program,
            acked,
            counter: looks.counter,
            record: true,
          })
        : walked.objection;
    done.push({ ...standing, looked: looks.lines });
    trace = what.amend?.(media.trace) ?? media.trace;
    bytes = standing.left;
  }
  return { cuts: done, objection };
}

/** What is known of a program that waits. @throws NeedsRun for what is not */
function walkOrAsk(
  { transcripts = new Transcripts(), program }: Exploration,
  media: ModelledMedia,
  acked: readonly unknown[],
  looks: Looks,
): Walked {
  const { counter } = looks;
  const before = media.recorder.image.slice();
  const alone = program.standsAlone === true;
  const options = { acked: acked.length, record: true, recovered: () => {}, alone };
  const walked = transcripts.walk(media, options);
  if (walked !== undefined) return walked;
  media.recorder.image.set(before);
  media.trace.clear();
  counter.refill();
  const scribe = new Scribe(media, transcripts, { observer: looks, alone });
  throw new NeedsRun({ media, scribe, acked, counter, record: true });
}

function mediaWith(what: Exploration, bytes: Uint8Array): ModelledMedia {
  const media = new ModelledMedia(bytes.length, what.modelled);
  media.recorder.image.set(bytes);
  zeroVolatile(media);
  return media;
}

function cutAt(
  what: Exploration,
  trace: Trace,
  bytes: Uint8Array,
  level: number,
  cut: Cut,
): Omit<ReplayedCut, "looked"> | undefined {
  const media = mediaWith(what, bytes);
  const image = new CrashImage(media.recorder.image);
  const { torn } = what;
  const frontier = new Frontier({ image, trace, classes: media.classes, torn, level });
  for (const point of frontier.points()) {
    if (point.index < cut.point) continue;
    const durable = image.bytes.slice();
    const left = durable.slice();
    for (const line of frontier.openLines()) {
      const at = line * LINE_BYTES;
      const content = left.subarray(at, at + LINE_BYTES);
      const old = cut.old.get(line);
      if (old !== undefined) content.set(old);
      else for (const s of frontier.pending(line)) applySegment(content, s, trace.bytes);
    }
    return { trace, point, frontier, durable, left };
  }
  return undefined;
}

/** The replay of cuts that are known to be reachable. */
export function mustReplay(what: Exploration, cuts: readonly Cut[], sites?: CallSites): Replay {
  const replayed = replay(what, cuts, sites);
  assert(replayed !== undefined, "the replay did not reach its crash point");
  return replayed;
}
