/**
 * Commands of somebody else that work on a mount of this process: they are started so that nobody
 * waits for himself, and end with all that they started.
 *
 * @module
 */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { fstatSync, readSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { processNumbers, textOf } from "../../processes.ts";

/** How long what a command has started may need to end. */
const GRACE_MS = 2000;
const RETRY_MS = 20;

/** How a command ended. */
export interface CommandEnd {
  /** As a shell says it: 128 and the number of the signal for one that was killed. */
  readonly status: number;
  readonly signal: string | undefined;
  /** It was ended because its time was up. */
  readonly late: boolean;
}

/** How a command is started. */
export interface CommandOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly stdio: StdioOptions;
  /** Seconds. */
  readonly patience: number;
}

/**
 * The shell is started by its place and looks for the command itself: whoever looks for it on a
 * mount that this process answers for must not be this process.
 */
const START = 'cd -- "$1" && shift && exec "$@"';

/** See the module. */
export class ForeignCommand {
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess;

  constructor(words: readonly string[], { environment, stdio, patience }: CommandOptions) {
    this.#child = spawn("/bin/sh", ["-c", START, "sh", process.cwd(), ...words], {
      // Whoever buffers what it prints promises late.
      env: { PYTHONUNBUFFERED: "1", ...process.env, ...environment },
      stdio,
      // A group of its own, to be ended as a whole.
      detached: true,
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.kill();
    }, patience * 1000);
    this.ended = new Promise((resolve) => {
      const end = (status: number, signal: string | undefined): void => {
        clearTimeout(timer);
        resolve({ status, signal, late });
      };
      this.#child.once("error", () => end(126, undefined));
      this.#child.once("exit", (status, signal) => {
        const number = signal === null ? 0 : constants.signals[signal];
        end(status ?? 128 + number, signal ?? undefined);
      });
    });
  }

  /**
   * Waits for what it started and has not ended, as far as they stayed with it: whoever comes late
   * to a mount that is gone would write on what it had hidden. What still runs, in words.
   */
  async rest(): Promise<string | undefined> {
    const until = performance.now() + GRACE_MS;
    for (;;) {
      const left = this.#left();
      if (left.length === 0) return undefined;
      if (performance.now() > until) {
        return `${left.join(", ")} ${left.length > 1 ? "still run" : "still runs"}`;
      }
      // oxlint-disable-next-line no-await-in-loop
      await delay(RETRY_MS);
    }
  }

  #left(): string[] {
    const { pid } = this.#child;
    if (pid === undefined || !isGroup(pid)) return [];
    return processes()
      .filter(({ group, state }) => group === pid && state !== "Z")
      .map(({ name, number }) => `${name} (${number})`);
  }

  /** Ends it and all that it started, as far as they stayed with it. */
  kill(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // They have ended.
    }
  }
}

function isGroup(pid: number): boolean {
  try {
    return process.kill(-pid, 0);
  } catch {
    return false;
  }
}

/** One line of /proc, as far as it is of use. */
interface ProcessLine {
  readonly number: number;
  readonly name: string;
  readonly state: string;
  readonly group: number;
}

/** proc_pid_stat(5): the name stands in parentheses and may hold any. */
const STAT = /^(\d+) \((.*)\) (\S) \d+ (\d+) /su;

function processes(): ProcessLine[] {
  return processNumbers().flatMap((pid) => {
    const match = STAT.exec(textOf(`/proc/${pid}/stat`));
    if (match === null) return [];
    const [, number, name = "", state = "", group] = match;
    return [{ number: Number(number), name, state, group: Number(group) }];
  });
}

/** Characters of output that are shown. */
const MOST_SHOWN = 2000;

/** The end of what a program printed into a file. */
export function tailOf(fd: number): string {
  const { size } = fstatSync(fd);
  const length = Math.min(size, MOST_SHOWN);
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes, 0, length, size - length);
  return bytes.toString("utf8").trim();
}

/** In words, for who hears that it failed. */
export function endInWords({ status, signal }: CommandEnd): string {
  return signal === undefined ? `it ended with status ${status}` : `${signal} ended it`;
}
