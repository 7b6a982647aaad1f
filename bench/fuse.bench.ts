/**
 * Mounts by FUSE: ours beside fuse2fs, the kernel's own ext4 on a loop device, and a filesystem of
 * nothing, which shows what FUSE itself costs. Each has a copy of the same fresh image on tmpfs; in
 * each round each row is run on each of them, one after the other, and the medians of the rounds'
 * ratios are reported. Processor time is that of the server (all its threads), of the client, and
 * of the kernel's own threads, for each operation.
 *
 * `FUSE_BENCH_ROUNDS` (5), `FUSE_BENCH_SECONDS` (1, of rows that run for a while), `FUSE_BENCH_MIB`
 * (512), `FUSE_BENCH_FILES` (50000) and `FUSE_BENCH_TREE` (10000) set how long it takes,
 * `FUSE_BENCH_ROWS` is a pattern for the names of the rows wanted (with those before them that they
 * need), `FUSE_BENCH_SUBJECTS` (`daxkit,fuse2fs,kernel,empty`) names who is measured; the others
 * are compared with the first. `writeback` and `noopen` are ours with that option, `session` is
 * ours in a process of the bench (see `fuse-mount.ts`), and `NAME=PATH` another build of ours, by
 * its `dist/cli/main.js`. `FUSE_BENCH_FOLDER` says where the images are, `FUSE_BENCH_PATIENCE_MS`
 * (3000) how long quiet is waited for.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  awaitQuiet,
  childrenSeconds,
  kernelThreadSeconds,
  processorSeconds,
  watchForeign,
} from "./foreign-load.ts";
import { type Row, type Stage, stagesOf } from "./fuse-rows.ts";
import { Subject, type Way, sh, waysOf } from "./fuse-subjects.ts";
import { median, report } from "./measure.ts";

const ROUNDS = Number(process.env["FUSE_BENCH_ROUNDS"] ?? 5);
const ONLY = new RegExp(process.env["FUSE_BENCH_ROWS"] ?? "", "u");
const FOLDER = process.env["FUSE_BENCH_FOLDER"] ?? "/dev/shm";
const PATIENCE_MS = Number(process.env["FUSE_BENCH_PATIENCE_MS"] ?? 3000);
const SUBJECTS = process.env["FUSE_BENCH_SUBJECTS"] ?? "daxkit,fuse2fs,kernel,empty";
/** How many processors others may keep busy before a sample, and in a round that counts. */
const FOREIGN = 0.15;
const FEWEST_ROUNDS = 3;
const IMAGE_SIZE = "2G";
/** What ticks of 10 ms leave open. */
const CPU_LIMIT = 1.02;
/** Everything that a kernel would otherwise do later, in the rows. */
const MAKE = ["-q", "-F", "-t", "ext4", "-b", "4096"] as const;
const EAGERLY = ["-E", "lazy_itable_init=0,lazy_journal_init=0"] as const;

/** One measurement: operations a second, and microseconds of processor time for each. */
interface Sample {
  readonly rate: number;
  readonly server: number;
  readonly client: number;
  readonly kernel: number;
  /** How many processors others kept busy meanwhile. */
  readonly foreign: number;
}

/** What was measured of a row: for each round, for each subject that can run it. */
type Rounds = Map<string, Sample>[];

function measure(row: Row, { way, pid, directory }: Subject): Sample {
  const foreign = watchForeign(pid === undefined ? [] : [pid]);
  const began = performance.now();
  const server = () => (pid === undefined ? 0 : processorSeconds(pid));
  const before = [server(), childrenSeconds(), kernelThreadSeconds()] as const;
  const work = row.run(directory, way.empty === true);
  const after = [server(), childrenSeconds(), kernelThreadSeconds()] as const;
  const each = (seconds: number) => (seconds * 1e6) / work.operations;
  // A thread that has ended took what it used with it.
  const kernel = Math.max(0, after[2] - before[2]);
  const elapsed = (performance.now() - began) / 1000;
  return {
    rate: work.operations / work.seconds,
    server: each(after[0] - before[0]),
    client: each(work.cpu ?? after[1] - before[1]),
    kernel: each(kernel),
    foreign: Math.max(0, foreign() - kernel / elapsed),
  };
}

async function sampleOf(row: Row, subject: Subject): Promise<Sample> {
  if (row.cold === true) {
    await subject.unmount();
    await subject.mount();
  }
  await awaitQuiet(FOREIGN, PATIENCE_MS);
  return measure(row, subject);
}

