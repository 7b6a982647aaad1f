/**
 * Mounts of ordinary users: fusermount3, which is root's, mounts for them, and hands the connection
 * over through a socket (`_FUSE_COMMFD`, fusermount3(1)).
 *
 * @module
 */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { DaxError, type ErrnoCode } from "../../lib/errno.ts";
import { fusermountOptions, type MountServerOptions } from "./mount-options.ts";
import { DescriptorGate } from "./passed-descriptor.unsafe.ts";
import { tuneDescriptor } from "./fuse-calls.unsafe.ts";

const PROGRAM = "fusermount3";

/**
 * Where fusermount3 is; asked before a mount is made. Looking along PATH later, even for the system
 * to start a program, would wait for ourselves where PATH leads through the mount.
 * @throws ENOENT with the package to install
 */
export function findFusermount(): string {
  const folders = (process.env["PATH"] ?? "/usr/bin:/bin").split(":");
  const found = folders.map((folder) => join(folder, PROGRAM)).find(isProgram);
  if (found !== undefined) return found;
  throw new DaxError("ENOENT", {
    syscall: "spawn",
    path: PROGRAM,
    detail: "ordinary users mount through it; apt-get install fuse3, or mount as root",
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Mounts on `path` by `program`, which is fusermount3: the descriptor of the connection.
 * @throws ENODEV where the kernel has no FUSE, EACCES and EPERM where it refuses, with its words;
 * ENOTSUP where foreign calls cannot be made
 */
export async function fusermount(
  program: string,
  path: string,
  options: MountServerOptions,
): Promise<number> {
  const gate = new DescriptorGate();
  try {
    const words = await run(program, ["-o", fusermountOptions(options), "--", path], gate.theirs);
    const fd = gate.receive();
    if (words !== undefined || fd === undefined) {
      throw refused("mount", path, words ?? "it gave no descriptor");
    }
    tuneDescriptor(fd);
    return fd;
  } finally {
    gate.close();
  }
}

/** @throws EBUSY while it is in use, EPERM where it is somebody else's, with fusermount3's words */
export async function fuserUnmount(program: string, path: string, lazy: boolean): Promise<void> {
  const words = await run(program, ["-u", ...(lazy ? ["-z"] : []), "--", path]);
  if (words !== undefined) throw refused("umount", path, words);
}

/** Runs it to its end: undefined when it ended well, else what it said. */
function run(
  program: string,
  parameters: readonly string[],
  socket?: number,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const shell = spawn(program, parameters, {
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe", socket ?? "ignore"],
      // Its words are looked into for what went wrong.
      env: { ...process.env, LC_ALL: "C", ...(socket === undefined ? {} : { _FUSE_COMMFD: "3" }) },
    });
    const words: Buffer[] = [];
    shell.stderr!.on("data", (piece: Buffer) => words.push(piece));
    shell.on("error", (error: NodeJS.ErrnoException) => reject(missing(error)));
    shell.on("close", (status) => {
      const text = Buffer.concat(words).toString("utf8").trim();
      resolve(status === 0 ? undefined : text || `status ${status}`);
    });
  });
}

function missing({ code, message }: NodeJS.ErrnoException): DaxError {
  const known = code === "EACCES" || code === "ENOENT" || code === "EMFILE" || code === "ENOMEM";
  return new DaxError(known ? code : "EIO", { syscall: "spawn", path: PROGRAM, detail: message });
}

/** What its words mean, the first that fits. */
const MEANINGS: readonly (readonly [RegExp, ErrnoCode])[] = [
  [/device not found|No such device|modprobe/u, "ENODEV"],
  [/failed to open \/dev\/fuse|Permission denied|no write access|not owner/u, "EACCES"],
  [/busy/u, "EBUSY"],
  [/Invalid argument|not found in \/etc\/mtab|not mounted/u, "EINVAL"],
  [/too many FUSE filesystems/u, "ENFILE"],
  [/No such file/u, "ENOENT"],
];

function refused(syscall: string, path: string, words: string): DaxError {
  const code = MEANINGS.find(([pattern]) => pattern.test(words))?.[1] ?? "EPERM";
  const closed = /open \/dev\/fuse: Permission/u.test(words);
  const advice = closed ? "; the device is only root's here: chmod 666 /dev/fuse" : "";
  return new DaxError(code, { syscall, path, detail: words.split("\n").join("; ") + advice });
}
