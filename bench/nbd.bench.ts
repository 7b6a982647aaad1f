/**
 * The NBD server beside nbdkit and qemu-nbd, with the same clients: fio's nbd engine and nbdcopy.
 * All servers run at once; in each round each row is measured on each of them, one after the other,
 * and the medians of the rounds' ratios are reported. Server CPU is what `/proc/PID/stat` says.
 *
 * `NBD_BENCH_ROUNDS` (3), `NBD_BENCH_SECONDS` (1) and `NBD_BENCH_MIB` (1024) set how long it takes,
 * `NBD_BENCH_ROWS` is a part of the names of the rows wanted.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median, report } from "./measure.ts";

const ROUNDS = Number(process.env["NBD_BENCH_ROUNDS"] ?? 3);
const SECONDS = Number(process.env["NBD_BENCH_SECONDS"] ?? 1);
const MIB = Number(process.env["NBD_BENCH_MIB"] ?? 1024);
const ONLY = process.env["NBD_BENCH_ROWS"] ?? "";
const TARGET = 1.2;
const TICKS_PER_SECOND = 100;
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
      const limits = [`--runtime=${SECONDS}`, "--ramp_time=0.2", `--size=${MIB}m`];
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
  ].filter((row) => row.name.includes(ONLY));
}

async function start(
  name: string,
  folder: string,
  command: (socket: string) => readonly [string, ...string[]],
): Promise<Server> {
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

/** Processor time of a process, in microseconds. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
}

function measure(row: Row, { uri, child }: Server): Sample {
  const before = cpuOf(child.pid!);
  const { operations, seconds } = row.run(uri);
  // Microseconds of the ramp count as well: the same share for everyone.
  return { rate: operations / seconds, cpu: (cpuOf(child.pid!) - before) / operations };
}

function ratios(ours: readonly Sample[], theirs: readonly Sample[], of: keyof Sample): number {
  return median(ours.map((sample, i) => sample[of] / Math.max(theirs[i]![of], 1e-9)));
}

function reportRow(row: Row, names: readonly string[], samples: readonly Sample[][]): void {
  const [ours = []] = samples;
  const peers = names.slice(1).map((name, i) => ({
    name,
    rate: ratios(ours, samples[i + 1]!, "rate"),
    cpu: ratios(ours, samples[i + 1]!, "cpu"),
  }));
  const figures = (list: readonly Sample[], of: keyof Sample) =>
    median(list.map((each) => each[of]));
  const detail = names.map((name, i) => {
    const rate = figures(samples[i]!, "rate").toFixed(0);
    return `${name} ${rate} ${row.unit}, ${figures(samples[i]!, "cpu").toFixed(1)} us`;
  });
  report({
    what: row.name,
    figure: peers.map((peer) => `${peer.rate.toFixed(2)}x ${peer.name}`).join(", "),
    target: `${TARGET}x, and no more CPU`,
    met: peers.every((peer) => peer.rate >= TARGET && peer.cpu <= 1.05),
    detail: [`CPU ${peers.map((peer) => `${peer.cpu.toFixed(2)}x`).join(", ")}`, ...detail].join(
      "; ",
    ),
  });
}

async function bench(folder: string, servers: Server[]): Promise<void> {
  const image = join(folder, "disk.img");
  const block = new Uint8Array(1 << 20);
  for (let i = 0; i < block.length; i++) block[i] = (i * 2_654_435_761) >>> 13;
  for (let i = 0; i < MIB; i++) writeFileSync(image, block, { flag: "a" });
  const server = process.env["NBD_BENCH_SERVER"];
  const ours = server === undefined ? [main, "nbd"] : server.split(" ");
  servers.push(await start("daxkit", folder, (s) => [process.execPath, ...ours, "-U", s, image]));
  servers.push(
    await start("nbdkit memory", folder, (s) => ["nbdkit", "-f", "-U", s, "memory", `${MIB}M`]),
  );
  servers.push(await start("nbdkit file", folder, (s) => ["nbdkit", "-f", "-U", s, "file", image]));
  const qemu = ["-f", "raw", "-t", "-e", "16", "--cache=writeback", "--aio=threads"] as const;
  servers.push(await start("qemu-nbd", folder, (s) => ["qemu-nbd", ...qemu, "-k", s, image]));
  sh("nbdcopy", [image, servers[1]!.uri]);
  for (const row of rowsOf(image)) {
    const samples: Sample[][] = servers.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, each] of servers.entries()) samples[i]!.push(measure(row, each));
    }
    reportRow(
      row,
      servers.map((each) => each.name),
      samples,
    );
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
