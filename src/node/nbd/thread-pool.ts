/**
 * Threads for busy connections: started when first wanted, used again, never more than allowed.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { assert, DaxError } from "../../lib/errno.ts";
import { SHUT_RDWR, socketCalls } from "./sockets.unsafe.ts";
import type { ServeRequest, ServeResult, ThreadData, ThreadMessage } from "./thread-messages.ts";

/** Told when a thread is done with a connection; by a fault where the thread itself ended. */
export type Served = (result: ServeResult | DaxError) => void;

interface Job {
  readonly fd: number;
  readonly served: Served;
}

/** A thread and what it does. */
interface Thread {
  readonly worker: Worker;
  /** Resolves when it is ready, or has ended. */
  readonly started: Promise<void>;
  ready: boolean;
  job: Job | undefined;
}

/** Where the sources run as they are, in tests, threads do not inherit the loader on Node 20. */
const SOURCES = import.meta.url.endsWith(".ts");
const BODY = new URL(SOURCES ? "./thread-worker.ts" : "./thread-worker.js", import.meta.url);
const LOAD_SOURCES = `import("tsx/esm/api").then(({ register }) => {
  register();
  return import("${BODY.href}");
})`;

/** See the module. */
export class ThreadPool {
  readonly #most: number;
  readonly #data: ThreadData;
  readonly #threads = new Set<Thread>();
  /** A thread could not even start: there will be none. */
  #broken: DaxError | undefined;

  constructor(most: number, data: ThreadData) {
    this.#most = most;
    this.#data = data;
    process.on("exit", this.#wakeAll);
  }

  /** Why there are no threads, where there should be. */
  get fault(): DaxError | undefined {
    return this.#broken;
  }

  /** Starts threads until there are `count`. */
  warm(count: number): void {
    while (this.#threads.size < Math.min(count, this.#most)) this.#start();
  }

  /**
   * Whether a thread is idle. If none is, and there may be more, one is started for whoever asks
   * again.
   */
  hasIdle(): boolean {
    if (this.#broken !== undefined) return false;
    let starting = false;
    for (const thread of this.#threads) {
      if (thread.ready && thread.job === undefined) return true;
      starting ||= !thread.ready;
    }
    if (!starting && this.#threads.size < this.#most) this.#start();
    return false;
  }

  /** Has an idle thread serve a connection; there must be one. */
  lend(request: ServeRequest, served: Served): void {
    const idle = [...this.#threads].find((thread) => thread.ready && thread.job === undefined);
    assert(idle !== undefined, "a thread is idle");
    idle.job = { fd: request.fd, served };
    idle.worker.ref();
    idle.worker.postMessage(request, []);
  }

  /**
   * Stops every thread; none may have a connection. One that is just starting is waited for: ended
   * while it loads native code it would take the process with it.
   */
  async close(): Promise<void> {
    process.off("exit", this.#wakeAll);
    await Promise.all(
      [...this.#threads].map(async ({ worker, started }) => {
        worker.ref();
        await started;
        await worker.terminate();
      }),
    );
  }

  #start(): void {
    const worker = new Worker(SOURCES ? LOAD_SOURCES : BODY, {
      workerData: this.#data,
      eval: SOURCES,
      execArgv: [],
    });
    const started = new Promise<void>((resolve) => {
      worker.once("message", () => resolve());
      worker.once("exit", () => resolve());
    });
    const thread: Thread = { worker, started, ready: false, job: undefined };
    this.#threads.add(thread);
    let why = "it ended";
    worker.on("message", (message: ThreadMessage) => this.#heard(thread, message));
    worker.on("error", (error: unknown) => {
      why = String(error);
    });
    worker.on("exit", () => this.#ended(thread, why));
    worker.unref();
  }

  #heard(thread: Thread, message: ThreadMessage): void {
    if (message === "ready") {
      thread.ready = true;
      return;
    }
    const { job } = thread;
    thread.job = undefined;
    thread.worker.unref();
    job?.served(message);
  }

  #ended(thread: Thread, why: string): void {
    this.#threads.delete(thread);
    const fault = new DaxError("EIO", { detail: `the connection's thread is gone: ${why}` });
    if (!thread.ready) this.#broken = fault;
    const { job } = thread;
    thread.job = undefined;
    job?.served(fault);
  }

  /** A thread that waits in a foreign call would keep the process from exiting for ever. */
  readonly #wakeAll = (): void => {
    for (const { job } of this.#threads) {
      if (job !== undefined) socketCalls().shutdown(job.fd, SHUT_RDWR);
    }
  };
}
