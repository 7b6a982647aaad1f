/**
 * Checks by commands, for the explorer: a state is walked through the tree of what checks have
 * looked at before, and where that ends, it waits until a command has run on it. Then exploration
 * begins anew, and finds its way.
 *
 * A recovery by a command goes the same way: what it asked of a volume is written down, and asked
 * again, here, of every state on which it would do the same.
 *
 * @module
 */
import { HarnessFault } from "../../../crash/program.ts";
import type { ModelledMedia } from "../../../media/modelled.ts";
import { LINE_BYTES } from "../../../media/trace.ts";
import { mountProof } from "../recording.ts";
import type { Filesystem } from "../../../vfs/filesystem.ts";
import type { Underlay } from "../underlay.ts";
import { Strayed } from "../waiting.ts";
import type { VolumeProgram } from "../volume-program.ts";
import type { VolumeProof } from "../volume-proof.ts";
import type { CheckJob, CheckOutcome, CheckPart, Patch } from "./check-messages.ts";
import type { CheckPool } from "./check-pool.ts";
import { type Look, type LookEnd, type LookGap, LookTree, chainOf } from "./look-tree.ts";
import { replaySteps } from "./replayed-run.ts";

/** States that wait before they are checked, for each that is checked at a time. */
const MOST_WAITING = 256;

/**
 * Checks of what is looked for when a verdict stands, such as what is missing: so many times those
 * that the verdict took, and some. It counts only where all of it was checked.
 */
const SEARCH_TIMES = 3;
const SEARCH_LEAST = 200;
const UNCHECKED = "it was not checked: the budget of checks was hit";
/** One state in so many is checked twice, and so are the first bad ones. */
const SAMPLE_EVERY = 32;
const MOST_BAD_TWICE = 3;

/** A state that waits for its check. */
interface Waiting extends CheckJob {
  readonly gap: LookGap;
  /** What its lines hold that are not those of the base. */
  readonly lines: ReadonlyMap<number, Uint8Array>;
}

/** Ends an exploration so that what waits is checked; it begins anew. */
class Enough extends HarnessFault {
  constructor() {
    super("check", "more states wait for their check than are kept");
  }
}

/** What was done. */
export interface CheckTally {
  /** Times that the check, or the recovery, ran. */
  readonly runs: number;
  /** Of these, on states that it said were bad. */
  readonly bad: number;
  /** Whether the verdict would have needed more. */
  readonly cut: boolean;
  /** Whether what was looked for afterwards, such as what is missing, would have needed more. */
  readonly over: boolean;
}

/** See the module. */
export class MountedChecks {
  readonly #underlay: Underlay;
  readonly #proof: VolumeProof;
  readonly #base: Uint8Array;
  readonly #pool: () => CheckPool;
  readonly #most: number;
  readonly #onRun: (runs: number, waiting: number) => void;
  /** By part: a recovery knows nothing of promises, and so the same end counts for all of them. */
  readonly #trees = { recover: new LookTree(), check: new LookTree() };
  /** Whether a command recovers. */
  readonly #recovers: boolean;
  readonly #waiting = new Map<string, Waiting>();
  /** Whether the last state was one that waits. */
  #open = false;
  #runs = 0;
  #bad = 0;
  /** What comes now is no part of the measure. */
  #searching = false;
  /** Checks that the verdict took. */
  #measured = 0;
  /** No more checks are run; and whether that was so before a verdict stood. */
  #over = false;
  #cut = false;

  constructor(options: {
    readonly proof: VolumeProof;
    readonly underlay: Underlay;
    /** Whether there is a command that recovers. */
    readonly recovers: boolean;
    /** What the lines hold from which states are told apart. */
    readonly base: Uint8Array;
    readonly pool: () => CheckPool;
    /** Checks that are run. */
    readonly most: number;
    /** Told of each check: how many have run, and how many are known to wait. */
    readonly onRun?: ((runs: number, waiting: number) => void) | undefined;
  }) {
    this.#onRun = options.onRun ?? (() => {});
    this.#proof = options.proof;
    this.#recovers = options.recovers;
    this.#underlay = options.underlay;
    this.#base = options.base;
    this.#pool = options.pool;
    this.#most = options.most;
  }

