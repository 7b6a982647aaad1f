/**
 * `npm run fuzz -- [TARGET...] [--cases N] [--seed S]`: damages everything that daxkit reads, case
 * by case, 100,000 over all targets unless told otherwise. `--case K` runs one case again and tells
 * its story. Each target runs in a thread of its own, so that one that hangs can be named and
 * ended. Fails with the command that shows the first bad case.
 */
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import {
  type FuzzSummary,
  type FuzzTarget,
  MAX_SEED,
  fuzz,
  replayCommand,
  tellCase,
} from "../test/support/fuzz.ts";
import { FUZZ_TARGETS, shares } from "../test/support/fuzz-targets.ts";

/** Milliseconds after which a case counts as hanging. */
const HANGS = 30_000;
const INTERVAL = 250;
/** MiB of JavaScript's heap for a thread. */
const HEAP = 1024;

/** What a thread is told. */
interface Job {
  readonly target: string;
  readonly seed: number;
  readonly first: number;
  readonly cases: number;
  /** The case that runs now. */
  readonly at: SharedArrayBuffer;
}

/** What it answers. */
type Answer = { readonly summary: FuzzSummary } | { readonly failure: string };

if (isMainThread) process.exitCode = await main();
else await work(workerData as Job);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      cases: { type: "string", default: "100000" },
      seed: { type: "string", default: "1" },
      first: { type: "string", default: "0" },
      case: { type: "string" },
    },
  });
  const targets = positionals.length === 0 ? FUZZ_TARGETS : positionals.map(targetOf);
  const [seed, cases, first] = [values.seed, values.cases, values.first].map(Number);
  if (!(seed !== undefined && seed >= 0 && seed < MAX_SEED && Number.isInteger(seed))) {
    throw new Error(`--seed ${values.seed}: a whole number below ${MAX_SEED}`);
  }
  if (values.case !== undefined) {
    const [target] = targets;
    if (target === undefined || positionals.length !== 1) throw new Error("--case wants a target");
    process.stdout.write(await tellCase(target, seed, Number(values.case)));
    return 0;
  }
  const started = performance.now();
  const counts = shares(targets, cases as number);
  process.stdout.write(`${cases} cases of seed ${seed}\n`);
  for (const [i, { name }] of targets.entries()) {
    const job = { target: name, seed, first: first as number, cases: counts[i] as number };
    // oxlint-disable-next-line no-await-in-loop -- one core, and one target at a time
    const answer = await runThread(job);
    if ("failure" in answer) {
      process.stdout.write(`${name}: ${answer.failure}\n`);
      return 1;
    }
    process.stdout.write(`${linesOf(answer.summary).join("\n")}\n`);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  // All threads, their images and the compiler of TypeScript included.
  const resident = mib(process.resourceUsage().maxRSS * 1024);
  process.stdout.write(
    `${cases} cases of seed ${seed} in ${seconds} s, at most ${resident} resident: ` +
      "typed errors only\n",
  );
  return 0;
}

function targetOf(name: string): FuzzTarget {
  const found = FUZZ_TARGETS.find((target) => target.name === name);
  if (found !== undefined) return found;
  const known = FUZZ_TARGETS.map((target) => target.name).join(", ");
  throw new Error(`no target '${name}'; there are ${known}`);
}

/** Runs a job in a thread and watches it. */
async function runThread(job: Omit<Job, "at">): Promise<Answer> {
  const at = new SharedArrayBuffer(8);
  const current = new BigInt64Array(at);
  // Threads of Node 20 do not inherit the loader of TypeScript.
  const code = `import("tsx/esm/api").then(({ register }) => {
    register();
    return import(${JSON.stringify(import.meta.url)});
  });`;
  const worker = new Worker(code, {
    eval: true,
    workerData: { ...job, at },
    resourceLimits: { maxOldGenerationSizeMb: HEAP },
  });
  let watched = -1n;
  let since = performance.now();
  return await new Promise<Answer>((resolve) => {
    const watch = setInterval(() => {
      const now = Atomics.load(current, 0);
      if (now !== watched) {
        watched = now;
        since = performance.now();
        showProgress(job, Number(now));
      } else if (performance.now() - since > HANGS) {
        end({ failure: `case ${now} hangs\n    again: ${replayCommand(caseOf(job, now))}` });
      }
    }, INTERVAL);
    const end = (answer: Answer): void => {
      clearInterval(watch);
      void worker.terminate();
      resolve(answer);
    };
    worker.once("message", end);
    worker.once("error", (error: Error) => {
      const again = replayCommand(caseOf(job, Atomics.load(current, 0)));
      end({ failure: `${error.stack ?? error.message}\n    again: ${again}` });
    });
  });
}

function caseOf({ target, seed }: Omit<Job, "at">, k: bigint): Parameters<typeof replayCommand>[0] {
  return { target, seed, case: Number(k) };
}

function showProgress({ target, first, cases }: Omit<Job, "at">, at: number): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(`\r\u001B[K${target}: ${at - first} of ${cases} cases\r`);
}

async function work({ target, seed, first, cases, at }: Job): Promise<void> {
  const current = new BigInt64Array(at);
  const onCase = (k: number): void => {
    Atomics.store(current, 0, BigInt(k));
  };
  let answer: Answer;
  try {
    answer = { summary: await fuzz(targetOf(target), { seed, first, cases, onCase }) };
  } catch (error) {
    const shown = error instanceof Error ? error.message : String(error);
    answer = { failure: shown };
  }
  parentPort?.postMessage(answer, []);
}

function linesOf(summary: FuzzSummary): string[] {
  const { target, cases, outcomes, errors, slowest, peak, left, ms } = summary;
  return [
    `${target}: ${cases} cases in ${(ms / 1000).toFixed(1)} s, the slowest ` +
      `${slowest.ms.toFixed(0)} ms (case ${slowest.case}); memory at most ${mib(peak)} more, ` +
      `${mib(left)} left`,
    `    ended: ${tally(outcomes)}`,
    `    errors: ${tally(errors)}`,
  ];
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function tally(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].toSorted((a, b) => b[1] - a[1]);
  return sorted.length === 0 ? "none" : sorted.map(([what, n]) => `${what} ${n}`).join(", ");
}
