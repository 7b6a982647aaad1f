/**
 * PostgreSQL: a cluster is made, loaded, killed under load, recovered and checked.
 */
import { chmodSync, existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Figures, type Judge, type Place, folderIn } from "./judge.ts";
import { type Ended, Failure, inOrder, must, run, until } from "./processes.ts";

const VERSIONS = "/usr/lib/postgresql";
/** Who runs the server, which refuses root. */
const USER = "postgres";
const SETTINGS = "-c listen_addresses= -c max_wal_size=64MB -c shared_buffers=16MB";

/** Debian keeps the server's programs beside the path. */
function binaries(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const version = readdirSync(VERSIONS).toSorted((a, b) => Number(b) - Number(a))[0];
  return version === undefined ? undefined : join(VERSIONS, version, "bin");
}

/** Whether the server's programs are here, which are in no folder of the path. */
function hasPostgres(): boolean {
  const folder = binaries();
  return folder !== undefined && existsSync(join(folder, "pg_amcheck"));
}

interface Cluster {
  readonly data: string;
  /** Folder of the socket. */
  readonly socket: string;
  readonly call: (program: string, ...args: readonly string[]) => Promise<Ended>;
}

async function makeCluster({ folder, scratch }: Place): Promise<Cluster> {
  const data = folderIn(folder, "cluster");
  const socket = folderIn(scratch, "socket");
  chmodSync(scratch, 0o755);
  await must("chown", [`${USER}:`, data, socket]);
  const programs = binaries() ?? "";
  const call = (program: string, ...args: readonly string[]): Promise<Ended> =>
    must("runuser", ["-u", USER, "--", join(programs, program), ...args], {
      cwd: "/",
      env: { PGHOST: socket, PGUSER: USER, PGDATABASE: "postgres" },
    });
  await call("initdb", "-k", "-A", "trust", "-D", data);
  return { data, socket, call };
}

async function start({ data, socket, call }: Cluster): Promise<void> {
  const options = `${SETTINGS} -c unix_socket_directories=${socket}`;
  await call("pg_ctl", "-D", data, "-w", "-l", join(socket, "log"), "-o", options, "start");
}

/** Kills the server and all of its processes while clients are at it. */
async function killUnderLoad({ data, call }: Cluster, seconds: number): Promise<void> {
  const [first = ""] = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
  const load = call("pgbench", "-n", "-c", "4", "-j", "2", "-T", String(seconds + 60)).then(
    () => "ended",
    () => "lost its server",
  );
  await must("sleep", [String(seconds)]);
  const children = await run("pgrep", ["-P", first]);
  await run("kill", ["-9", first, ...children.output.trim().split("\n")]);
  if ((await load) !== "lost its server") throw new Failure("pgbench did not notice the kill");
  await until(() => !existsSync(join("/proc", first)), 30, "the end of the server");
}

/** The books of pgbench must balance, whenever it was killed. */
async function balance({ call }: Cluster): Promise<number> {
  const sums = [
    "(SELECT sum(abalance) FROM pgbench_accounts)",
    "(SELECT sum(tbalance) FROM pgbench_tellers)",
    "(SELECT sum(bbalance) FROM pgbench_branches)",
    "(SELECT coalesce(sum(delta), 0) FROM pgbench_history)",
    "(SELECT count(*) FROM pgbench_history)",
  ];
  const { output } = await call("psql", "-AtqX", "-F,", "-c", `SELECT ${sums.join(", ")}`);
  const [accounts, tellers, branches, deltas, count] = output.trim().split(",");
  if (accounts !== tellers || tellers !== branches || branches !== deltas) {
    throw new Failure(`the books do not balance: ${output}`);
  }
  return Number(count);
}

async function postgres(place: Place): Promise<Figures> {
  const cluster = await makeCluster(place);
  const { data, call } = cluster;
  const seconds = place.number("pgbench-seconds", 1, 30);
  const scale = place.number("pgbench-scale", 1, 10);
  await start(cluster);
  const kills = place.number("kills", 1, 3);
  let tps = "";
  try {
    await call("pgbench", "-q", "-i", "-s", String(scale));
    const bench = await call("pgbench", "-n", "-c", "4", "-j", "2", "-T", String(seconds));
    tps = /tps = ([\d.]+)/u.exec(bench.output)?.[1] ?? "";
    const turns = Array.from({ length: kills }, (_, i) => i);
    await inOrder(turns, async () => {
      const before = await balance(cluster);
      await killUnderLoad(cluster, seconds);
      await start(cluster);
      const after = await balance(cluster);
      place.say(`killed after ${before} transactions, recovered with ${after}`);
      if (after < before) throw new Failure(`${before} transactions became ${after}`);
    });
    await call("pg_amcheck", "--install-missing", "--heapallindexed", "postgres");
  } finally {
    await call("pg_ctl", "-D", data, "-w", "-m", "fast", "stop");
  }
  await call("pg_checksums", "--check", "-D", data);
  return { kills, tps };
}

export const POSTGRES: Judge = {
  name: "postgres",
  summary: "initdb, pgbench, kill -9 under load, recovery, amcheck and checksums",
  mib: { small: 512, full: 2048 },
  programs: ["runuser", "pgrep"],
  absent: () => (hasPostgres() ? undefined : "postgresql"),
  run: postgres,
};
