/**
 * Runs a program that nobody changed, in a process of its own, on a volume.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { JOB_VARIABLE, type ProgramJob } from "./program-job.ts";
import { type Entry, decodeEntries, encodeEntry } from "./record.ts";

/** A program and its words. */
export interface Program {
  readonly script: string;
  readonly args: readonly string[];
}

/** How it is run. */
export interface RunOptions extends Omit<ProgramJob, "record" | "setup"> {
  /** What a program before it did. */
  readonly setup?: readonly Entry[];
  /** Seconds. */
  readonly patience: number;
  /** Hears what the program prints. */
  readonly printed?: (text: string) => void;
}

/** What a program did, and how it ended. */
export interface ProgramRun {
  readonly entries: readonly Entry[];
  /** Why it counts for nothing; undefined: it ended well. */
  readonly failure: string | undefined;
  /** It was ended because its time was up. */
  readonly late: boolean;
}

const PRELOAD = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/node/program/preload.js" : "./preload.js",
  import.meta.url,
);
/** Characters of what it prints that are kept for the report of a failure. */
const MOST_TAIL = 2000;
/** Seconds between the request to end and the end. */
const GRACE = 2;

/** Runs it to its end. @throws what `fs` throws, EINVAL and EFBIG for a record that is none */
export async function runProgram(program: Program, options: RunOptions): Promise<ProgramRun> {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-program-"));
  try {
    const record = join(folder, "record");
    writeFileSync(record, "");
    const { setup, patience, printed, ...told } = options;
    const job: ProgramJob = {
      ...told,
      record,
      ...(setup === undefined ? {} : { setup: writeRecord(join(folder, "setup"), setup) }),
    };
    const how = await ended(program, job, patience, printed);
    return { entries: decodeEntries(readFileSync(record)), ...how };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeRecord(path: string, entries: readonly Entry[]): string {
  writeFileSync(path, Buffer.concat(entries.map(encodeEntry)));
  return path;
}

/** How it ended, in words; undefined: well. */
function ended(
  { script, args }: Program,
  job: ProgramJob,
  patience: number,
  printed: (text: string) => void = () => undefined,
): Promise<Omit<ProgramRun, "entries">> {
  const words = ["--import", PRELOAD.href, script, ...args];
  const child = spawn(process.execPath, words, {
    stdio: ["inherit", "pipe", "pipe"],
    env: { ...process.env, [JOB_VARIABLE]: JSON.stringify(job) },
  });
  let tail = "";
  child.stdout.setEncoding("utf8").on("data", printed);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    tail = (tail + text).slice(-MOST_TAIL);
    printed(text);
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), GRACE * 1000).unref();
  }, patience * 1000);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      const end = (failure: string | undefined): void => resolve({ failure, late });
      if (late) end(`it did not end within ${patience} s; give --patience if it needs longer`);
      else if (signal !== null) end(`it was ended by ${signal}`);
      else end(status === 0 ? undefined : whyStatus(status ?? 0, tail, script));
    });
  });
}

/** An error in the words of the program, if it said one. */
function whyStatus(status: number, tail: string, script: string): string {
  const said = tail
    .split("\n")
    .find((line) => /^(?:Uncaught )?\w*(?:Error|EXCEPTION)\b.*:/u.test(line));
  const name = script.startsWith("file:") ? fileURLToPath(script) : script;
  const why = said ?? tail.trim().split("\n").at(-1) ?? "";
  return `${name} ended with status ${status}${why === "" ? "" : `: ${why.trim()}`}`;
}
