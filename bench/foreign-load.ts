/**
 * How much of the processors others took while something was measured: what `/proc/stat` counts for
 * the whole machine, less what this process, its children and the servers it started used. On a
 * shared machine a disturbed sample can then be told from a slow one.
 */
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const TICKS_PER_SECOND = 100;
/** How long the machine is looked at to see whether it is quiet. */
const LOOK_MS = 100;
/** The number of the process whose children are the kernel's threads. */
const KTHREADD = "2";

/** Processor time of a process that runs, in seconds. */
export function processorSeconds(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** What follows the name in `/proc/PID/stat`; the name may hold anything. */
function statOf(pid: number | "self"): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(") ") + 2).split(" ");
}

/** Of the kernel's own threads, in seconds: what it does later, or for nobody in particular. */
export function kernelThreadSeconds(): number {
  let ticks = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/u.test(pid)) continue;
    try {
      const fields = statOf(Number(pid));
      if (fields[1] === KTHREADD || pid === KTHREADD) ticks += Number(fields[12]);
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks / TICKS_PER_SECOND;
}

/** Of the children of this process that it waited for, in seconds. */
export function childrenSeconds(): number {
  const fields = statOf("self");
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** Of this process and of the children that it waited for, in seconds. */
function ownSeconds(): number {
  const fields = statOf("self");
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  return ticks / TICKS_PER_SECOND;
}

/** Of the whole machine, and what a hypervisor took from it, in seconds. */
function busySeconds(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1);
  const parts = [user, nice, system, irq, softirq, steal];
  return parts.reduce((sum, part) => sum + Number(part ?? 0), 0) / TICKS_PER_SECOND;
}

/** Begins to watch; the result says how many processors others kept busy since then. */
export function watchForeign(servers: readonly number[]): () => number {
  const ours = () => servers.reduce((sum, pid) => sum + processorSeconds(pid), ownSeconds());
  const began = performance.now();
  const before = busySeconds() - ours();
  return () => {
    const seconds = (performance.now() - began) / 1000;
    return Math.max(0, (busySeconds() - ours() - before) / seconds);
  };
}

/** Waits until others keep less than `most` processors busy, `patienceMs` at most. */
export async function awaitQuiet(most: number, patienceMs: number): Promise<void> {
  const until = performance.now() + patienceMs;
  while (performance.now() < until) {
    const foreign = watchForeign([]);
    // Looked at again and again until it is quiet.
    // oxlint-disable-next-line no-await-in-loop
    await sleep(LOOK_MS);
    if (foreign() < most) return;
  }
}
