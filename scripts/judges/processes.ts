/**
 * Programs that are run and waited for, one after the other, with all that they said.
 */
import { type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How a program ended. */
export interface Ended {
  /** Exit status; 128 and the signal's number, as a shell says it, when a signal ended it. */
  readonly status: number;
  /** Standard output and error, in the order in which they came. */
  readonly said: string;
  /** Standard output alone. */
  readonly output: string;
  readonly seconds: number;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** Seconds after which it is killed; 900 unless told. */
  readonly timeout?: number;
}

const LONGEST = 900;
/** What is shown of a program that failed. */
const SHOWN = 4000;
const KILLED = 137;

/** A judge's verdict that something is wrong: the message says what. */
export class Failure extends Error {}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  { cwd, env, input, timeout = LONGEST }: RunOptions = {},
): Promise<Ended> {
  const started = performance.now();
  const options: SpawnOptions = {
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: { ...process.env, LC_ALL: "C", ...env },
    // A group of its own, so that what it started ends with it.
    detached: true,
    ...(cwd === undefined ? {} : { cwd }),
  };
  const child = spawn(command, args, options);
  const said: Buffer[] = [];
  const output: Buffer[] = [];
  child.stdout?.on("data", (bytes: Buffer) => void (said.push(bytes), output.push(bytes)));
  child.stderr?.on("data", (bytes: Buffer) => void said.push(bytes));
  // A program that ends before it has read everything is no error of ours.
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  const clock = setTimeout(() => killGroup(child.pid), timeout * 1000);
  const status = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? KILLED : 128)));
  }).finally(() => clearTimeout(clock));
  return {
    status,
    said: Buffer.concat(said).toString("utf8"),
    output: Buffer.concat(output).toString("utf8"),
    seconds: (performance.now() - started) / 1000,
  };
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It ended just now.
  }
}

/** Runs a program that must end with status 0. */
export async function must(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const ended = await run(command, args, options);
  if (ended.status === 0) return ended;
  throw new Failure(
    `${[command, ...args].join(" ")}: status ${ended.status}\n${ended.said.slice(-SHOWN)}`,
  );
}

/** One after the other. */
export async function inOrder<T>(
  items: Iterable<T>,
  body: (item: T) => Promise<void>,
): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- that is the point
  for (const item of items) await body(item);
}

/** Waits until `done`, looking every 20 ms. */
export async function until(done: () => boolean, seconds: number, what: string): Promise<void> {
  const last = performance.now() + seconds * 1000;
  while (!done()) {
    if (performance.now() > last) throw new Failure(`${what}: not in ${seconds} s`);
    // oxlint-disable-next-line no-await-in-loop -- a poll
    await sleep(20);
  }
}

/** Where a program is, or undefined. */
export function which(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return [...folders, "/usr/sbin", "/sbin"]
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
