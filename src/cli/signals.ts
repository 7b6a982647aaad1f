/**
 * Commands that stay until somebody ends them.
 *
 * @module
 */

/** What ends a command cleanly. A later one ends it as the system does. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * How much later. timeout(1), npm and a terminal's Ctrl-C under either of them send one wish to end
 * twice, to the process and to its group: the second must not cut the shutdown off.
 */
const SAME_WISH_MS = 1000;

/** A signal that is waited for. */
export interface SignalWait {
  /** The name of the signal. */
  readonly signal: Promise<string>;
  /** Waits no longer. Idempotent. */
  cancel(): void;
}

/** Waits for a signal and keeps the process alive, which handlers alone do not. */
export function waitForSignal(): SignalWait {
  const alive = setInterval(() => {}, 2 ** 30);
  let cancel = (): void => clearInterval(alive);
  const signal = new Promise<string>((resolve) => {
    let came = false;
    const ignore = (): void => {
      for (const each of SIGNALS) process.removeListener(each, stop);
    };
    const stop = (name: string): void => {
      if (came) return;
      came = true;
      clearInterval(alive);
      setTimeout(ignore, SAME_WISH_MS).unref();
      resolve(name);
    };
    for (const each of SIGNALS) process.on(each, stop);
    cancel = () => {
      clearInterval(alive);
      if (!came) ignore();
    };
  });
  return { signal, cancel: () => cancel() };
}

/**
 * Calls back on SIGUSR1. Without this Node opens its debugger to whoever sends it.
 * @returns what ends it
 */
export function onMark(mark: () => void): () => void {
  process.on("SIGUSR1", mark);
  return () => process.off("SIGUSR1", mark);
}

const PARENT_CHECK_MS = 250;

/** Answers `parent` when the process that started this one is gone. */
export function waitForOrphanhood(): { readonly gone: Promise<string>; cancel(): void } {
  const parent = process.ppid;
  let timer: NodeJS.Timeout | undefined;
  const gone = new Promise<string>((resolve) => {
    timer = setInterval(() => {
      if (process.ppid !== parent) resolve("parent");
    }, PARENT_CHECK_MS);
  });
  return { gone, cancel: () => clearInterval(timer) };
}

/** The wishes of somebody that a command should end, one after the other. */
export class EndWishes {
  readonly #waiting: ((signal: string) => void)[] = [];
  readonly #alive = setInterval(() => {}, 2 ** 30);
  #unheard: string | undefined;
  #last = Number.NEGATIVE_INFINITY;

  constructor() {
    for (const each of SIGNALS) process.on(each, this.#hear);
  }

  /** The next wish, though it came before anybody asked. */
  next(): Promise<string> {
    return new Promise((resolve) => {
      const signal = this.#unheard;
      this.#unheard = undefined;
      if (signal === undefined) this.#waiting.push(resolve);
      else resolve(signal);
    });
  }

  /** Waits no longer: the next signal ends the process as the system does. */
  close(): void {
    clearInterval(this.#alive);
    for (const each of SIGNALS) process.off(each, this.#hear);
  }

  readonly #hear = (signal: string): void => {
    const now = performance.now();
    if (now - this.#last < SAME_WISH_MS) return;
    this.#last = now;
    const waiting = this.#waiting.splice(0);
    if (waiting.length === 0) this.#unheard = signal;
    for (const resolve of waiting) resolve(signal);
  };
}
