/**
 * The NBD server beside nbdkit and qemu-nbd, with the same clients: fio's nbd engine and nbdcopy.
 * All servers run at once; in each round each row is measured on each of them, one after the other,
 * and the medians of the rounds' ratios are reported. Server CPU is what `/proc/PID/stat` says.
 * A sample during which others took more than `NBD_BENCH_FOREIGN` of a processor is taken again, a
 * few times; rounds that stayed disturbed do not count where enough others are left.
 *
 * `NBD_BENCH_ROUNDS` (5), `NBD_BENCH_SECONDS` (0.5) and `NBD_BENCH_MIB` (1024) set how long it
 * takes, `NBD_BENCH_ROWS` is a pattern for the names of the rows wanted, `NBD_BENCH_TRIES` (4) and
 * `NBD_BENCH_PATIENCE_MS` (3000) say how often a disturbed sample is taken and how long quiet is
 * waited for, `NBD_BENCH_PEERS` (`nbdkit memory,qemu-nbd`) may name `nbdkit file` as well.
 * `NBD_BENCH_OURS` adds builds of ours to compare with: `NAME=PATH,...`, each the path of a
 * `dist/cli/main.js`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { awaitQuiet, processorSeconds, watchForeign } from "./foreign-load.ts";
import { median, report } from "./measure.ts";

const ROUNDS = Number(process.env["NBD_BENCH_ROUNDS"] ?? 5);
const SECONDS = Number(process.env["NBD_BENCH_SECONDS"] ?? 0.5);
const MIB = Number(process.env["NBD_BENCH_MIB"] ?? 1024);
const ONLY = new RegExp(process.env["NBD_BENCH_ROWS"] ?? "");
const PEERS = (process.env["NBD_BENCH_PEERS"] ?? "nbdkit memory,qemu-nbd").split(",");
/** How many processors others may keep busy during a sample, and how often one is taken. */
const FOREIGN = Number(process.env["NBD_BENCH_FOREIGN"] ?? 0.15);
const TRIES = Number(process.env["NBD_BENCH_TRIES"] ?? 4);
const PATIENCE_MS = Number(process.env["NBD_BENCH_PATIENCE_MS"] ?? 3000);
/** So many undisturbed rounds are enough to leave the others out. */
const FEWEST_ROUNDS = 3;
const TARGET = 1.2;
/** What ticks of 10 ms leave open in a sample of half a second. */
const CPU_LIMIT = 1.02;
const main = join(import.meta.dirname, "../dist/cli/main.js");

/** A server that runs: how its clients reach it. */
interface Server {
  readonly name: string;
  readonly child: ChildProcess;
  readonly uri: string;
}

/** One measurement: operations a second, and microseconds of server CPU for each. */
interface Sample {
  readonly rate: number;
  readonly cpu: number;
  /** How many processors others kept busy meanwhile. */
  readonly foreign: number;
}

/** A row of the table. */
interface Row {
  readonly name: string;
  /** What `rate` counts. */
  readonly unit: string;
  /** Runs a client; returns how many operations it made in how many seconds. */
  run(uri: string): { readonly operations: number; readonly seconds: number };
}

function sh(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined || status !== 0) {
    throw new Error(`${program} ${args.join(" ")}: ${stderr || String(error)}`);
  }
  return stdout;
}

function fio(name: string, rw: string, size: string, depth: number, jobs = 1): Row {
  return {
    name: `fio ${name}`,
    unit: "IOPS",
    run(uri) {
      const flags = [`--rw=${rw}`, `--bs=${size}`, `--iodepth=${depth}`, `--numjobs=${jobs}`];
      const rest = ["--time_based", "--group_reporting", "--thread", "--output-format=json"];
      const limits = [`--runtime=${SECONDS * 1000}ms`, "--ramp_time=0.2", `--size=${MIB}m`];
      const to = ["--name=row", "--ioengine=nbd", `--uri=${uri}`, "--randrepeat=0"];
      const json = sh("fio", [...to, ...flags, ...limits, ...rest]);
      const [job] = (JSON.parse(json.slice(json.indexOf("{"))) as FioOutput).jobs;
      const side = rw.includes("read") ? job!.read : job!.write;
      return { operations: side.total_ios, seconds: side.runtime / 1000 };
    },
  };
}

