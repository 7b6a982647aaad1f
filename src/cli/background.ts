/**
 * Processes that stay in the background: each in its own session, and whoever started it hears what
 * it has to say at its start.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const SOURCES = import.meta.url.endsWith(".ts");
/** Where the sources run as they are, in tests, Node 20 needs a loader for them. */
const LOADER = SOURCES ? ["--import", "tsx"] : [];
const LONGEST_REPORT = 65_536;

/** What became of a process: what it said, or how it ended without a word. */
export type Started<R> = { readonly report: R } | { readonly silent: string };

/**
 * Starts module `name` of this folder with `job` as JSON in its only argument. Resolves with its
 * report, a line of JSON on descriptor 3, or when there will be none.
 */
export async function startInBackground<R>(name: string, job: unknown): Promise<Started<R>> {
  const body = new URL(`./${name}.${SOURCES ? "ts" : "js"}`, import.meta.url);
  const words = [...LOADER, fileURLToPath(body), JSON.stringify(job)];
  const child = spawn(process.execPath, words, {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const stop = (): void => void child.kill("SIGTERM");
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.once(signal, stop);
  try {
    return await reportOf(child);
  } finally {
    for (const signal of signals) process.off(signal, stop);
    child.unref();
  }
}

function reportOf<R>(child: ChildProcess): Promise<Started<R>> {
  const pipe = child.stdio[3] as Readable;
  return new Promise((resolve) => {
    let text = "";
    pipe.setEncoding("utf8");
    pipe.on("data", (piece: string) => {
      if (text.length < LONGEST_REPORT) text += piece;
      if (text.includes("\n")) pipe.destroy();
    });
    pipe.on("error", () => {});
    pipe.once("close", () =>
      resolve((decode(text) as Started<R> | undefined) ?? { silent: endOf(child) }),
    );
    child.once("error", (error) => {
      resolve({ silent: `it cannot be started: ${error.message}` });
    });
  });
}

function decode(text: string): { report: unknown } | undefined {
  try {
    return { report: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function endOf({ pid, signalCode, exitCode }: ChildProcess): string {
  const how = signalCode ?? exitCode;
  return `process ${pid} ended before it was ready${how === null ? "" : ` (${how})`}`;
}
