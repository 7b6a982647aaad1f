/**
 * What instrumented sources call: counts the persistence points that are reached, and leaves out or
 * delays the one that is switched off. To be imported before any of them.
 */

/** A persistence point that is changed. */
export interface Mutant {
  readonly site: string;
  /**
   * `delete`: nothing is done. `delay`: it is done when the next fence has passed, which is when
   * something else has become durable; never, when power is cut before, or none comes.
   */
  readonly how: "delete" | "delay";
}

type Later = () => unknown;

class Runtime {
  /** Points that were reached. */
  readonly hits = new Set<string>();
  /** The replanted bug that is in force. */
  bug: string | undefined;
  #mutant: Mutant | undefined;
  #waiting: Later[] = [];

  /** What is in force from here on. */
  begin(mutant?: Mutant, bug?: string): void {
    this.hits.clear();
    this.#mutant = mutant;
    this.bug = bug;
    this.restart();
  }

  /** Power was cut: nothing waits any more. */
  restart(): void {
    this.#waiting = [];
  }

  /** A flush, or what only others depend on. */
  point(site: string, run: Later, nothing?: Later): unknown {
    this.hits.add(site);
    return this.#mutant?.site === site ? this.#changed(this.#mutant, run, nothing) : run();
  }

  /** Something is durable afterwards: what waited is done then. */
  fence(site: string, run: Later, nothing?: Later): unknown {
    this.hits.add(site);
    if (this.#mutant?.site === site) return this.#changed(this.#mutant, run, nothing);
    if (this.#waiting.length === 0) return run();
    const before = this.#waiting;
    this.#waiting = [];
    const result = run();
    for (const late of before) late();
    return result;
  }

  #changed({ how }: Mutant, run: Later, nothing?: Later): unknown {
    if (how === "delay") this.#later(run);
    return nothing?.();
  }

  /** `args` of a write, of which the one at `index` has the FUA flag. */
  fua(site: string, device: Writable, index: number, ...args: unknown[]): unknown {
    this.hits.add(site);
    const write = (all: readonly unknown[]) => device.write(...all);
    if (this.#mutant?.site !== site) return write(args);
    const flags = args[index] as { readonly fua?: boolean } | undefined;
    const weak = args.with(index, { ...flags, fua: false });
    const result = write(weak);
    if (this.#mutant.how === "delay" && flags?.fua === true) {
      const kept = args.map((arg) => (arg instanceof Uint8Array ? arg.slice() : arg));
      this.#later(() => write(kept));
    }
    return result;
  }

  #later(run: Later): void {
    const before = this.#waiting;
    this.#waiting = [run];
    for (const late of before) late();
  }
}

interface Writable {
  write(...args: readonly unknown[]): unknown;
}

const NAME = "__persistence";
const known = globalThis as { [NAME]?: Runtime };

/** The one of this thread, by the name that instrumented sources know. */
export const runtime = (known[NAME] ??= new Runtime());
