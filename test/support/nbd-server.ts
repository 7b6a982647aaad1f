/**
 * `daxkit nbd` in a process of its own, for tests that play the client.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { libc } from "../../src/node/libc.unsafe.ts";
import { MAIN, jsonLines } from "./daxkit.ts";

/** A server that runs, and what it said so far. */
export interface RunningServer {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly uri: string;
  readonly socket: string;
  readonly port: number;
  /** Its JSON lines so far. */
  events(): Record<string, unknown>[];
  errors(): string;
  /** Sends a signal and waits for the exit status. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** The ways in which connections are carried. */
export interface EngineCase {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Every engine that there is on this host. */
export const ENGINES: readonly EngineCase[] = [
  ...(libc() === undefined
    ? []
    : [
        { name: "threads", args: [], env: {} },
        { name: "the event loop", args: ["--threads", "0"], env: {} },
      ]),
  { name: "Node's sockets", args: [], env: { DAXKIT_FFI: "off" } },
];

/** A folder in memory or on disk that is gone after the test. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-nbd-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An image of random bytes. */
export function randomImage(folder: string, name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, randomFillSync(Buffer.alloc(bytes)));
  return path;
}

/** Starts a server and waits until it listens. */
export async function startServer(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const running = await launch(["nbd", ...args], '"event":"listening"', env);
  const { addresses } = running.events().find(({ event }) => event === "listening") as {
    addresses: [{ path?: string; port?: number }];
  };
  return { ...running, socket: addresses[0].path ?? "", port: addresses[0].port ?? 0 };
}

/** Brings a machine up that serves exports at the unix socket `nbd.sock` beside its file. */
export async function startMachine(
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const running = await launch(["up", file], '"event":"up"', env);
  return { ...running, socket: join(dirname(file), "nbd.sock"), port: 0 };
}

/** As {@link startMachine}, of a machine file without its `nbd`. */
export async function startMachineOf(text: string): Promise<RunningServer> {
  const file = join(testFolder(), "machine.yaml");
  writeFileSync(file, `${text}\nnbd: { socket: nbd.sock }\n`);
  return startMachine(file);
}

/** Runs the command until the test ends, and waits until it has said `mark`. */
async function launch(
  words: readonly string[],
  mark: string,
  env: Readonly<Record<string, string>>,
): Promise<Omit<RunningServer, "socket" | "port">> {
  const child = spawn(process.execPath, [MAIN, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let out = "";
  let err = "";
  child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (bytes: Buffer) => {
      out += bytes.toString("latin1");
      if (out.includes(mark)) resolve();
    });
    child.once("close", () => reject(new Error(`it ended: ${err}`)));
    child.once("error", reject);
  });
  const events = (): Record<string, unknown>[] => jsonLines(out) as Record<string, unknown>[];
  return {
    child,
    pid: child.pid ?? 0,
    uri: String(events().find(({ event }) => event === "export")?.["uri"]),
    events,
    errors: () => err,
    async end(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

/**
 * A connection to it, from which nothing was read. On a busy machine a crowd comes faster than any
 * server can accept; then the kernel says EAGAIN, and one tries again.
 */
export async function dial(server: RunningServer): Promise<Socket> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
    const socket = await attempt(server);
    if (socket !== undefined) return socket;
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function attempt(server: RunningServer): Promise<Socket | undefined> {
  const socket = connect(server.socket === "" ? { port: server.port } : { path: server.socket });
  return new Promise((resolve, reject) => {
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EAGAIN") resolve(undefined);
      else reject(error);
    });
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      onTestFinished(() => {
        socket.destroy();
      });
      resolve(socket);
    });
  });
}

/** Resident memory of a process in bytes, and how many descriptors it has open. */
export function usageOf(pid: number): { readonly resident: number; readonly descriptors: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, kib = "0"] = /VmRSS:\s+(\d+) kB/u.exec(status) ?? [];
  return { resident: Number(kib) * 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}
