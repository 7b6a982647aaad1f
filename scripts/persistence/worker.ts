/**
 * A process that has the instrumented copy loaded and runs one story after the other, each with
 * another persistence point switched off, or another bug switched on.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Story } from "../../test/support/persistence/story.ts";
import { type Mutant, runtime } from "./runtime.ts";

/** What a worker is asked to do. */
export interface Task {
  readonly number: number;
  readonly story: string;
  /** How long to look: 0 for a short while, 1 for longer. */
  readonly patience: 0 | 1;
  readonly mutant?: Mutant;
  readonly bug?: string;
}

/** What came of it. */
export interface Outcome {
  readonly number: number;
  /** What the story has to object; undefined: nothing. */
  readonly said: string | undefined;
  /** Persistence points that were reached, when there was neither mutant nor bug. */
  readonly hits: readonly string[];
  readonly milliseconds: number;
}

/** What a worker says first: the stories that there are, and the module of each. */
export interface Ready {
  readonly stories: readonly { readonly name: string; readonly module: string }[];
}

const FOLDER = "test/support/persistence";
const [tree = ""] = process.argv.slice(2);
const stories = new Map<string, Story>();
const ready: { name: string; module: string }[] = [];

for (const file of readdirSync(join(tree, FOLDER)).toSorted()) {
  if (!file.endsWith("-stories.ts")) continue;
  // oxlint-disable-next-line no-await-in-loop -- modules that share what they load
  const module = (await import(pathToFileURL(join(tree, FOLDER, file)).href)) as {
    readonly stories: readonly Story[];
  };
  for (const story of module.stories) {
    stories.set(story.name, story);
    ready.push({ name: story.name, module: `${FOLDER}/${file}` });
  }
}

async function run({ number, story, patience, mutant, bug }: Task): Promise<Outcome> {
  const started = performance.now();
  let said: string | undefined;
  runtime.begin(mutant, bug);
  try {
    said = await stories.get(story)?.run(patience);
  } catch (error) {
    said = `it failed: ${String(error)}`;
  }
  const changed = mutant !== undefined || bug !== undefined;
  const hits = changed ? [] : [...runtime.hits];
  runtime.begin();
  return { number, said, hits, milliseconds: performance.now() - started };
}

process.on("message", (task: Task) => {
  void run(task).then((outcome) => process.send?.(outcome));
});
process.on("disconnect", () => process.exit(0));
const first: Ready = { stories: ready };
process.send?.(first);
