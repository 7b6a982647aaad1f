/**
 * `npm run ace -- [--seq N] [--fs ext2|ext4] [--model disk|memory] [--depth N] [--jobs N]`: every
 * workload of so many calls on the ext driver, power cut wherever that makes a difference.
 * `--sample N --seed S` runs so many by chance instead, `--workload TEXT` one; `--count` counts only.
 * A loss is shrunk. Ends with 1 when something was lost, 3 when something was not measured.
 *
 * Plain JavaScript on what was built: what runs TypeScript itself makes it several times slower.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { AceSuite, countAceWorkloads, parseWorkload, runAceJob } from "../dist/node/prove.js";

const OPTIONS = /** @type {const} */ ({
  seq: { type: "string", default: "2" },
  fs: { type: "string", default: "ext4" },
  model: { type: "string", default: "disk" },
  depth: { type: "string", default: "1" },
  persist: { type: "string", default: "used" },
  jobs: { type: "string", default: String(availableParallelism()) },
  sample: { type: "string" },
  seed: { type: "string", default: "1" },
  workload: { type: "string" },
  count: { type: "boolean", default: false },
});

const { values } = parsed(() => parseArgs({ options: OPTIONS }));

/**
 * @template T
 * @param {() => T} parse
 * @returns {T}
 */
function parsed(parse) {
  try {
    return parse();
  } catch ({ message }) {
    return refuse(message);
  }
}

/** @returns {never} */
function refuse(why) {
  process.stderr.write(`ace: ${why}\n`);
  process.exit(2);
}

function oneOf(name, all) {
  if (all.includes(values[name])) return values[name];
  return refuse(`--${name} ${values[name]}: one of ${all.join(", ")}`);
}

function whole(name, least, most) {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  return refuse(`--${name} ${values[name]}: a whole number from ${least} to ${most}`);
}

const job = {
  filesystem: oneOf("fs", ["ext2", "ext4"]),
  model: oneOf("model", ["disk", "memory"]),
  length: whole("seq", 1, 9),
  depth: whole("depth", 1, 3),
  persist: oneOf("persist", ["used", "range"]),
  seed: whole("seed", 0, 2 ** 31),
  ...(values.sample === undefined ? {} : { sample: whole("sample", 1, 1e9) }),
};
const name = [
  `${job.filesystem} on ${job.model}, seq-${job.length}`,
  ...(job.persist === "range" ? ["any file made durable"] : []),
  ...(job.depth === 1 ? [] : [`${job.depth} power cuts in a row`]),
  ...(job.sample === undefined ? [] : [`${job.sample} by chance (seed ${job.seed})`]),
].join(", ");

process.exitCode = await main();

function say(line) {
  process.stdout.write(`${line}\n`);
}

async function main() {
  if (values.count) {
    say(`${name}: ${countAceWorkloads(job)} workloads`);
    return 0;
  }
  if (values.workload !== undefined) {
    const {
      kind,
      said = "",
      states,
      leaves,
    } = new AceSuite(job).run(parseWorkload(values.workload));
    say(`${kind}: ${values.workload}`);
    if (said !== "") say(said);
    say(`states ${states}, leaves ${leaves}`);
    return statusOf([kind]);
  }
  const jobs = whole("jobs", 1, 256);
  const started = performance.now();
  const figures = await runAceJob(job, jobs, (done) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${name}: ${done} workloads`);
  });
  if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
  tell(figures, (performance.now() - started) / 1000, jobs);
  return statusOf(figures.losses.map(({ kind }) => kind));
}

function tell({ workloads, refused, states, leaves, losses }, seconds, jobs) {
  for (const { kind, workload, shrunk, said } of losses) {
    say(`${kind}: ${workload}\n  ${said ?? ""}`);
    const options = `--fs ${job.filesystem} --model ${job.model} --depth ${job.depth}`;
    say(`  smallest: npm run ace -- ${options} --workload '${shrunk}'`);
  }
  const notRun = refused === 0 ? "" : `, ${refused} refused by the filesystem`;
  say(`${name}: ${workloads} workloads, ${losses.length} did not survive${notRun}`);
  say(`states covered: ${states}`);
  say(`leaves run: ${leaves}`);
  const each = ((seconds * 1000 * jobs) / workloads).toFixed(2);
  say(`${each} ms a workload (${seconds.toFixed(1)} s, threads: ${jobs})`);
}

function statusOf(kinds) {
  if (kinds.includes("Lost")) return 1;
  return kinds.every((kind) => kind === "Survived") ? 0 : 3;
}
