/**
 * The built command, as a user runs it. `npm test` builds before it tests.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

export const REPOSITORY = join(import.meta.dirname, "..", "..");
export const MAIN = join(REPOSITORY, "dist", "cli", "main.js");

/** How a run ended. */
export interface Ended {
  readonly status: number | null;
  /** One character a byte. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `daxkit` to its end. */
export function daxkit(args: readonly string[], options: RunOptions = {}): Ended {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [MAIN, ...args], {
    cwd: options.cwd ?? REPOSITORY,
    env: { ...process.env, TZ: "UTC", ...options.env },
    encoding: "latin1",
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** The lines of JSON that a run printed. */
export function jsonLines(text: string): unknown[] {
  const lines = Buffer.from(text, "latin1").toString("utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as unknown);
}

/** Runs a line of shell in which `daxkit` is the command. */
export function shell(line: string, cwd: string): Ended {
  const program = `set -o pipefail\ndaxkit() { ${process.execPath} ${MAIN} "$@"; }\n${line}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", program], {
    cwd,
    encoding: "latin1",
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}
