/**
 * Replays a recorded disk and looks at its states, with several threads.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import type { StopFindings, StopRest } from "../../crash/stop-findings.ts";
import { type Stop, checkModel } from "../../crash/block-states.ts";
import { countStops } from "../../crash/block-stops.ts";
import type { WriteLog } from "../../block/write-log.ts";
import { DaxError } from "../../lib/errno.ts";
import { openWriteLog } from "../write-log-file.ts";
import { traceFor } from "./disk.ts";
import { BEYOND, type ReplayMessage, type ReplayThreadData } from "./messages.ts";
import type { ReplaySettings } from "./settings.ts";

/** How a replay goes about it; none of it changes what is found. */
export interface ReplayOptions {
  /** Threads; 1 unless given. */
  readonly jobs?: number;
  /** Goes on behind the first stop that fails. */
  readonly all?: boolean;
  /** What was found before, and need not be looked at again. */
  readonly before?: readonly StopFindings[];
  /** By the numbers of stops that were begun before: where to go on. */
  readonly begun?: ReadonlyMap<number, StopRest>;
  /**
   * Ends it when it resolves: what was found until then is the result. Each thread goes on until
   * the command that it runs has ended.
   */
  readonly stop?: Promise<unknown>;
  /** Told of each stop as it is done, in no order, and how many there are. */
  readonly onFound?: (findings: StopFindings, total: number) => void;
  /** Told several times a second what a thread is at. */
  readonly onProgress?: (progress: ReplayProgress, total: number) => void;
}

/** What a thread is at. */
export interface ReplayProgress {
  /** Which one, from 0. */
  readonly thread: number;
  /** Entries of the log that it has read, on its way to an instant. */
  readonly reading?: { readonly entry: number; readonly entries: number };
  /** Its instant, and how far that is. */
  readonly looking?: {
    readonly stop: Stop;
    /** Runs of the check, and how many it may become. */
    readonly runs: number;
    readonly most: number;
    /** Which part of the states is covered, from 0 to 1. */
    readonly share: number;
  };
  /** Where one could go on; seldom there. */
  readonly rest?: StopRest;
}

/** What a replay found. */
export interface ReplayResult {
  /** In order; behind the first that fails there may be gaps unless `all` was asked for. */
  readonly stops: readonly StopFindings[];
  /** How many there are. */
  readonly total: number;
  /** The check has nothing against a disk of zeros. */
  readonly vacuous: boolean;
  /** It was ended before its end. Stops at which that happened are `ended`. */
  readonly ended: boolean;
}

/** Where the sources run as they are, in tests, threads do not inherit the loader on Node 20. */
const SOURCES = import.meta.url.endsWith(".ts");
const BODY = new URL(SOURCES ? "./worker.ts" : "./worker.js", import.meta.url);
const LOAD_SOURCES = `import("tsx/esm/api").then(({ register }) => {
  register();
  return import("${BODY.href}");
})`;

/**
 * Looks at the states of a log.
 * @throws what opening says, ENOENT for a mark that is not there or a check that cannot run
 */
export async function replayStates(
  settings: ReplaySettings,
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  const { jobs = 1, all = false, before = [], begun = new Map(), onFound, onProgress } = options;
  const total = stopsIn(settings);
  const stops = new Map(before.map((findings) => [findings.stop.index, findings]));
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const failed = before.filter(({ failure }) => failure !== undefined && !all);
  shared[BEYOND] = Math.min(total, ...failed.map(({ stop }) => stop.index + 1));
  let vacuous = false;
  const data = { settings, shared, done: [...stops.keys()], begun, stopAtFirst: !all };
  const threads = Array.from({ length: Math.max(1, Math.min(jobs, total)) }, (_, thread) =>
    runThread({ ...data, first: thread === 0 }, (message) => {
      if (message.kind === "vacuous") vacuous = true;
      else if (message.kind === "found") {
        stops.set(message.findings.stop.index, message.findings);
        onFound?.(message.findings, total);
      } else onProgress?.({ thread, ...progressOf(message) }, total);
    }),
  );
  let ended = false;
  try {
    const done = Promise.all(threads.map(({ ended: end }) => end)).then(() => true);
    const stopped = options.stop?.then(() => false);
    ended = !(await (stopped === undefined ? done : Promise.race([done, stopped])));
  } finally {
    Atomics.store(shared, BEYOND, 0);
    // Each takes its files away, and tells how far it came.
    const ends = Promise.allSettled(threads.map(({ ended: end }) => end));
    await (settings.check.kind === "command" ? ends : Promise.race([ends, grace()]));
    await Promise.all(threads.map(async ({ worker }) => worker.terminate()));
  }
  const found = [...stops.values()].toSorted((a, b) => a.stop.index - b.stop.index);
  return { stops: found, total, vacuous, ended };
}

/** What a thread that was told to end may take to do so; one run of a check is often seconds. */
const GRACE_MS = 20_000;

async function grace(): Promise<void> {
  await new Promise((resolve) => void setTimeout(resolve, GRACE_MS).unref());
}

function progressOf(
  message: ReplayMessage & { kind: "reading" | "looking" },
): Omit<ReplayProgress, "thread"> {
  if (message.kind === "reading") return { reading: message };
  const { rest, ...looking } = message;
  return { looking, ...(rest === undefined ? {} : { rest }) };
}

/** Walks the headers of the whole log, so that a damaged one is known before anything is done. */
function stopsIn(settings: ReplaySettings): number {
  const opened = openWriteLog(settings.log);
  const { log } = opened;
  try {
    const { limit, plan, model } = settings;
    checkModel(model);
    for (const mark of [plan.startMark, plan.endMark]) {
      if (mark === undefined || hasMark(log, mark, limit)) continue;
      const detail = `the log has no mark '${mark}'; 'daxkit replay LOG' lists them`;
      throw new DaxError("ENOENT", { syscall: "replay", path: settings.log, detail });
    }
    return countStops(traceFor(log, settings), plan);
  } finally {
    opened.close();
  }
}

function hasMark(log: WriteLog, mark: string, limit: number | undefined): boolean {
  for (const entry of log.entries(limit)) if (entry.mark === mark) return true;
  return false;
}

/** What is heard of a thread before it ends. */
type Heard = "found" | "vacuous" | "reading" | "looking";

function runThread(
  data: ReplayThreadData,
  hear: (message: ReplayMessage & { kind: Heard }) => void,
): { worker: Worker; ended: Promise<void> } {
  const worker = new Worker(SOURCES ? LOAD_SOURCES : BODY, {
    workerData: data,
    eval: SOURCES,
    execArgv: [],
  });
  const ended = new Promise<void>((resolve, reject) => {
    worker.on("message", (message: ReplayMessage) => {
      if (message.kind === "done") resolve();
      else if (message.kind === "failed") reject(new DaxError(message.code, message.context));
      else hear(message);
    });
    worker.on("error", reject);
    worker.on("exit", (code) => {
      reject(new DaxError("EIO", { detail: `a thread of the replay ended with ${code}` }));
    });
  });
  return { worker, ended };
}
