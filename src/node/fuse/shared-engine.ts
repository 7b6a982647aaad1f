/**
 * Mounts as guests of an event loop that has other work: their descriptors are watched by the loop,
 * and answered a bounded turn at a time.
 *
 * @module
 */
import { type DescriptorWatch, watchDescriptor } from "../libc.unsafe.ts";
import type { FuseChannel } from "./channel.ts";
import type { FuseEngine } from "./engine.ts";

/** How long a turn may take, and after how many requests the clock is asked. */
const TURN_MS = 5;
const CLOCK_EVERY = 8;

interface Guest {
  readonly watch: DescriptorWatch;
  readonly onGone: () => void;
}

/** See the module. */
export class SharedEngine implements FuseEngine {
  readonly #guests = new Map<FuseChannel, Guest>();

  add(channel: FuseChannel, onGone: () => void): void {
    const watch = watchDescriptor(channel.fd);
    this.#guests.set(channel, { watch, onGone });
    watch.start({ readable: true, writable: false }, () => this.#turn(channel));
  }

  drop(channel: FuseChannel): void {
    const guest = this.#guests.get(channel);
    if (guest === undefined) return;
    this.#guests.delete(channel);
    guest.watch.close();
    channel.close();
    setImmediate(guest.onGone);
  }

  /** What is left over makes the descriptor ready for the loop's next turn. */
  #turn(channel: FuseChannel): void {
    const until = performance.now() + TURN_MS;
    for (let count = 1; ; count++) {
      const served = channel.serve();
      if (served === "gone") this.drop(channel);
      if (served !== "served") return;
      if (count % CLOCK_EVERY === 0 && performance.now() >= until) return;
    }
  }
}
