/**
 * Mounts as what a process is there for: while requests come, the thread waits for the next one
 * itself, which saves the event loop's way to it. The loop has a turn as soon as it has something
 * to do, after each stretch of work, and whenever requests stay away.
 *
 * It waits awake for as long as that has paid lately, giving way in between, and then in poll(2).
 * Waking an idle processor is most of what a small request costs: on two virtual ones, 80 of the 95
 * us of a stat; being awake when the next request comes costs less processor time than sleeping.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { type DescriptorWatch, watchDescriptor } from "../libc.unsafe.ts";
import { AdaptiveSpin } from "../nbd/spin.ts";
import type { FuseChannel } from "./channel.ts";
import type { FuseEngine } from "./engine.ts";
import { loopDescriptor } from "./event-loop.unsafe.ts";
import { EAGAIN, fuseCalls, PollSet } from "./fuse-calls.unsafe.ts";

/** How long timers may be late: a stretch of work, and a wait. */
const STRETCH_MS = 20;
const WAIT_MS = 20;
/** How long the event loop, and other mounts, may be overlooked while one is busy. */
const LOOK_MS = 1;
/** Requests in a row of one channel, while others wait. */
const MOST_AT_ONCE = 16;
/** How often it is tried whether more requests wait than one. */
const PROBE_EVERY = 16;
/** Mounts of a process; the kernel has room for 1000 of them on the whole machine by default. */
const MOST_CHANNELS = 1000;

/** A channel and what the engine knows about it. */
class Lodger {
  readonly channel: FuseChannel;
  readonly onGone: () => void;
  readonly watch: DescriptorWatch;
  /** Requests came faster than they were answered, lately. */
  deep = false;
  #probe = 0;

  constructor(channel: FuseChannel, onGone: () => void) {
    this.channel = channel;
    this.onGone = onGone;
    this.watch = watchDescriptor(channel.fd);
  }

  /** Serves what waits; false when the channel is gone. */
  serve(): boolean {
    const { channel } = this;
    let served = channel.serve();
    // Asking for a request that is not there is a call too many, and at depth 1 it never is.
    if (!this.deep && ++this.#probe % PROBE_EVERY !== 0) return served !== "gone";
    for (let count = 1; served === "served" && count < MOST_AT_ONCE; count++) {
      served = channel.serve();
      this.deep = served === "served";
    }
    return served !== "gone";
  }
}

/** See the module. */
export class BlockingEngine implements FuseEngine {
  readonly #lodgers: Lodger[] = [];
  readonly #loop = loopDescriptor();
  readonly #polled = new PollSet(MOST_CHANNELS + 1);
  readonly #spin: AdaptiveSpin;
  /** Whom the last request came from: the next one will, too. */
  #last: Lodger | undefined;
  #requests = 0;
  /** What the last poll said, beside requests. */
  #loopReady = false;
  #silent = false;
  /** A turn comes by itself, and no descriptor is watched. */
  #scheduled = false;
  #changed = false;

  constructor() {
    const calls = fuseCalls();
    const yieldProcessor = () => calls.yieldProcessor();
    this.#spin = new AdaptiveSpin({ yieldProcessor, errno: () => EAGAIN });
  }

  add(channel: FuseChannel, onGone: () => void): void {
    if (this.#lodgers.length === MOST_CHANNELS) {
      throw new DaxError("EMFILE", {
        syscall: "mount",
        detail: `${MOST_CHANNELS} mounts are open`,
      });
    }
    this.#lodgers.push(new Lodger(channel, onGone));
    this.#arrange();
    this.#soon();
  }

  drop(channel: FuseChannel): void {
    const index = this.#lodgers.findIndex((each) => each.channel === channel);
    if (index === -1) return;
    const [{ watch, onGone }] = this.#lodgers.splice(index, 1) as [Lodger];
    this.#arrange();
    watch.close();
    channel.close();
    setImmediate(onGone);
  }

  #arrange(): void {
    this.#changed = true;
    this.#last = undefined;
    this.#polled.clear();
    for (const { channel } of this.#lodgers) this.#polled.add(channel.fd);
    if (this.#loop !== undefined) this.#polled.add(this.#loop);
  }

  #soon(): void {
    for (const { watch } of this.#lodgers) watch.stop();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  /** Waits in the event loop, which costs nothing while nobody asks. */
  #rest(): void {
    for (const { watch } of this.#lodgers) {
      watch.start({ readable: true, writable: false }, () => this.#soon());
    }
  }

  #turn(): void {
    this.#scheduled = false;
    let now = performance.now();
    const until = now + STRETCH_MS;
    let look = now + LOOK_MS;
    this.#poll(0);
    while (this.#lodgers.length > 0) {
      if (this.#loopReady || now >= until) {
        this.#soon();
        return;
      }
      this.#silent = false;
      this.#spin.receive(this.#attempt, this.#requests);
      if (this.#silent) break;
      now = performance.now();
      if (now < look) continue;
      look = now + LOOK_MS;
      this.#poll(0);
    }
    if (this.#lodgers.length > 0 && !this.#scheduled) this.#rest();
  }

  /** As {@link AdaptiveSpin} wants it: without flags it may wait. */
  readonly #attempt = (flags: number): number => {
    // Nobody would see what the loop has to do: then it waits by itself.
    if (flags === 0) return this.#poll(this.#loop === undefined ? 0 : WAIT_MS);
    const lodger = this.#last;
    if (lodger === undefined) return -1;
    const served = lodger.channel.serve();
    if (served === "empty") return -1;
    this.#requests++;
    if (served === "gone") this.drop(lodger.channel);
    return 0;
  };

  /** Serves all that have something now, or within `milliseconds`. */
  #poll(milliseconds: number): number {
    const count = this.#polled.wait(milliseconds);
    this.#silent = count === 0;
    this.#loopReady = false;
    if (count > 0) this.#serveReady();
    return 0;
  }

  #serveReady(): void {
    const lodgers = this.#lodgers;
    this.#loopReady = this.#loop !== undefined && this.#polled.has(lodgers.length);
    this.#changed = false;
    for (let i = 0; i < lodgers.length; i++) {
      if (!this.#polled.has(i)) continue;
      const lodger = lodgers[i]!;
      this.#requests++;
      this.#last = lodger;
      if (!lodger.serve()) this.drop(lodger.channel);
      // Places have moved: the next poll says which of them has something.
      if (this.#changed) break;
    }
  }
}
