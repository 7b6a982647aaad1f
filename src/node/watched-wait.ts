/**
 * Many short pieces of asynchronous work of somebody else's, each of which may never end: it may
 * wait for what never comes, or compute for ever after it waited. As `watched-load.ts` does for one
 * long piece, but with a second thread that is started once.
 *
 * @module
 */
import { Worker, isMainThread } from "node:worker_threads";
import { END_LOOP } from "./loop-end.ts";
import { CallTimeout, runWatched } from "./watched-run.ts";

/** Odd while something runs; each piece makes two steps. */
const STEP = 0;
const MILLISECONDS = 1;
/** Set by a watcher that ended something, and with it itself. */
const GONE = 2;

const WATCHER = `
const { workerData: cells } = require("node:worker_threads");
for (;;) {
  const step = Atomics.load(cells, ${STEP});
  const limit = step % 2 === 0 ? Infinity : Atomics.load(cells, ${MILLISECONDS});
  if (Atomics.wait(cells, ${STEP}, step, limit) !== "timed-out") continue;
  Atomics.store(cells, ${GONE}, 1);
  endLoop();
  break;
}
${END_LOOP}`;

/** What runs, as a number of {@link PARTS}. */
const PART = 3;
const CELLS = 4;
const PARTS = ["it", "setup", "workload", "recover", "check"];

/**
 * The inspector reaches the main thread only. In others a loop after a wait can be ended by nobody
 * but whoever made the thread; it can be said, by a thread that still runs.
 */
const TELLER = `
const { workerData: cells } = require("node:worker_threads");
const PARTS = ${JSON.stringify(PARTS)};
for (;;) {
  const step = Atomics.load(cells, ${STEP});
  // The thread's own timer comes first, where it can.
  const limit = step % 2 === 0 ? Infinity : Atomics.load(cells, ${MILLISECONDS}) + 1000;
  if (Atomics.wait(cells, ${STEP}, step, limit) !== "timed-out") continue;
  require("node:fs").writeSync(2, "daxkit: " + PARTS[Atomics.load(cells, ${PART})] +
    " did not end within " + Atomics.load(cells, ${MILLISECONDS}) / 1000 +
    " s: it loops behind an await in a worker thread, where daxkit cannot end it; in the main " +
    'thread of a process it can (vitest: pool "forks")\\n');
  Atomics.wait(cells, ${STEP}, step);
}`;

/** Milliseconds that the timer of this thread leaves the other one: a loop is ended only once. */
const GRACE = 100;

let shared: Int32Array | undefined;
let timers = 0;

/** Timers of this module that run: they are no work of those who are watched. */
export function watchingTimers(): number {
  return timers;
}

function sharedCells(): Int32Array {
  if (shared !== undefined && Atomics.load(shared, GONE) === 0) return shared;
  shared = new Int32Array(new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT));
  const program = isMainThread ? WATCHER : TELLER;
  const watcher = new Worker(program, { eval: true, workerData: shared, execArgv: [], env: {} });
  watcher.unref();
  return shared;
}

/**
 * What `body` comes to, if it does so within `seconds`; if not, its loops are ended, and what it
 * waits for is left to itself.
 * @throws CallTimeout, naming `what`; whatever `body` throws
 */
export async function waitWatched<T>(
  what: string,
  seconds: number,
  body: () => T,
): Promise<Awaited<T>> {
  const cells = sharedCells();
  let timer: NodeJS.Timeout | undefined;
  timers++;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CallTimeout(what, seconds)), seconds * 1000 + GRACE);
  });
  Atomics.store(cells, MILLISECONDS, Math.ceil(seconds * 1000));
  Atomics.store(cells, PART, Math.max(0, PARTS.indexOf(what)));
  Atomics.add(cells, STEP, 1);
  Atomics.notify(cells, STEP);
  // Elsewhere loops before anything is waited for are ended, as those of synchronous code are.
  const made = isMainThread
    ? body
    : (): T => runWatched(seconds, (watch) => watch.call(what, body));
  try {
    // In a turn of its own: what is ended takes everything with it that called it.
    return await Promise.race([Promise.resolve().then(made), late]);
  } finally {
    clearTimeout(timer);
    timers--;
    Atomics.add(cells, STEP, 1);
    Atomics.notify(cells, STEP);
  }
}
