/**
 * What carries the requests of a mount: the engine of commands, that waits in poll(2) itself,
 * beside the one of libraries, which the event loop wakes. Both mount a filesystem of nothing, so
 * all time is the transport's and the kernel's. Processor time is the server's.
 *
 * `FUSE_BENCH_ROUNDS` (7) and `FUSE_BENCH_SECONDS` (0.3) set how long it takes.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awaitQuiet, processorSeconds } from "./foreign-load.ts";
import { median, report } from "./measure.ts";

const ROUNDS = Number(process.env["FUSE_BENCH_ROUNDS"] ?? 7);
const SECONDS = Number(process.env["FUSE_BENCH_SECONDS"] ?? 0.3);
const ROWS = ["stat", "write 4 KiB", "write 1 MiB", "read 1 MiB"];
const ENGINES = ["blocking", "shared"] as const;
const FOREIGN = 0.15;
const PATIENCE_MS = 1000;
/** Large requests are the kernel's copy: which engine a round prefers is a matter of luck. */
const TARGET = 0.9;

interface Server {
  readonly child: ChildProcess;
  readonly directory: string;
}

/** Operations a second, and microseconds of the server for each. */
interface Sample {
  readonly rate: number;
  readonly cpu: number;
}

const tsx = ["--import", "tsx"];

async function start(engine: string, folder: string): Promise<Server> {
  const directory = mkdtempSync(join(folder, `${engine}-`));
  const args = [...tsx, join(import.meta.dirname, "fuse-mount.ts"), "empty", "nothing", directory];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, FUSE_BENCH_OPTIONS: JSON.stringify({ engine }) },
  });
  await once(child.stdout, "data");
  return { child, directory };
}

function sample({ child, directory }: Server, row: string): Sample {
  const before = processorSeconds(child.pid!);
  const load = [...tsx, join(import.meta.dirname, "fuse-load.ts"), directory, row];
  const args = ["30", process.execPath, ...load, String(SECONDS * 1000)];
  const { stdout, status } = spawnSync("timeout", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${row} on ${directory} ended with status ${status}`);
  const { operations, milliseconds } = JSON.parse(stdout) as Record<string, number>;
  const used = processorSeconds(child.pid!) - before;
  return { rate: (operations! / milliseconds!) * 1000, cpu: (used * 1e6) / operations! };
}

async function measure(row: string, servers: readonly Server[]): Promise<void> {
  const rounds: Sample[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // One after the other on purpose: they share the machine.
    // oxlint-disable-next-line no-await-in-loop
    await awaitQuiet(FOREIGN, PATIENCE_MS);
    rounds.push(servers.map((server) => sample(server, row)));
  }
  const ratio = (of: keyof Sample) => median(rounds.map(([one, other]) => one![of] / other![of]));
  const figures = ENGINES.map((name, i) => {
    const figure = (of: keyof Sample) => median(rounds.map((round) => round[i]![of]));
    return `${name} ${figure("rate").toFixed(0)} /s, ${figure("cpu").toFixed(1)} us`;
  });
  report({
    what: row,
    figure: `${ratio("rate").toFixed(2)}x shared`,
    target: `${TARGET}x`,
    met: ratio("rate") >= TARGET,
    detail: [`CPU ${ratio("cpu").toFixed(2)}x`, ...figures].join("; "),
  });
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-engines-"));
  const servers: Server[] = [];
  try {
    for (const engine of ENGINES) {
      // oxlint-disable-next-line no-await-in-loop
      servers.push(await start(engine, folder));
    }
    for (const row of ROWS) {
      // oxlint-disable-next-line no-await-in-loop
      await measure(row, servers);
    }
  } finally {
    for (const { child, directory } of servers) {
      spawnSync("umount", ["-i", "-l", directory]);
      child.kill();
    }
    rmSync(folder, { recursive: true });
  }
}

if (process.geteuid?.() === 0 && existsSync("/dev/fuse")) await main();
else process.stderr.write("fuse-engines: skipped, run as root, with /dev/fuse\n");
