/**
 * Waits for asynchronous work of somebody else's that may never end, such as the top level of a
 * module: it may wait for what never comes, or compute for ever.
 *
 * For the first, a timer is enough. For the second, no timer fires: a second thread asks V8,
 * through its inspector, to end what this thread runs (`loop-end.ts`).
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { END_LOOP } from "./loop-end.ts";
import { CallTimeout } from "./watched-run.ts";

/** What the second thread does when the cell has not changed in time. */
const WATCHER = `
const { workerData: { cells, milliseconds } } = require("node:worker_threads");
if (Atomics.wait(cells, 0, 0, milliseconds) === "timed-out") endLoop();
${END_LOOP}`;

/** Milliseconds that the timer of this thread leaves the other one: a loop is ended only once. */
const GRACE = 100;

/**
 * What `body` comes to, if it does so within `seconds`; if not, its loops are ended, and what it
 * waits for is left to itself.
 * @throws CallTimeout, naming `what`; whatever `body` throws
 */
export async function awaitWatched<T>(
  what: string,
  seconds: number,
  body: () => Promise<T>,
): Promise<T> {
  const cells = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const workerData = { cells, milliseconds: seconds * 1000 };
  const watcher = new Worker(WATCHER, { eval: true, workerData, execArgv: [], env: {} });
  watcher.unref();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CallTimeout(what, seconds)), seconds * 1000 + GRACE);
  });
  // When the body is ended before it gave a promise, nobody waits for this one.
  late.catch(() => undefined);
  try {
    return await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
    Atomics.store(cells, 0, 1);
    Atomics.notify(cells, 0);
  }
}
