/**
 * Work that Linux may have to interrupt, as steps. The stack is synchronous, so in production all
 * of them are run to the end at once and nothing can come between. A test runs several side by
 * side, in every order: each `yield` is a place at which another task may go on, and one that
 * yields a {@link Waiter} sleeps until that is woken.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";

/** Somebody who sleeps. */
export interface Waiter {
  woken: boolean;
}

/** Work in steps: yields a waiter where it sleeps, undefined where others may only come between. */
export type Steps<T> = Generator<Waiter | undefined, T, void>;

/** Runs all steps at once. Nobody else runs meanwhile, so nothing may have to be waited for. */
export function runToEnd<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    assert(value === undefined || value.woken, "waits for a page that only it could let go");
  }
}

/** Who sleeps for one thing; woken in the order of their coming. */
export class WaitQueue {
  #waiters: Waiter[] = [];

  /** Joins the queue; the answer is to be yielded. */
  wait(): Waiter {
    const waiter = { woken: false };
    this.#waiters.push(waiter);
    return waiter;
  }

  /** Wakes who has waited longest; nobody when the queue is empty. */
  wakeOne(): void {
    const first = this.#waiters.shift();
    if (first !== undefined) first.woken = true;
  }

  /** Wakes everybody. */
  wakeAll(): void {
    for (const waiter of this.#waiters) waiter.woken = true;
    this.#waiters = [];
  }
}

/** A lock that many may share and one may have alone. Fair to nobody; all who wait try again. */
export class SharedLock {
  readonly #sleepers = new WaitQueue();
  #shared = 0;
  #alone = false;

  /** Waits until nobody has it alone. */
  *share(): Steps<void> {
    while (this.#alone) yield this.#sleepers.wait();
    this.#shared++;
  }

  /** Ends what `share` began. */
  unshare(): void {
    assert(this.#shared > 0, "a lock that nobody shares");
    if (--this.#shared === 0) this.#sleepers.wakeAll();
  }

  /** Waits until nobody has it at all. */
  *take(): Steps<void> {
    while (this.#alone || this.#shared > 0) yield this.#sleepers.wait();
    this.#alone = true;
  }

  /** Ends what `take` began. */
  release(): void {
    assert(this.#alone, "a lock that nobody has");
    this.#alone = false;
    this.#sleepers.wakeAll();
  }
}
