/**
 * How a thread of its own waits for a socket: it asks a few times, giving way in between, before it
 * sleeps. A request that follows a reply closely then costs no wake-up, which is half of a small
 * request's time; measured, it doubles the rate at depth 1. Without giving way it would take the
 * client's processor.
 *
 * Who gives way on a crowded machine comes back when everyone else had a slice: milliseconds. That
 * is noticed, and it sleeps then, for who is woken comes first. But where client and server share
 * a processor, it is the client that takes its time, and comes with many requests at once: that is
 * the best that can happen to both. So a long absence is weighed against what came of it.
 *
 * @module
 */
import { EAGAIN, MSG_DONTWAIT, type SocketCalls } from "./sockets.unsafe.ts";

const MOST_TRIES = 64;
/** Where asking has not paid for long, it is tried again after so many waits. */
const PROBE_EVERY = 16;
/** And at most after so many, where giving way took long. */
const LONGEST_PAUSE = 4096;
/** Giving way takes less than this where nobody else wants the processor. */
const LONG_MS = 0.2;
/** What a client may take for a request, and how many bytes of payload count as one. */
const REQUEST_MS = 0.025;
const REQUEST_BYTES = 16_384;

/** What spinning needs of the system. */
export type SpinCalls = Pick<SocketCalls, "yieldProcessor" | "errno">;

/** Asks as often as has paid lately: twice as often after a hit, half as often after a miss. */
export class AdaptiveSpin {
  readonly #calls: SpinCalls;
  readonly #now: () => number;
  #tries = MOST_TRIES;
  /** Waits until the next attempt, and how many there are between attempts. */
  #pause = PROBE_EVERY;
  #every = PROBE_EVERY;
  /** How long the last absence was, where that was long, and what had come before it. */
  #absence = 0;
  #before = 0;
  #bytes = 0;

  /** @param now milliseconds, with their fractions */
  constructor(calls: SpinCalls, now: () => number = () => performance.now()) {
    this.#calls = calls;
    this.#now = now;
  }

  /**
   * Receives by `attempt(flags)`, in the end by one that waits; returns what that returned.
   * @param requests how many have come so far
   */
  receive(attempt: (flags: number) => number, requests: number): number {
    const calls = this.#calls;
    if (this.#absence > 0) this.#weigh(requests);
    let tries = this.#tries;
    if (tries === 0 && --this.#pause <= 0) tries = MOST_TRIES;
    let before = tries > 0 ? this.#now() : 0;
    for (let i = 0; i < tries; i++) {
      const got = attempt(MSG_DONTWAIT);
      if (got !== -1 || calls.errno() !== EAGAIN) {
        this.#paid(tries);
        return got;
      }
      calls.yieldProcessor();
      const now = this.#now();
      if (now - before > LONG_MS) {
        this.#absence = now - before;
        this.#before = requests;
        this.#bytes = attempt(0);
        return this.#bytes;
      }
      before = now;
    }
    this.#tries >>= 1;
    if (this.#pause <= 0) this.#pause = this.#every;
    return attempt(0);
  }

  #weigh(requests: number): void {
    const worth = requests - this.#before + this.#bytes / REQUEST_BYTES;
    if (worth * REQUEST_MS < this.#absence) this.#crowded();
    this.#absence = 0;
  }

  #paid(tries: number): void {
    this.#tries = Math.min(MOST_TRIES, Math.max(2, tries * 2));
    this.#every = PROBE_EVERY;
    this.#pause = PROBE_EVERY;
  }

  #crowded(): void {
    this.#tries = 0;
    this.#every = Math.min(LONGEST_PAUSE, this.#every * 2);
    this.#pause = this.#every;
  }
}