/** The rounds in which nobody was disturbed, where they are enough; else all. */
function quietRounds(rounds: Rounds): Rounds {
  const quiet = rounds.filter((round) =>
    [...round.values()].every((each) => each.foreign <= FOREIGN),
  );
  return quiet.length >= FEWEST_ROUNDS ? quiet : rounds;
}

/** The median of the rounds' ratios of the first subject to another. */
function ratio(rounds: Rounds, first: string, peer: string, of: keyof Sample): number {
  return median(rounds.map((round) => round.get(first)![of] / round.get(peer)![of]));
}

function reportRow(row: Row, all: Rounds): void {
  const names = [...all[0]!.keys()];
  const [first = ""] = names;
  const rounds = quietRounds(all);
  const against = names.slice(1).map((name) => {
    return `${ratio(rounds, first, name, "rate").toFixed(2)}x ${name}`;
  });
  const peer = names.includes("fuse2fs") && first !== "fuse2fs";
  const rate = peer ? ratio(rounds, first, "fuse2fs", "rate") : Infinity;
  const cpu = peer ? ratio(rounds, first, "fuse2fs", "server") : 0;
  const detail = names.map((name) => {
    const figure = (of: keyof Sample) => median(rounds.map((round) => round.get(name)![of]));
    const time = (["server", "client", "kernel"] as const).map((of) => figure(of).toFixed(1));
    return `${name} ${figure("rate").toFixed(0)} ${row.unit}, ${time.join(" + ")} us`;
  });
  const foreign = Math.max(...rounds.flatMap((round) => [...round.values()].map((s) => s.foreign)));
  const used = `${rounds.length} of ${all.length} rounds, foreign load up to ${foreign.toFixed(2)}`;
  report({
    what: row.name,
    figure: `${against.join(", ")}; server CPU ${cpu.toFixed(2)}x fuse2fs`,
    target: "ahead of fuse2fs, and no more CPU",
    met: rate > 1 && cpu <= CPU_LIMIT,
    detail: [...detail, used].join("; "),
  });
}

/** Runs the rows of a stage in rounds. */
async function runStage(stage: Stage, rows: readonly Row[], subjects: Subject[]): Promise<void> {
  const results = new Map<Row, Rounds>(rows.map((row) => [row, []]));
  for (const subject of subjects) {
    // One after the other on purpose: they share the machine.
    // oxlint-disable-next-line no-await-in-loop
    await subject.mount();
    stage.prepare(subject.directory, subject.way.empty === true);
  }
  for (let round = 0; round < ROUNDS; round++) {
    const samples = new Map<Row, Map<string, Sample>>(rows.map((row) => [row, new Map()]));
    for (const subject of subjects) {
      for (const row of rows) {
        if (subject.way.empty === true && row.onEmpty !== true) continue;
        // oxlint-disable-next-line no-await-in-loop
        samples.get(row)!.set(subject.name, await sampleOf(row, subject));
      }
    }
    for (const row of rows) results.get(row)!.push(samples.get(row)!);
  }
  for (const row of rows) if (ONLY.test(row.name)) reportRow(row, results.get(row)!);
}

/** Rows that are wanted; where rows live on what others left, with those. */
function rowsOf({ rows, chained }: Stage): readonly Row[] {
  if (!rows.some((row) => ONLY.test(row.name))) return [];
  return chained === true ? rows : rows.filter((row) => ONLY.test(row.name));
}

async function bench(folder: string, ways: readonly Way[]): Promise<void> {
  const image = join(folder, "fresh");
  sh("truncate", ["-s", IMAGE_SIZE, image]);
  sh("mke2fs", [...MAKE, ...EAGERLY, image]);
  for (const stage of stagesOf(folder)) {
    const rows = rowsOf(stage);
    if (rows.length === 0) continue;
    const wanted = ways.filter((way) => way.empty !== true || rows.some((row) => row.onEmpty));
    const subjects = wanted.map((way) => new Subject(way, folder, image));
    try {
      // oxlint-disable-next-line no-await-in-loop
      await runStage(stage, rows, subjects);
    } finally {
      // oxlint-disable-next-line no-await-in-loop
      await Promise.all(subjects.map((subject) => subject.end()));
    }
  }
}

const missing = ["fio", "fuse2fs", "git", "mke2fs"].filter(
  (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
);
if (missing.length > 0 || process.getuid?.() !== 0) {
  process.stderr.write(`skipped: needs root, and fio, fuse2fs, git and mke2fs; apt-get install `);
  process.stderr.write("fio fuse2fs git e2fsprogs\n");
} else {
  const folder = mkdtempSync(join(FOLDER, "daxkit-bench-"));
  try {
    await bench(folder, waysOf(SUBJECTS.split(",")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
