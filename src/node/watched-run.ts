/**
 * Runs synchronous code of somebody else's that may never end, and ends it.
 *
 * No timer fires while a thread computes, so a second thread watches a call counter. It stops the
 * first one as Ctrl-C would: `breakOnSigint` of `node:vm` is the one way to leave a loop that calls
 * nothing. Between calls nothing is counted against the code.
 *
 * @module
 */
import { constants } from "node:os";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";

/** Thrown when a call took longer than it may. */
export class CallTimeout extends Error {
  override readonly name = "CallTimeout";
  /** What {@link Watch.call} was told of the call. */
  readonly what: string;

  constructor(what: string, seconds: number) {
    super(`${what} did not end within ${seconds} s`);
    this.what = what;
  }
}

/** Given to the code that is watched. */
export interface Watch {
  /** Makes a call that must end in time. */
  call<T>(what: string, body: () => T): T;
}

/** Cells that both threads see. */
const CALLS = 0;
const RUNNING = 1;
const OVER = 2;
const IN_TIME = 1;
const LATE = 2;

const WATCHER = `
const { workerData: { cells, milliseconds } } = require("node:worker_threads");
let before = -1;
while (Atomics.wait(cells, ${OVER}, 0, milliseconds) === "timed-out") {
  const calls = Atomics.load(cells, ${CALLS});
  if (Atomics.load(cells, ${RUNNING}) === 1 && calls === before) {
    if (Atomics.compareExchange(cells, ${OVER}, 0, ${LATE}) === 0) {
      process.kill(process.pid, ${constants.signals.SIGINT});
    }
    break;
  }
  before = calls;
}`;

/**
 * Runs `body`, each of whose watched calls may take `seconds` (and is ended before twice that).
 * @throws CallTimeout; whatever `body` throws
 */
export function runWatched<T>(seconds: number, body: (watch: Watch) => T): T {
  const cells = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  const workerData = { cells, milliseconds: seconds * 1000 };
  const watcher = new Worker(WATCHER, { eval: true, workerData, execArgv: [], env: {} });
  watcher.unref();
  let running = "";
  const watch: Watch = {
    call(what, made) {
      running = what;
      Atomics.add(cells, CALLS, 1);
      Atomics.store(cells, RUNNING, 1);
      try {
        return made();
      } finally {
        Atomics.store(cells, RUNNING, 0);
      }
    },
  };
  try {
    const sandbox = { run: () => body(watch) };
    return runInNewContext("run()", sandbox, { breakOnSigint: true }) as T;
  } catch (error) {
    if (!isInterruption(error)) throw error;
    if (Atomics.load(cells, OVER) === LATE) throw new CallTimeout(running, seconds);
    // Ctrl-C of the user's: end as a program ends that does not catch it.
    process.kill(process.pid, "SIGINT");
    throw error;
  } finally {
    Atomics.compareExchange(cells, OVER, 0, IN_TIME);
    Atomics.notify(cells, OVER);
  }
}

function isInterruption(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
}
