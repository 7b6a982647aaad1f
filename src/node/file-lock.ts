/**
 * One writer for each file: an exclusive `flock`, as systemd and util-linux take it on images and
 * block devices. It belongs to the open file, so it ends with the process, however that ends.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, fstatSync, realpathSync, statSync } from "node:fs";
import { DaxError } from "../lib/errno.ts";
import { namesIn, processNumbers, textOf } from "./processes.ts";
import { libc, LOCK_EX, LOCK_NB, LOCK_UN, whyNoLibc } from "./libc.unsafe.ts";
import { systemError } from "./system-error.ts";

const EAGAIN = 11;

/**
 * Takes the file behind `fd` for writing; `closeUnlocked` gives it back.
 * @throws EBUSY naming the holder where it can be known, ENOTSUP where no lock can be taken
 */
export function lockExclusively(fd: number, path: string): void {
  const c = libc();
  if (c === undefined) {
    lockByCommand(fd, path);
    return;
  }
  if (c.flock(fd, LOCK_EX | LOCK_NB) === 0) return;
  const errno = c.errno();
  if (errno === EAGAIN) throw busy(fd, path);
  throw systemError(errno, {
    syscall: "flock",
    path,
    detail: "open with lock: false to do without",
  });
}

/**
 * Closes `fd` and gives its lock back. Closing alone may not: a child that is just being started
 * shares the open file until it runs its own program, and the lock with it.
 */
export function closeUnlocked(fd: number): void {
  libc()?.flock(fd, LOCK_UN);
  closeSync(fd);
}

/**
 * Without foreign calls a child takes the lock: it inherits the open file, to which the lock
 * belongs, so the lock stays when the child is gone. It is how shell scripts lock.
 */
function lockByCommand(fd: number, path: string): void {
  const { error, status } = spawnSync("flock", ["-x", "-n", "3"], {
    stdio: ["ignore", "ignore", "ignore", fd],
  });
  if (status === 0) return;
  if (status === 1) throw busy(fd, path);
  throw new DaxError("ENOTSUP", {
    syscall: "flock",
    path,
    detail:
      `${error?.message ?? `the flock command says ${status}`}; ` +
      `install koffi (${whyNoLibc()}) or util-linux, open it for reading only, or with lock: false`,
  });
}

function busy(fd: number, path: string): DaxError {
  const holder = lockHolder(fstatSync(fd, { bigint: true }).ino);
  const who = holder ?? "another process";
  return new DaxError("EBUSY", {
    syscall: "flock",
    path,
    detail: `${who} writes to it; close that first, or open it for reading only`,
  });
}

/** Who has a block device, as far as it can be known: a mount, or a writer like us. */
export function claimOn(path: string): string | undefined {
  const writer = lockHolder(statSync(path, { bigint: true }).ino);
  if (writer !== undefined) return `${writer} writes to it`;
  const device = realpathSync(path);
  const mount = textOf("/proc/mounts")
    .split("\n")
    .map((line) => line.split(" "))
    .find(([source]) => source === device);
  return mount === undefined ? undefined : `mounted on ${mount[1]}`;
}

/** The error for a block device that refuses O_EXCL; `claim` is undefined where nobody knows. */
export function deviceBusy(path: string, claim: string | undefined): DaxError {
  const who = claim ?? "it is mounted elsewhere, or part of another device";
  return new DaxError("EBUSY", {
    syscall: "open",
    path,
    detail: `${who}; end that, or open it for reading only`,
  });
}

/** `pid 12 (node server.js)`; undefined where /proc does not tell. */
function lockHolder(ino: bigint): string | undefined {
  const noted = holderOf(textOf("/proc/locks"), ino);
  // A lock outlives the process that took it when another one has the same open file.
  const pid = noted === undefined || existsSync(`/proc/${noted}`) ? noted : heirOf(ino);
  if (pid === undefined) return undefined;
  if (pid === process.pid) return `this process (pid ${pid})`;
  const command = textOf(`/proc/${pid}/cmdline`).split("\0").join(" ").trim().slice(0, 120);
  return `pid ${pid}${command === "" ? "" : ` (${command})`}`;
}

/**
 * Who holds the `flock` on inode `ino`, by the lines of /proc/locks. The device is not compared:
 * btrfs and overlayfs print another one than `stat` does. Two candidates are none.
 */
export function holderOf(locks: string, ino: bigint): number | undefined {
  const pids = new Set<number>();
  for (const line of locks.split("\n")) {
    const fields = /\d+: FLOCK +\S+ +WRITE (\d+) \S+:(\d+) /u.exec(line);
    if (fields !== null && BigInt(fields[2]!) === ino) pids.add(Number(fields[1]));
  }
  const [pid] = pids;
  return pids.size === 1 && pid !== 0 ? pid : undefined;
}

/** The process that has a file open to which the lock belongs, by what each says of its files. */
function heirOf(ino: bigint): number | undefined {
  for (const pid of processNumbers()) {
    for (const fd of namesIn(`/proc/${pid}/fdinfo`)) {
      if (holderOf(textOf(`/proc/${pid}/fdinfo/${fd}`), ino) !== undefined) return pid;
    }
  }
  return undefined;
}
