/**
 * Many workloads of the crash suite in worker threads: each takes the next part that nobody has.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { shrinkWorkload } from "../../crash/ace/shrink.ts";
import { type AceFilesystem, operationsOf } from "../../crash/ace/bounds.ts";
import { aceWorkloads } from "../../crash/ace/generator.ts";
import type { AceModel } from "../../crash/ace/machine.ts";
import { randomWorkload } from "../../crash/ace/random.ts";
import { AceSuite, type AceVerdict } from "../../crash/ace/suite.ts";
import { type Workload, workloadText } from "../../crash/ace/workload.ts";

/** Which workloads, and how they are run. */
export interface AceJob {
  readonly filesystem: AceFilesystem;
  /** `disk` unless given. */
  readonly model?: AceModel;
  /** Calls of a workload. */
  readonly length: number;
  /** Power cuts in a row; 1 unless given. */
  readonly depth?: number;
  /** `used` unless given; see `AceOptions`. */
  readonly persist?: "used" | "range";
  /** So many by chance, instead of all. */
  readonly sample?: number;
  /** Of chance; 1 unless given. */
  readonly seed?: number;
}

/** A workload that did not survive. */
export interface AceLoss {
  readonly workload: string;
  /** The smallest that is left of it and fails too. */
  readonly shrunk: string;
  readonly kind: AceVerdict["kind"];
  readonly said: string | undefined;
}

/** What was found. */
export interface AceFigures {
  readonly workloads: number;
  /** Workloads of which the filesystem did not let a call through. */
  readonly refused: number;
  /** Raw states that power cuts may leave, over all workloads; each of them was covered. */
  readonly states: bigint;
  /** Runs of recovery and check. */
  readonly leaves: number;
  readonly losses: readonly AceLoss[];
}

/** What a thread is told. */
export interface AceThreadData {
  readonly job: AceJob;
  /** The next part that nobody has, and how many workloads are done. */
  readonly shared: Int32Array;
}

/** Slots of {@link AceThreadData.shared}. */
const NEXT = 0;
const DONE = 1;
/** Losses of a thread that are shrunk. */
const MOST_SHRUNK = 10;
/** Workloads by chance in one part. */
const SHARE = 50;

const SOURCES = import.meta.url.endsWith(".ts");
const BODY = new URL(SOURCES ? "./ace-worker.ts" : "./ace-worker.js", import.meta.url);
/** Threads of Node 20 do not take over that TypeScript is understood. */
const LOAD_SOURCES = `import("tsx/esm/api").then(({ register }) => {
  register();
  return import("${BODY.href}");
})`;

/** Runs all workloads of a job on the ext driver, in so many threads. */
export async function runAceJob(
  job: AceJob,
  threads: number,
  progress?: (done: number) => void,
): Promise<AceFigures> {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const told = setInterval(() => progress?.(Atomics.load(shared, DONE)), 1000);
  try {
    const data: AceThreadData = { job, shared };
    const found = await Promise.all(Array.from({ length: threads }, () => inThread(data)));
    return found.reduce(sumOf);
  } finally {
    clearInterval(told);
  }
}

function inThread(data: AceThreadData): Promise<AceFigures> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(SOURCES ? LOAD_SOURCES : BODY, {
      workerData: data,
      eval: SOURCES,
      execArgv: [],
    });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

function sumOf(a: AceFigures, b: AceFigures): AceFigures {
  return {
    workloads: a.workloads + b.workloads,
    refused: a.refused + b.refused,
    states: a.states + b.states,
    leaves: a.leaves + b.leaves,
    losses: [...a.losses, ...b.losses],
  };
}

const NOTHING: AceFigures = { workloads: 0, refused: 0, states: 0n, leaves: 0, losses: [] };

/** What one thread does. */
export function runAceParts({ job, shared }: AceThreadData): AceFigures {
  const suite = new AceSuite(job);
  let figures = NOTHING;
  for (const workload of partsOf(job, shared)) {
    const verdict = suite.run(workload);
    const loss = lossOf(job, workload, verdict, figures.losses.length < MOST_SHRUNK);
    figures = sumOf(figures, {
      workloads: 1,
      refused: verdict.kind === "Refused" ? 1 : 0,
      states: verdict.states,
      leaves: verdict.leaves,
      losses: loss === undefined ? [] : [loss],
    });
    Atomics.add(shared, DONE, 1);
  }
  return figures;
}

/** Parts that are taken one after the other: of all workloads, those with the same first call. */
function* partsOf(job: AceJob, shared: Int32Array): Generator<Workload, void> {
  const { sample, seed = 1 } = job;
  const operations = operationsOf(job.filesystem);
  for (;;) {
    const part = Atomics.add(shared, NEXT, 1);
    if (sample === undefined) {
      const first = operations[part];
      if (first === undefined) return;
      yield* aceWorkloads({ ...job, first: [first] });
    } else {
      const stop = Math.min((part + 1) * SHARE, sample);
      if (part * SHARE >= stop) return;
      for (let i = part * SHARE; i < stop; i++) yield randomWorkload(seed + i, job);
    }
  }
}

function lossOf(
  job: AceJob,
  workload: Workload,
  { kind, said }: AceVerdict,
  shrinks: boolean,
): AceLoss | undefined {
  if (kind === "Survived" || kind === "Refused") return undefined;
  const suite = new AceSuite(job);
  const fails = (one: Workload): boolean => suite.run(one).kind === kind;
  const shrunk = shrinks ? shrinkWorkload(workload, fails) : workload;
  return { workload: workloadText(workload), shrunk: workloadText(shrunk), kind, said };
}