  get tally(): CheckTally {
    return { runs: this.#runs, bad: this.#bad, cut: this.#cut, over: this.#over };
  }

  /** What the explorer runs. */
  readonly program: VolumeProgram = {
    wrote: () => undefined,
    isOpen: () => this.#open,
    recover: (media) => {
      this.#open = false;
      // What is stored from here on is part of no deed: the second mount is remembered nowhere.
      const { mount } = mountProof(media, this.#underlay, this.#proof).tree.root;
      return this.#recovers ? this.#recover(media, mount.filesystem) : mount.filesystem;
    },
    check: (media, acked, recovered) => {
      if (recovered === undefined) return undefined;
      // What recovery did counts from the media on: whoever checks mounts it anew.
      (recovered as Filesystem).unmount();
      return this.#check(media, acked as readonly string[]);
    },
  };

  /** The verdict is known: from here on others than the program as it is are looked at. */
  readonly search = (): void => {
    this.#searching = true;
    this.#measured = this.#runs;
  };

  /** Has `body` explore again and again, until no state that it comes to waits for its check. */
  readonly settle = async <T>(body: () => T | Promise<T>): Promise<T> => {
    for (;;) {
      const last = this.#over;
      try {
        // Each beginning needs what the one before has found.
        // oxlint-disable-next-line no-await-in-loop
        const value = await body();
        if (this.#waiting.size === 0 || last) return value;
      } catch (error) {
        // Power cuts in a recovery that is not known to its end may not be there yet.
        const early = this.#waiting.size > 0 && !last;
        if (!(error instanceof Enough) && !early) throw error;
      }
      // oxlint-disable-next-line no-await-in-loop
      await this.#runAll();
    }
  };

  /**
   * Has the command recover what a mount of ours left, on another one; undefined: what it would do
   * is not known yet. @throws Error with what it said, where it failed
   */
  #recover(media: ModelledMedia, mounted: Filesystem): Filesystem | undefined {
    // What the command finds is what lies on the disk.
    mounted.unmount();
    const end = this.#known(media, "recover", []);
    if (end === undefined) {
      if (this.#over && this.#searching) throw new Error(UNCHECKED);
      return undefined;
    }
    if (end.said !== undefined) throw new Error(end.said);
    const { tree } = mountProof(media, this.#underlay, this.#proof);
    replaySteps(tree, end.steps ?? []);
    return tree.root.mount.filesystem;
  }

  #check(media: ModelledMedia, acked: readonly string[]): string | undefined {
    const end = this.#known(media, "check", acked);
    if (end !== undefined) return end.said;
    return this.#over && this.#searching ? UNCHECKED : undefined;
  }

  /** How a command would end on what the media hold; undefined: it waits for that. */
  #known(media: ModelledMedia, part: CheckPart, acked: readonly string[]): LookEnd | undefined {
    const { recorder } = media;
    const found = this.#trees[part].walk(acked, ({ at, length }) => {
      const bytes = Buffer.allocUnsafe(length);
      recorder.copyOut(at, bytes);
      return bytes.toString("latin1");
    });
    if (!("fill" in found)) return found;
    this.#open = true;
    const key = `${part} ${found.key}`;
    if (this.#over || this.#waiting.has(key)) return undefined;
    if (this.#waiting.size >= MOST_WAITING) throw new Enough();
    this.#waiting.set(key, this.#waitingAt(found, recorder.image, part, acked));
    return undefined;
  }

  #waitingAt(gap: LookGap, image: Uint8Array, part: CheckPart, acked: readonly string[]): Waiting {
    const lines = new Map<number, Uint8Array>();
    const patches: Patch[] = [];
    const { unit } = this.#underlay;
    for (const line of changedLines(this.#base, image)) {
      const bytes = image.slice(line * LINE_BYTES, (line + 1) * LINE_BYTES);
      lines.set(line, bytes);
      patches.push({ at: line * unit, bytes: this.#underlay.imageOf(bytes) });
    }
    return { gap, lines, part, patches, acked };
  }

  /** How often the commands may run, all in all. */
  get #limit(): number {
    if (!this.#searching) return this.#most;
    return Math.min(this.#most, this.#measured * (1 + SEARCH_TIMES) + SEARCH_LEAST);
  }

  async #runAll(): Promise<void> {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    const room = Math.max(0, this.#limit - this.#runs);
    if (all.length > room) {
      this.#over = true;
      this.#cut = !this.#searching;
    }
    let left = Math.min(all.length, room);
    const again = new Map<Waiting, boolean>();
    await this.#pool().run(all.slice(0, room), (waiting, outcome) => {
      const isBad = outcome.said !== undefined;
      const sampled = this.#runs % SAMPLE_EVERY === 0 || (isBad && this.#bad < MOST_BAD_TWICE);
      this.#runs++;
      this.#learn(waiting, outcome);
      if (sampled) again.set(waiting, isBad);
      this.#onRun(this.#runs, --left);
    });
    await this.#pool().run([...again.keys()], (waiting, { said, broken }) => {
      if (broken !== undefined) throw new HarnessFault(waiting.part, broken);
      if ((said !== undefined) === again.get(waiting)) return;
      const who = waiting.part === "check" ? "check" : "recovery";
      throw new Strayed(
        `the ${who} is not deterministic: it ran twice on the same state, and once was content, ` +
          `and once not (${said ?? "first"})`,
      );
    });
  }

