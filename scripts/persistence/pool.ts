/** Worker processes that stay alive, and are started anew when a story does not come to its end. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Outcome, Ready, Task } from "./worker.ts";

/** What is to be run. */
export type Job = Omit<Task, "number">;

interface Running {
  readonly task: Task;
  readonly done: (outcome: Outcome) => void;
  readonly timer: NodeJS.Timeout;
}

/** Runs jobs, so many at a time. */
export class Pool {
  readonly #root: string;
  readonly #tree: string;
  readonly #timeout: number;
  readonly #idle: ChildProcess[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Map<ChildProcess, Running>();
  readonly #all = new Set<ChildProcess>();
  #number = 0;

  /** `timeout`: milliseconds after which a story hangs. */
  constructor(root: string, tree: string, timeout: number) {
    this.#root = root;
    this.#tree = tree;
    this.#timeout = timeout;
  }

  /** Starts `jobs` workers; answers what stories they know. */
  async start(jobs: number): Promise<Ready["stories"]> {
    const known = await Promise.all(Array.from({ length: jobs }, () => this.#spawn()));
    return known[0] ?? [];
  }

  async run(job: Job): Promise<Outcome> {
    while (this.#idle.length === 0) {
      // oxlint-disable-next-line no-await-in-loop -- until a worker is free
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    const worker = this.#idle.pop() as ChildProcess;
    const task = { ...job, number: this.#number++ };
    return new Promise<Outcome>((done) => {
      const timer = setTimeout(() => this.#hangs(worker), this.#timeout);
      this.#running.set(worker, { task, done, timer });
      worker.send(task);
    });
  }

  close(): void {
    for (const worker of this.#all) worker.disconnect();
    this.#all.clear();
  }

  async #spawn(): Promise<Ready["stories"]> {
    const worker = fork(join(this.#root, "scripts/persistence/worker.ts"), [this.#tree], {
      cwd: this.#root,
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#all.add(worker);
    const { stories } = await new Promise<Ready>((resolve, reject) => {
      worker.once("message", (message) => resolve(message as Ready));
      worker.once("exit", (status) => reject(new Error(`a worker ended with status ${status}`)));
    });
    worker.removeAllListeners("exit");
    worker.on("message", (message) => this.#finished(worker, message as Outcome));
    worker.on("exit", () => {
      if (this.#all.has(worker)) this.#lost(worker, "the process ended");
    });
    this.#free(worker);
    return stories;
  }

  #free(worker: ChildProcess): void {
    this.#idle.push(worker);
    this.#waiting.shift()?.();
  }

  #finished(worker: ChildProcess, outcome: Outcome): void {
    const running = this.#running.get(worker);
    if (running === undefined) return;
    clearTimeout(running.timer);
    this.#running.delete(worker);
    this.#free(worker);
    running.done(outcome);
  }

  #hangs(worker: ChildProcess): void {
    this.#all.delete(worker);
    worker.kill("SIGKILL");
    this.#lost(worker, `no end within ${this.#timeout / 1000} s`);
  }

  #lost(worker: ChildProcess, said: string): void {
    this.#all.delete(worker);
    const running = this.#running.get(worker);
    if (running === undefined) return;
    clearTimeout(running.timer);
    this.#running.delete(worker);
    const { number } = running.task;
    running.done({ number, said, hits: [], milliseconds: this.#timeout });
    void this.#spawn();
  }
}
