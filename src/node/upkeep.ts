/**
 * What a filesystem that is written to wants done though nobody calls it: commits in time, and
 * signs of life for other machines. The core knows no timers, so they are here.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { Filesystem } from "../vfs/filesystem.ts";

/** Milliseconds between two looks: seconds are what filesystems count in. */
const TICK = 1000;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Does nothing for so many seconds, and lets nothing else be done in this thread. */
export function sleepSeconds(seconds: number): void {
  Atomics.wait(sleeper, 0, 0, seconds * 1000);
}

/** Calls a filesystem now and then. It keeps no process from ending. */
export class Upkeep {
  readonly #timer: NodeJS.Timeout;

  constructor(filesystem: Filesystem) {
    this.#timer = setInterval(() => this.#tick(filesystem), TICK);
    this.#timer.unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** An error has ended all writing: the next call says so, and `close`. Nobody hears it here. */
  #tick(filesystem: Filesystem): void {
    try {
      filesystem.tick?.();
    } catch (error) {
      this.end();
      if (!isDaxError(error)) throw error;
    }
  }
}