interface FioSide {
  readonly total_ios: number;
  readonly runtime: number;
}

interface FioOutput {
  readonly jobs: readonly { readonly read: FioSide; readonly write: FioSide }[];
}

function copyRow(name: string, args: (uri: string) => readonly string[]): Row {
  return {
    name: `nbdcopy ${name}`,
    unit: "MiB/s",
    run(uri) {
      const began = process.hrtime.bigint();
      sh("nbdcopy", args(uri));
      return { operations: MIB, seconds: Number(process.hrtime.bigint() - began) / 1e9 };
    },
  };
}

function rowsOf(image: string): Row[] {
  const small = [1, 16, 64].flatMap((depth) => [
    fio(`4 KiB random read, depth ${depth}`, "randread", "4k", depth),
    fio(`4 KiB random write, depth ${depth}`, "randwrite", "4k", depth),
  ]);
  return [
    ...small,
    fio("4 KiB random read, depth 16, 4 jobs", "randread", "4k", 16, 4),
    fio("4 KiB random write, depth 16, 4 jobs", "randwrite", "4k", 16, 4),
    fio("64 KiB random read, depth 16", "randread", "64k", 16),
    fio("64 KiB random write, depth 16", "randwrite", "64k", 16),
    fio("1 MiB sequential read, depth 8", "read", "1m", 8),
    fio("1 MiB sequential write, depth 8", "write", "1m", 8),
    copyRow("from the export", (uri) => [uri, "null:"]),
    copyRow("to the export", (uri) => ["--destination-is-zero", image, uri]),
  ].filter((row) => ONLY.test(row.name));
}

