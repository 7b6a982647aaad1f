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
import { Script } from "node:vm";
import { Worker, isMainThread } from "node:worker_threads";

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
const STATE = 2;
const MILLISECONDS = 3;
const CELLS = 4;
/** What {@link STATE} may be: nobody is watched, somebody is, and somebody was stopped. */
const IDLE = 0;
const WATCHED = 1;
const LATE = 2;

const WATCHER = `
const { workerData: cells } = require("node:worker_threads");
const stop = () => process.kill(process.pid, ${constants.signals.SIGINT});
for (;;) {
  const state = Atomics.load(cells, ${STATE});
  if (state === ${IDLE}) {
    Atomics.wait(cells, ${STATE}, ${IDLE});
    continue;
  }
  if (state === ${LATE}) {
    // The signal may have reached another thread that is watched.
    if (Atomics.wait(cells, ${STATE}, ${LATE}, 1000) === "timed-out") stop();
    continue;
  }
  const before = Atomics.load(cells, ${CALLS});
  const end = Atomics.wait(cells, ${STATE}, ${WATCHED}, Atomics.load(cells, ${MILLISECONDS}));
  if (end !== "timed-out" || Atomics.load(cells, ${CALLS}) !== before) continue;
  if (Atomics.load(cells, ${RUNNING}) === 0) continue;
  if (Atomics.compareExchange(cells, ${STATE}, ${WATCHED}, ${LATE}) === ${WATCHED}) stop();
}`;

/** What the script calls: a script knows only what is global. */
let turn: (() => unknown) | undefined;
const NAME = `daxkit.watched ${import.meta.url}`;
const SCRIPT = new Script(`globalThis[Symbol.for(${JSON.stringify(NAME)})]()`);
Object.defineProperty(globalThis, Symbol.for(NAME), {
  configurable: true,
  value: () => turn?.(),
});

/** One watcher is enough for a thread: it starts with the first that is watched. */
let shared: Int32Array | undefined;

function sharedCells(): Int32Array {
  if (shared !== undefined) return shared;
  shared = new Int32Array(new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT));
  const watcher = new Worker(WATCHER, { eval: true, workerData: shared, execArgv: [], env: {} });
  watcher.unref();
  return shared;
}

/**
 * Runs `body`, each of whose watched calls may take `seconds` (and is ended before twice that). One
 * inside of another is watched by the outer one.
 * @throws CallTimeout; whatever `body` throws
 */
export function runWatched<T>(seconds: number, body: (watch: Watch) => T): T {
  const cells = sharedCells();
  let running = "";
  const watch: Watch = {
    call(what, made) {
      running = what;
      Atomics.add(cells, CALLS, 1);
      Atomics.add(cells, RUNNING, 1);
      try {
        return made();
      } finally {
        Atomics.sub(cells, RUNNING, 1);
      }
    },
  };
  Atomics.store(cells, MILLISECONDS, Math.ceil(seconds * 1000));
  if (Atomics.compareExchange(cells, STATE, IDLE, WATCHED) !== IDLE) return body(watch);
  Atomics.store(cells, RUNNING, 0);
  Atomics.notify(cells, STATE);
  try {
    turn = () => body(watch);
    return SCRIPT.runInThisContext({ breakOnSigint: true }) as T;
  } catch (error) {
    if (!isInterruption(error)) throw error;
    if (Atomics.load(cells, STATE) === LATE) throw new CallTimeout(running, seconds);
    if (!isMainThread) {
      const words = "interrupted, as by Ctrl-C or a hang in another thread";
      throw new Error(words, { cause: error });
    }
    // Ctrl-C of the user's: end as a program ends that does not catch it.
    process.kill(process.pid, "SIGINT");
    throw error;
  } finally {
    turn = undefined;
    Atomics.store(cells, STATE, IDLE);
    Atomics.notify(cells, STATE);
  }
}

function isInterruption(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
}
