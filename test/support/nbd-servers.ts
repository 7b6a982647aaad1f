/**
 * Servers that are not ours, on unix sockets in scratch folders, ended with their test.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { formatNbdUri } from "../../src/nbd/uri.ts";
import { programs } from "../judges/judge.ts";

export const nbdkit = programs(["nbdkit"], "apt-get install nbdkit");
export const qemuNbd = programs(["qemu-nbd"], "apt-get install qemu-utils");

/** Waits, without an event loop, until something is there. */
function awaited(what: string, there: () => boolean): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 1000 && !there(); tries++) Atomics.wait(cell, 0, 0, 10);
  if (!there()) throw new Error(`${what} did not start`);
}

/**
 * Starts one. A socket's path is there before anybody listens; the file of the process id, which
 * both programs write afterwards, says that clients can connect.
 */
function started(
  program: string,
  args: (socket: string, pidFile: string) => readonly string[],
  name: string,
) {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-nbd-"));
  const socket = join(folder, "nbd.sock");
  const pidFile = join(folder, "pid");
  const child: ChildProcess = spawn(program, args(socket, pidFile), { stdio: "ignore" });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  awaited(program, () => (statSync(pidFile, { throwIfNoEntry: false })?.size ?? 0) > 0);
  return formatNbdUri({ kind: "unix", path: socket }, name);
}

/** Runs nbdkit until the test ends; the arguments are the plugin and its own. @returns its URI */
export function runNbdkit(...args: readonly string[]): string {
  return started("nbdkit", (socket, pid) => ["-f", "-P", pid, "-U", socket, ...args], "");
}

/** Runs qemu-nbd until the test ends, for any number of clients. @returns its URI */
export function runQemuNbd(file: string, ...args: readonly string[]): string {
  const options = ["-t", "-e", "8", "-f", "raw", "-x", "an export", ...args];
  return started(
    "qemu-nbd",
    (socket, pid) => [...options, `--pid-file=${pid}`, "-k", socket, file],
    "an export",
  );
}
