/**
 * Mounts in a process of their own (`children/fuse-mount.ts`), and clients in theirs.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { probed } from "../judges/judge.ts";
import { childArguments } from "./child.ts";
import type { Order, Wish } from "./children/fuse-mount.ts";

const run = promisify(execFile);

/** Whether this machine lets us mount. */
export const fuseJudge = probed(
  () => process.geteuid?.() === 0 && existsSync("/dev/fuse"),
  "run as root, with /dev/fuse",
);

/** A new directory to mount on; nothing is mounted on it after the test. */
export function mountPlace(): string {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-fuse-"));
  onTestFinished(async () => {
    // Whatever a test that failed has left: a dead mount would stop all who look at it.
    if (isMountPoint(folder)) await run("umount", ["-i", "-l", folder]).catch(() => {});
    rmSync(folder, { recursive: true });
  });
  return folder;
}

export function isMountPoint(folder: string): boolean {
  return readFileSync("/proc/self/mounts", "utf8").includes(` ${folder} `);
}

/** Resolves when nothing is mounted there any more. */
export async function unmounted(folder: string): Promise<void> {
  while (isMountPoint(folder)) {
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What a shell script says; it has ten seconds, and what it started ends with it. */
export async function shell(script: string, ...args: string[]): Promise<string> {
  const limits = ["--signal=KILL", "10", "sh", "-c", script, "sh", ...args];
  const { stdout } = await run("timeout", limits);
  return stdout.trim();
}

/** See the module. */
export class MountingChild {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #waiting: ((line: string) => void) | undefined;

  /** @param before a program that runs Node, and its arguments */
  constructor(wish: Wish, before: readonly string[] = [], env: Record<string, string> = {}) {
    const words = [...before, process.execPath];
    const [program = "", ...args] = [
      ...words,
      ...childArguments("fuse-mount", JSON.stringify(wish)),
    ];
    this.#child = spawn(program, args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
      cwd: join(import.meta.dirname, "../.."),
    });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#lines.push(line);
      else waiting(line);
    });
    onTestFinished(() => void this.#child.kill("SIGKILL"));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The next outcome. */
  outcome(): Promise<string> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  obey(order: Order): Promise<string> {
    this.#child.stdin!.write(`${JSON.stringify(order)}\n`);
    return this.outcome();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
