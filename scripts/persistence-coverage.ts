/**
 * Whether our tests would notice: leaves out, and delays, each flush, fence, FUA flag and point of
 * a journal's order in our own sources in turn, and puts known bugs back. What came of it last is
 * `docs/persistence-coverage.md`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { PlantedBug } from "../test/support/planted/bug.ts";
import { BUGS } from "../test/support/planted/bugs.ts";
import { PAGE, noticedOn, pageOf, sumOf } from "./persistence/page.ts";
import { Pool } from "./persistence/pool.ts";
import type { Mutant } from "./persistence/runtime.ts";
import { Score, type Verdict } from "./persistence/score.ts";
import { sitesOf } from "./persistence/sites.ts";
import { SURVIVORS, reasonFor } from "./persistence/survivors.ts";
import { makeTree } from "./persistence/tree.ts";

const USAGE = `usage: npm run persistence-coverage -- [OPTION...]
  --jobs N       worker processes (all cores)
  --site REGEX   only points whose name matches
  --slice N/M    only the N-th of M parts of the points
  --replanted    only the replanted bugs, not the points
  --no-replanted only the points
  --quick        only the stories of devices and trees
  --list         lists the points
  --json         the result as JSON
  --docs         writes ${PAGE}
`;

/** The stories of devices and trees take milliseconds each. */
const QUICK = /\/(?:device|dm(?:-\w+)?|memory|tree)-stories/u;

const root = join(import.meta.dirname, "..");
const { values: options } = parseArgs({
  options: {
    jobs: { type: "string", default: String(availableParallelism()) },
    site: { type: "string" },
    slice: { type: "string" },
    replanted: { type: "boolean", default: false },
    "no-replanted": { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    docs: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const tell = (line: string): void => void process.stderr.write(`${line}\n`);
const isPart =
  options.site !== undefined ||
  options.slice !== undefined ||
  options.replanted ||
  options["no-replanted"] ||
  options.quick;

if (options.help || (options.docs && isPart)) {
  process.stderr.write(options.help ? USAGE : `--docs wants all of it\n${USAGE}`);
  process.exit(options.help ? 0 : 2);
}

const sites = wantedSites();
if (options.list) {
  for (const { kind, id, file, line } of sites) say(`${kind.padEnd(5)} ${id} (${file}:${line})`);
  process.exit(0);
}
process.exitCode = (await run()) ? 0 : 1;

function wantedSites() {
  const pattern = new RegExp(options.site ?? "", "u");
  const all = sitesOf(root).filter(({ id }) => pattern.test(id));
  const [n = 1, m = 1] = (options.slice ?? "1/1").split("/").map(Number);
  return options.replanted ? [] : all.filter((_, i) => i % m === n - 1);
}

/** A bug of a file that has wanted points. */
function isWanted({ patches }: PlantedBug): boolean {
  const pattern = new RegExp(options.site ?? "", "u");
  return patches.some(({ file }) => pattern.test(file.slice("src/".length)));
}

/** Whether nothing is wrong. */
async function run(): Promise<boolean> {
  const started = performance.now();
  const tree = makeTree(root, BUGS);
  const pool = new Pool(root, tree, 120_000);
  const known = await pool.start(Math.max(1, Number(options.jobs)));
  const stories = options.quick ? known.filter(({ module }) => QUICK.test(module)) : known;
  try {
    const results = options.quick ? "quick.json" : "results.json";
    const page = join(root, PAGE);
    const guess = noticedOn(existsSync(page) ? readFileSync(page, "utf8") : "");
    const how = { guess, isExplained, progress: tell };
    const score = new Score({ root, pool, stories, results, ...how });
    const told = await score.clean();
    const verdicts = await score.mutants(sites);
    const bugs = options["no-replanted"] ? [] : BUGS.filter(isWanted);
    const replanted = await score.replanted(bugs);
    const found = { sites, verdicts, told, replanted, survivors: SURVIVORS };
    const sum = sumOf(found);
    const alarms = told.flatMap((one) => one.alarms.map((said) => `${one.name}: ${said}`));
    alarms.push(...score.longAlarms);
    const lost = replanted.filter((one) => one.found === undefined);
    if (options.docs) writeFileSync(page, pageOf(found));
    if (options.json) say(JSON.stringify({ ...found, sites: sites.map(({ id }) => id) }));
    else {
      for (const alarm of alarms) say(`ALARM     ${alarm}`);
      for (const one of sum.unexplained) say(`SURVIVES  ${wordsOf(one)}`);
      for (const one of sum.refuted) say(`NOTICED   ${wordsOf(one)}, though it is explained`);
      for (const { name } of lost) say(`NOT FOUND ${name}`);
      if (sites.length > 0) {
        const most = sum.all - sum.explained;
        say(
          `${sum.noticed} of ${most} noticed (${sites.length} points, ${sum.explained} explained)`,
        );
      }
      if (bugs.length > 0)
        say(`${bugs.length - lost.length} of ${bugs.length} replanted bugs found`);
      say(`${alarms.length} alarms in ${told.length} stories of the clean code`);
    }
    tell(`${Math.round((performance.now() - started) / 1000)} s`);
    const wrong = [alarms, sum.unexplained, sum.refuted, lost];
    return wrong.every((list) => list.length === 0);
  } finally {
    pool.close();
  }
}

function isExplained(one: Mutant): boolean {
  return reasonFor(SURVIVORS, one) !== undefined;
}

function wordsOf({ how, site, noticed, reached }: Verdict): string {
  const who = noticed ?? (reached === 0 ? "nothing reaches it" : `${reached} reach it`);
  return `${how} ${site}: ${who}`;
}
