/**
 * Processes that run checks at the same time. Each has mounts of its own, so that all of them see
 * their states in the same place, and nobody else sees any; where that is not granted there is one.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type {
  CheckJob,
  CheckOutcome,
  CheckReply,
  CheckRequest,
  CheckSettings,
} from "./check-messages.ts";
import { type MountSpace, mountSpaceFor, wordsIn } from "./mount-space.ts";

const SOURCES = import.meta.url.endsWith(".ts");
const BODY = new URL(SOURCES ? "./check-worker.ts" : "./check-worker.js", import.meta.url);
/** Where the sources run as they are, in tests, Node 20 needs a loader for them. */
const LOADER = SOURCES ? ["--import", "tsx"] : [];
/** See the module. */
export class CheckPool {
  readonly #settings: CheckSettings;
  readonly #jobs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #space: MountSpace;
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];

  /** As many as `jobs` at a time, where several can be mounted in one place; else one. */
  constructor(settings: CheckSettings, jobs: number, signal?: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
    this.#space = mountSpaceFor(settings.directory);
    this.#jobs = this.#space === "none" ? 1 : jobs;
  }

  /**
   * Runs all of them. `done` hears of each outcome when it is there, and may throw.
   * @throws what the signal says
   */
  async run<J extends CheckJob>(
    jobs: readonly J[],
    done: (job: J, outcome: CheckOutcome) => void,
  ): Promise<void> {
    const waiting = jobs.values();
    const stop = (): void => void this.close();
    this.#signal?.addEventListener("abort", stop);
    const work = async (): Promise<void> => {
      const worker = this.#idle.pop() ?? this.#start();
      for (const job of waiting) {
        // oxlint-disable-next-line no-await-in-loop
        const outcome = await worker.check(job);
        this.#signal?.throwIfAborted();
        done(job, outcome);
      }
      this.#idle.push(worker);
    };
    try {
      await Promise.all(Array.from({ length: Math.min(this.#jobs, jobs.length) }, work));
    } finally {
      this.#signal?.removeEventListener("abort", stop);
    }
  }

  /** Ends them, and what they have mounted. */
  async close(): Promise<void> {
    await Promise.all(this.#all.splice(0).map((worker) => worker.close()));
    this.#idle.length = 0;
  }

  #start(): Worker {
    const worker = new Worker(this.#settings, this.#space);
    this.#all.push(worker);
    return worker;
  }
}

class Worker {
  readonly #child: ChildProcess;
  readonly #over: Promise<void>;
  #answered: ((outcome: CheckOutcome) => void) | undefined;
  #ended: string | undefined;

  constructor(settings: CheckSettings, space: MountSpace) {
    const words = [process.execPath, ...LOADER, fileURLToPath(BODY)];
    const [program = "", ...rest] = wordsIn(space, words);
    this.#child = spawn(program, rest, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    this.#over = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#ended = how;
        this.#answered?.({ looks: [], broken: `the process that runs checks ended: ${how}` });
        resolve();
      };
      this.#child.once("error", (error) => end(error.message));
      this.#child.once("exit", (status, signal) => end(String(signal ?? status)));
    });
    this.#child.on("message", (reply: CheckReply) => {
      if (reply.kind === "outcome") this.#answered?.(reply.outcome);
    });
    this.#tell({ kind: "settings", settings, space });
  }

  async check({ part, patches, acked }: CheckJob): Promise<CheckOutcome> {
    if (this.#ended !== undefined) {
      return { looks: [], broken: `the process that runs checks ended: ${this.#ended}` };
    }
    const outcome = new Promise<CheckOutcome>((resolve) => {
      this.#answered = resolve;
    });
    this.#tell({ kind: "job", job: { part, patches, acked } });
    try {
      return await outcome;
    } finally {
      this.#answered = undefined;
    }
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#over;
  }

  #tell(request: CheckRequest): void {
    // Who has ended is heard of by its end.
    this.#child.send(request, () => {});
  }
}
