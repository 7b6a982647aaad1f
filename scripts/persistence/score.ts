/**
 * The score: each persistence point is left out, and delayed, and the stories that reach it are
 * told until one of them objects.
 */
import { join } from "node:path";
import { Keeping } from "./keeping.ts";
import type { PlantedBug } from "../../test/support/planted/bug.ts";
import type { Mutant } from "./runtime.ts";
import type { Pool } from "./pool.ts";
import type { Site } from "./sites.ts";
import { Sums } from "./tree.ts";

/** A story as it is when nothing is wrong. */
export interface Told {
  readonly name: string;
  readonly module: string;
  readonly hits: readonly string[];
  readonly milliseconds: number;
  /** Alarms: it objects to what is right. */
  readonly alarms: readonly string[];
}

/** What became of a mutant. */
export interface Verdict {
  readonly site: string;
  readonly how: Mutant["how"];
  /** The story that objects; undefined: none does. */
  readonly noticed: string | undefined;
  readonly said: string | undefined;
  /** Stories that reach the point. */
  readonly reached: number;
}

/** Stories that are told at length to a mutant which all of them let pass at first. */
const MOST_LONG = 6;
/** Stories that are told to a mutant of which it is known why nobody notices it. */
const MOST_EXPLAINED = 12;

/** What is needed for a score. */
export interface Scoring {
  readonly root: string;
  readonly pool: Pool;
  readonly stories: readonly { readonly name: string; readonly module: string }[];
  /** The file under `.cache/persistence` that keeps results. */
  readonly results: string;
  readonly progress: (line: string) => void;
  /** Who noticed a mutant the last time, here or elsewhere: told first. */
  readonly guess: (mutant: Mutant) => string | undefined;
  /** Whether there is a reason why nobody can notice it. */
  readonly isExplained: (mutant: Mutant) => boolean;
}

/** Runs what was not run before, and keeps what came of it. */
export class Score {
  readonly #what: Scoring;
  readonly #kept: Keeping;
  readonly #sums: Sums;
  #told: readonly Told[] = [];
  /** Stories that object to what is right when they are told at length. */
  readonly longAlarms = new Set<string>();

  constructor(what: Scoring) {
    this.#what = what;
    this.#kept = new Keeping(join(what.root, ".cache", "persistence", what.results));
    this.#sums = new Sums(what.root);
  }

  /** Tells every story with nothing wrong: none may object. */
  async clean(): Promise<readonly Told[]> {
    const { stories } = this.#what;
    this.#told = await Promise.all(stories.map((story) => this.#tell(story)));
    this.#kept.save();
    return this.#told;
  }