  /** @throws HarnessFault for a check that is none */
  #learn({ gap, lines, part }: Waiting, outcome: CheckOutcome): void {
    const { looks, said, broken, steps } = outcome;
    if (broken !== undefined) throw new HarnessFault(part, broken);
    if (said !== undefined) this.#bad++;
    const known = new Set(gap.looks.map(keyOf));
    const added = this.#onLines(looks).filter((look) => !known.has(keyOf(look)));
    const contentOf = ({ at, length }: Look): string => {
      const line = Math.floor(at / LINE_BYTES);
      const start = line * LINE_BYTES;
      const bytes = lines.get(line) ?? this.#base.subarray(start, start + LINE_BYTES);
      return Buffer.from(bytes.subarray(at - start, at - start + length)).toString("latin1");
    };
    gap.fill(chainOf(added, { said, steps }, contentOf));
  }

  /** Looks at a volume as looks at what is modelled. */
  #onLines(looks: readonly Look[]): Look[] {
    const { unit } = this.#underlay;
    if (unit === LINE_BYTES) return [...looks];
    const units = new Set<number>();
    for (const { at, length } of looks) {
      const last = Math.floor((at + length - 1) / unit);
      for (let each = Math.floor(at / unit); each <= last; each++) units.add(each);
    }
    // Of a sector the number of what it holds is modelled.
    return [...units].map((each) => ({ at: each * LINE_BYTES, length: NUMBER_BYTES }));
  }
}

const NUMBER_BYTES = 8;
const CHUNK = 4096;

function keyOf({ at, length }: Look): string {
  return `${at}+${length}`;
}

function* changedLines(before: Uint8Array, now: Uint8Array): Generator<number> {
  const [a, b] = [
    Buffer.from(before.buffer, before.byteOffset, before.length),
    Buffer.from(now.buffer, now.byteOffset, now.length),
  ];
  for (let chunk = 0; chunk < now.length; chunk += CHUNK) {
    const stop = Math.min(chunk + CHUNK, now.length);
    if (a.compare(b, chunk, stop, chunk, stop) === 0) continue;
    for (let at = chunk; at < stop; at += LINE_BYTES) {
      const end = at + LINE_BYTES;
      if (a.compare(b, at, end, at, end) !== 0) yield at / LINE_BYTES;
    }
  }
}
