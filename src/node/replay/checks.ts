/**
 * What looks at the states of a replayed disk.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockDevice } from "../../block/block-device.ts";
import {
  type DiskCheck,
  ObservedExplorer,
  type StopExplorer,
  WholeDiskExplorer,
} from "../../crash/block-explorer.ts";
import type { StopBudget } from "../../crash/stop-findings.ts";
import { BlockImage } from "../../crash/block-image.ts";
import { DiskMap } from "../../crash/disk-map.ts";
import { type DiskProgram, RecoveryExplorer } from "../../crash/block-recovery.ts";
import { ext } from "../../fs/ext/ext.ts";
import { type Environment, seededEnvironment } from "../../lib/environment.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { ReplayDisk } from "./disk.ts";
import type { ReplayCheck } from "./settings.ts";
import { StateFile } from "./state-file.ts";

/** Accesses to a disk that one run of our own check may make. */
const STEPS = 1_000_000_000;
/** What is kept of what a command says. */
const MOST_OUTPUT = 1 << 20;
const LONGEST_LINE = 200;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** An explorer, and what has to be removed after it. */
export interface OpenExplorer {
  readonly explorer: StopExplorer;
  /** Whether the check has nothing against a disk of zeros, so that it may check nothing. */
  passesEmpty(): boolean;
  close(): void;
}

/** @throws as mkdtemp(3) and open(2) */
export function openExplorer(
  disk: ReplayDisk,
  check: ReplayCheck,
  budget: Omit<StopBudget, "steps">,
): OpenExplorer {
  const limits = { ...budget, steps: STEPS };
  if (check.kind === "ext") {
    const { frontier, media } = disk;
    const look = extCheck(disk.device);
    const observed = new ObservedExplorer(frontier, limits, media.recorder, look);
    if (check.depth === 2 && !frontier.map.isWhole) throw tooLarge(frontier.map);
    const explorer = check.depth === 2 ? new RecoveryExplorer(observed, extProgram()) : observed;
    return { explorer, passesEmpty: () => false, close: () => {} };
  }
  const folder = mkdtempSync(join(tmpdir(), "daxkit-replay-"));
  const { image, map } = disk.frontier;
  const file = new StateFile(join(folder, "state.img"), image, map);
  const explorer = new WholeDiskExplorer(disk.frontier, limits, (mark) => {
    file.update();
    return commandSays(check, file.path, mark);
  });
  return {
    explorer,
    passesEmpty: () => passesEmpty(check, folder, map.size),
    close() {
      file.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Recovery may write where the log never did. */
function tooLarge({ size }: DiskMap): DaxError {
  const detail = `a disk of ${size} bytes; recovery is cut below 4 GiB: leave '--depth' out`;
  return new DaxError("EFBIG", { syscall: "replay", detail });
}

/** The end of ext2's time: a log may be of any day, and none of its times be in the future. */
const LATEST = { sec: 2 ** 32 - 1, nsec: 0 };

/** Free blocks and inodes of all groups: Linux and e2fsck -p sum them up when they open. */
const SUMMED_ANEW = "ext.super.free";

/** Mounts for writing, which recovers on the disk, and checks what that left. */
function extProgram(): DiskProgram {
  const environment: Environment = { ...seededEnvironment(1), clock: { now: () => LATEST } };
  let refused: string | undefined;
  return {
    recover(disk) {
      try {
        ext.mount(disk, { write: true }, environment);
      } catch (error) {
        if (isDaxError(error, "ENOTSUP")) refused ??= error.message;
        throw error;
      }
    },
    check: (disk) => firstError(disk, environment),
    get refused() {
      return refused;
    },
  };
}

function firstError(disk: BlockDevice, environment: Environment): string | undefined {
  for (const { severity, code, where, text } of ext.check(disk, environment)) {
    if (severity === "error" && code !== SUMMED_ANEW) return `${code}: ${where}: ${text}`;
  }
  return undefined;
}

/** Mounts in memory, journal and all, and checks; the first error says it. */
function extCheck(disk: BlockDevice): DiskCheck {
  const environment: Environment = { ...seededEnvironment(1), clock: { now: () => LATEST } };
  return () => firstError(disk, environment);
}

function passesEmpty(
  check: ReplayCheck & { kind: "command" },
  folder: string,
  size: number,
): boolean {
  const path = join(folder, "empty.img");
  const file = new StateFile(path, new BlockImage(new Uint8Array(0)), new DiskMap(size, []));
  try {
    file.update();
    return commandSays(check, path, undefined) === undefined;
  } finally {
    file.close();
    rmSync(path, { force: true });
  }
}

/** Runs the command on a file; what it has against it. @throws ENOENT for what is no command */
function commandSays(
  { line, seconds }: ReplayCheck & { kind: "command" },
  path: string,
  mark: string | undefined,
): string | undefined {
  const quoted = `'${path.replaceAll("'", String.raw`'\''`)}'`;
  // A group of its own, so that what the shell started ends with it.
  const group = { detached: true };
  const { pid, status, signal, stdout, stderr, error } = spawnSync(
    "/bin/sh",
    ["-c", line.replaceAll("{image}", quoted)],
    {
      ...group,
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
      timeout: seconds * 1000,
      killSignal: "SIGKILL",
      maxBuffer: MOST_OUTPUT,
      env: { ...process.env, DAXKIT_IMAGE: path, DAXKIT_MARK: mark ?? "" },
    },
  );
  const code = error === undefined ? undefined : codeOf(error);
  if (error !== undefined) endGroup(pid);
  if (code === "ETIMEDOUT") return `the check did not end within ${seconds} s`;
  // It said more than is kept, and was ended for it: whether it would have passed is not known.
  if (code === "ENOBUFS") return `the check printed more than ${MOST_OUTPUT} bytes`;
  if (status === 0) return undefined;
  const last = lastLine(stderr) ?? lastLine(stdout);
  const words = last === undefined ? "" : `: ${last}`;
  if (status === NOT_FOUND || status === NOT_EXECUTABLE || error !== undefined) {
    const detail = `the check cannot run${words}${error === undefined ? "" : `: ${error.message}`}`;
    throw new DaxError("ENOENT", { syscall: "check", path: line, detail });
  }
  return `${signal === null ? `exit status ${status}` : `ended by ${signal}`}${words}`;
}

function codeOf(error: Error): string | undefined {
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function endGroup(pid: number): void {
  try {
    if (pid > 0) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function lastLine(text: string): string | undefined {
  const line = text.trimEnd().split("\n").at(-1)?.trim();
  if (line === undefined || line === "") return undefined;
  return line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line;
}
