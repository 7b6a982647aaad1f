/**
 * A mount in the background: a process of its own serves it, in its own session, and whoever
 * started it hears when it can be used, or why it cannot.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { MountPlan } from "./mount-serve.ts";

/** What the process is told, as JSON in its only argument. */
export interface BackgroundJob extends MountPlan {
  /** A file for what goes wrong later; the system's log unless given. */
  readonly log: string | undefined;
}

/** What it says of itself, as a line of JSON on descriptor 3. */
export type BackgroundReport =
  | { readonly mounted: true; readonly directory: string; readonly pid: number }
  | { readonly mounted: false; readonly code: string | undefined; readonly text: string };

const SOURCES = import.meta.url.endsWith(".ts");
const BODY = new URL(SOURCES ? "./mount-child.ts" : "./mount-child.js", import.meta.url);
/** Where the sources run as they are, in tests, Node 20 needs a loader for them. */
const LOADER = SOURCES ? ["--import", "tsx"] : [];
const LONGEST_REPORT = 65_536;

/** Mounts in the background; resolves when it can be used, or will never be. */
export async function mountInBackground(job: BackgroundJob): Promise<BackgroundReport> {
  const words = [...LOADER, fileURLToPath(BODY), JSON.stringify(job)];
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

function reportOf(child: ChildProcess): Promise<BackgroundReport> {
  const pipe = child.stdio[3] as Readable;
  return new Promise((resolve) => {
    let text = "";
    pipe.setEncoding("utf8");
    pipe.on("data", (piece: string) => {
      if (text.length < LONGEST_REPORT) text += piece;
      if (text.includes("\n")) pipe.destroy();
    });
    pipe.on("error", () => {});
    pipe.once("close", () => resolve(decode(text) ?? silent(child)));
    child.once("error", (error) => {
      resolve({ mounted: false, code: undefined, text: `it cannot be started: ${error.message}` });
    });
  });
}

function decode(text: string): BackgroundReport | undefined {
  try {
    return JSON.parse(text) as BackgroundReport;
  } catch {
    return undefined;
  }
}

function silent({ pid, signalCode, exitCode }: ChildProcess): BackgroundReport {
  const how = signalCode ?? exitCode;
  const text = `process ${pid} ended before it was mounted${how === null ? "" : ` (${how})`}`;
  return { mounted: false, code: undefined, text };
}