async function start(name: string, folder: string, command: Command): Promise<Server> {
  const socket = join(folder, `${name.replaceAll(" ", "-")}.sock`);
  const [program, ...args] = command(socket);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  for (let tries = 0; !existsSync(socket); tries++) {
    if (tries === 200 || child.exitCode !== null) throw new Error(`${name} does not come up`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(25);
  }
  return { name, child, uri: `nbd+unix:///?socket=${socket}` };
}

function measure(row: Row, { uri, child }: Server, servers: readonly Server[]): Sample {
  const foreign = watchForeign(servers.map((each) => each.child.pid!));
  const before = processorSeconds(child.pid!);
  const { operations, seconds } = row.run(uri);
  // The ramp's processor time counts as well: the same share for everyone.
  const cpu = ((processorSeconds(child.pid!) - before) * 1e6) / operations;
  return { rate: operations / seconds, cpu, foreign: foreign() };
}

/** The first sample that nobody disturbed, or the least disturbed one. */
async function sampleOf(row: Row, server: Server, servers: readonly Server[]): Promise<Sample> {
  let best: Sample | undefined;
  for (let i = 0; i < TRIES; i++) {
    // One after the other on purpose: they share the machine.
    // oxlint-disable-next-line no-await-in-loop
    await awaitQuiet(FOREIGN, PATIENCE_MS);
    const sample = measure(row, server, servers);
    if (best === undefined || sample.foreign < best.foreign) best = sample;
    if (best.foreign <= FOREIGN) break;
  }
  return best!;
}

/** The rounds in which no server was disturbed, where they are enough; else all. */
function quietRounds(rounds: readonly Sample[][]): readonly Sample[][] {
  const quiet = rounds.filter((round) => round.every((sample) => sample.foreign <= FOREIGN));
  return quiet.length >= FEWEST_ROUNDS ? quiet : rounds;
}

/** The median of the rounds' ratios of the first server to another. */
function ratio(rounds: readonly Sample[][], peer: number, of: keyof Sample): number {
  return median(rounds.map((round) => round[0]![of] / Math.max(round[peer]![of], 1e-9)));
}

function reportRow(row: Row, names: readonly string[], all: readonly Sample[][]): void {
  const rounds = quietRounds(all);
  const peers = names.map((name, i) => ({
    name,
    rate: ratio(rounds, i, "rate"),
    cpu: ratio(rounds, i, "cpu"),
  }));
  const others = peers.slice(1);
  const detail = names.map((name, i) => {
    const figure = (of: keyof Sample) => median(rounds.map((round) => round[i]![of]));
    return `${name} ${figure("rate").toFixed(0)} ${row.unit}, ${figure("cpu").toFixed(1)} us`;
  });
  const foreign = Math.max(...rounds.map((round) => Math.max(...round.map((s) => s.foreign))));
  const used = `${rounds.length} of ${all.length} rounds, foreign load up to ${foreign.toFixed(2)}`;
  const cpu = others.map((peer) => `${peer.cpu.toFixed(2)}x`).join(", ");
  report({
    what: row.name,
    figure: others.map((peer) => `${peer.rate.toFixed(2)}x ${peer.name}`).join(", "),
    target: `${TARGET}x, and no more CPU`,
    met: others.every((peer) => peer.rate >= TARGET && peer.cpu <= CPU_LIMIT),
    detail: [`CPU ${cpu}`, ...detail, used].join("; "),
  });
}

function fillImage(image: string): void {
  const block = new Uint8Array(1 << 20);
  for (let i = 0; i < block.length; i++) block[i] = (i * 2_654_435_761) >>> 13;
  for (let i = 0; i < MIB; i++) writeFileSync(image, block, { flag: "a" });
}

/** What a server is started with, given its socket. */
type Command = (socket: string) => readonly [string, ...string[]];

/** A build of ours: each writes to an image of its own, for it locks it. */
function build(path: string, image: string): Command {
  return (socket) => [process.execPath, path, "nbd", "-U", socket, image];
}

/** Servers by their names; the first is the one that others are compared with. */
function commands(image: string): [string, Command][] {
  const qemu = ["-f", "raw", "-t", "-e", "16", "--cache=writeback", "--aio=threads"] as const;
  const peers: [string, Command][] = [
    ["nbdkit memory", (socket) => ["nbdkit", "-f", "-U", socket, "memory", `${MIB}M`]],
    ["nbdkit file", (socket) => ["nbdkit", "-f", "-U", socket, "file", image]],
    ["qemu-nbd", (socket) => ["qemu-nbd", ...qemu, "-k", socket, image]],
  ];
  const others = (process.env["NBD_BENCH_OURS"] ?? "").split(",").filter((each) => each !== "");
  const ours = others.map((each): [string, Command] => {
    const [name = "", path = ""] = each.split("=");
    copyFileSync(image, `${image}.${name}`);
    return [name, build(path, `${image}.${name}`)];
  });
  const wanted = peers.filter(([name]) => PEERS.includes(name));
  return [["daxkit", build(main, image)], ...ours, ...wanted];
}

async function bench(folder: string, servers: Server[]): Promise<void> {
  const image = join(folder, "disk.img");
  fillImage(image);
  for (const [name, command] of commands(image)) {
    // oxlint-disable-next-line no-await-in-loop
    servers.push(await start(name, folder, command));
  }
  const memory = servers.find(({ name }) => name === "nbdkit memory");
  if (memory !== undefined) sh("nbdcopy", [image, memory.uri]);
  const names = servers.map(({ name }) => name);
  for (const row of rowsOf(image)) {
    const rounds: Sample[][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const samples: Sample[] = [];
      // oxlint-disable-next-line no-await-in-loop
      for (const each of servers) samples.push(await sampleOf(row, each, servers));
      rounds.push(samples);
    }
    reportRow(row, names, rounds);
  }
}

const missing = ["fio", "nbdkit", "qemu-nbd", "nbdcopy"].filter(
  (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
);
if (missing.length > 0) {
  process.stderr.write(`skipped: ${missing.join(", ")} missing; apt-get install `);
  process.stderr.write("fio nbdkit qemu-utils libnbd-bin\n");
} else {
  const folder = mkdtempSync("/dev/shm/daxkit-bench-");
  const servers: Server[] = [];
  try {
    await bench(folder, servers);
  } finally {
    for (const { child } of servers) child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}