  async #tell({ name, module }: { readonly name: string; readonly module: string }): Promise<Told> {
    const sum = this.#sums.of(module);
    const known = this.#kept.get(`story ${name}`, sum) as Told | undefined;
    if (known !== undefined) return known;
    const { pool, progress } = this.#what;
    const { said, hits, milliseconds } = await pool.run({ story: name, patience: 0 });
    const told = { name, module, hits, milliseconds, alarms: said === undefined ? [] : [said] };
    this.#kept.set(`story ${name}`, sum, told);
    progress(`${Math.round(milliseconds)} ms ${name}${said === undefined ? "" : ": ALARM"}`);
    return told;
  }

  /** Both mutants of each point. */
  async mutants(sites: readonly Site[]): Promise<readonly Verdict[]> {
    const mutants = sites.flatMap(({ id }) => {
      return (["delete", "delay"] as const).map((how) => ({ site: id, how }));
    });
    return Promise.all(
      mutants.map(async (mutant) => {
        const verdict = await this.#verdict(mutant);
        this.#kept.save();
        return verdict;
      }),
    );
  }

  /** Each bug, put back: who finds it. Its own story is asked first. */
  async replanted(
    bugs: readonly PlantedBug[],
  ): Promise<readonly { readonly name: string; readonly found: string | undefined }[]> {
    const found = await Promise.all(bugs.map((bug) => this.#find(bug)));
    this.#kept.save();
    return found;
  }

  async #find({ name, story, patches }: PlantedBug) {
    const told = this.#told.find((one) => one.name === story);
    if (told === undefined) throw new Error(`${name}: there is no story ${story}`);
    const sum = `${JSON.stringify(patches)} ${this.#sums.of(told.module)}`;
    const known = this.#kept.get(`bug ${name}`, sum) as string | undefined;
    if (known !== undefined) return { name, found: known };
    const { pool, progress } = this.#what;
    for (const patience of [0, 1] as const) {
      // oxlint-disable-next-line no-await-in-loop -- a short look first
      const { said } = await pool.run({ story, patience, bug: name });
      // oxlint-disable-next-line no-await-in-loop -- once for each story
      if (said === undefined || (patience === 1 && (await this.#isAlarm(story)))) continue;
      this.#kept.set(`bug ${name}`, sum, story);
      progress(`${name}: ${story}: ${said.slice(0, 100)}`);
      return { name, found: story };
    }
    return { name, found: undefined };
  }

  /** Whether a story that is told at length objects to what is right; an alarm then. */
  async #isAlarm(name: string): Promise<boolean> {
    const told = this.#told.find((one) => one.name === name) as Told;
    const sum = this.#sums.of(told.module);
    const known = this.#kept.get(`long ${name}`, sum) as boolean | undefined;
    if (known !== undefined) return known;
    const { said } = await this.#what.pool.run({ story: name, patience: 1 });
    this.#kept.set(`long ${name}`, sum, said !== undefined);
    if (said !== undefined) this.longAlarms.add(`${name}: ${said}`);
    return said !== undefined;
  }

  #reaching(site: string): readonly Told[] {
    return this.#told
      .filter(({ hits }) => hits.includes(site))
      .toSorted((a, b) => a.milliseconds - b.milliseconds);
  }

  async #verdict(mutant: Mutant): Promise<Verdict> {
    const { pool, progress } = this.#what;
    const reaching = this.#reaching(mutant.site);
    const survived = { ...mutant, noticed: undefined, said: undefined, reached: reaching.length };
    const key = `${mutant.how} ${mutant.site}`;
    const known = this.#kept.find<Verdict>(key, ({ noticed }) => this.#sumOf(noticed));
    if (known !== undefined) return known;
    const explained = this.#what.isExplained(mutant);
    const order = this.#ordered(key, mutant, reaching).slice(
      0,
      explained ? MOST_EXPLAINED : undefined,
    );
    // Looked at before, by the same stories as they are now.
    const all = order.map(({ name, module }) => `${name} ${this.#sums.of(module)}`).join(" ");
    if (this.#kept.get(`survived ${key}`, all) === true) return survived;
    for (const patience of explained ? ([0] as const) : ([0, 1] as const)) {
      for (const { name, module } of patience === 0 ? order : order.slice(0, MOST_LONG)) {
        // oxlint-disable-next-line no-await-in-loop -- the first that objects is enough
        const { said } = await pool.run({ story: name, patience, mutant });
        // oxlint-disable-next-line no-await-in-loop -- once for each story
        if (said === undefined || (patience === 1 && (await this.#isAlarm(name)))) continue;
        const verdict = { ...mutant, noticed: name, said, reached: reaching.length };
        this.#kept.set(key, this.#sums.of(module), verdict);
        progress(`${key}: ${name}`);
        return verdict;
      }
    }
    this.#kept.set(`survived ${key}`, all, true);
    progress(`${key}: no story (${reaching.length})`);
    return survived;
  }

  /** Who noticed it before comes first, then the quick ones. */
  #ordered(key: string, mutant: Mutant, reaching: readonly Told[]): readonly Told[] {
    const before = (this.#kept.last(key) as Verdict | undefined)?.noticed;
    const first = before ?? this.#what.guess(mutant);
    return [
      ...reaching.filter(({ name }) => name === first),
      ...reaching.filter(({ name }) => name !== first),
    ];
  }

  #sumOf(story: string | undefined): string {
    const told = this.#told.find(({ name }) => name === story);
    return told === undefined ? "" : this.#sums.of(told.module);
  }
}
