/**
 * delay: requests go on to a device after a while; reads, writes and flushes may go to three.
 *
 * @module
 */
import type { DaxAnswer, LegRange, Target, TargetContext, TargetType } from "../target.ts";
import { MOST_UINT } from "../arguments.ts";
import { unsigned } from "../words.ts";
import { sectorOf } from "./linear.ts";

/** Requests of one kind: where they go, and when. */
interface Class extends LegRange {
  /** Milliseconds. */
  readonly delay: number;
}

class DelayTarget implements Target {
  readonly uses: readonly Class[];
  readonly #read: Class;
  readonly #write: Class;
  readonly #flush: Class;
  readonly #wait: (milliseconds: number) => void;

  constructor(classes: readonly [Class, ...Class[]], wait: (milliseconds: number) => void) {
    this.uses = classes;
    this.#read = classes[0];
    this.#write = classes[1] ?? this.#read;
    this.#flush = classes[2] ?? this.#write;
    this.#wait = wait;
  }

  read(sector: number, target: Uint8Array): void {
    const { leg, start } = this.#late(this.#read);
    leg.device.read(start + sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    const { leg, start } = this.#late(this.#write);
    leg.device.write(start + sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    const { leg, start } = this.#late(this.#write);
    leg.device.writeZeroes(start + sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    const { leg, start } = this.#late(this.#write);
    leg.device.discard(start + sector, sectors);
  }

  flush(): void {
    this.#late(this.#flush).leg.device.flush();
  }

  dax(): DaxAnswer {
    return { reason: "memory cannot be delayed" };
  }

  table(): string {
    return this.uses.map(({ leg, start, delay }) => `${leg.text} ${start} ${delay}`).join(" ");
  }

  /** Requests that wait: a caller waits itself, so there are none. */
  status(): string {
    return "0 0 0";
  }

  #late(kind: Class): Class {
    if (kind.delay > 0) this.#wait(kind.delay);
    return kind;
  }
}

/** `delay DEVICE START MILLISECONDS`, once for all, or for reads, writes and perhaps flushes */
export const delay: TargetType = {
  name: "delay",
  version: [1, 3, 0],
  make(words, context) {
    if (words.length !== 3 && words.length !== 6 && words.length !== 9) {
      const cause = `DEVICE START MILLISECONDS for each kind; here are ${words.length}`;
      context.refuse("EINVAL", "Requires exactly 3, 6 or 9 arguments", cause);
    }
    const classes: Class[] = [];
    for (let at = 0; at < words.length; at += 3) classes.push(classOf(words, at, context));
    return new DelayTarget(classes as [Class, ...Class[]], context.wait);
  },
};

function classOf(words: readonly string[], at: number, context: TargetContext): Class {
  const start = sectorOf(words[at + 1], "Invalid device sector", context);
  const milliseconds = unsigned(words[at + 2], MOST_UINT, 32);
  if (milliseconds === undefined) {
    const cause = `"${words[at + 2]}" is no number of milliseconds`;
    return context.refuse("EINVAL", "Invalid delay", cause);
  }
  const leg = context.open(words[at], "Device lookup failed");
  return { leg, start, sectors: context.length, delay: milliseconds };
}
