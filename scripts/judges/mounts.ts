/**
 * Ways to mount an image: by `daxkit mount`, and by what it is compared with.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { Failure, must, run, until } from "./processes.ts";

/** A mounted image. */
export interface Mounted {
  readonly folder: string;
  /** CPU seconds that the process behind it has used; undefined when that is the kernel. */
  cpuSeconds(): number | undefined;
  /** The process behind it. */
  readonly pid: number | undefined;
  /** Unmounts and waits until the image is nobody's. */
  unmount(): Promise<void>;
  /** For a mount that is beyond hope: detaches it and kills what stands behind. */
  abandon(): Promise<void>;
}

export type MountKind = "daxkit" | "fuse2fs" | "kernel";
export const MOUNT_KINDS: readonly MountKind[] = ["daxkit", "fuse2fs", "kernel"];

const OPTIONS = "allow_other,default_permissions";
/** This clone's command, or another one that is to be judged. */
const cli = process.env["DAXKIT_COMMAND"] ?? resolve(import.meta.dirname, "../../dist/cli/main.js");
/** Seconds until a mount is there, or gone: an image of gigabytes is flushed at the end. */
const PATIENCE = 120;
/** Of a clock tick in /proc/PID/stat. */
const TICK = 0.01;

/** The command in the foreground that serves `image` at `folder`. */
function serverOf(kind: MountKind, image: string, folder: string, options: string): string[] {
  const extra = options === "" ? "" : `,${options}`;
  if (kind === "fuse2fs") return ["fuse2fs", image, folder, "-f", "-o", `${OPTIONS}${extra}`];
  return [process.execPath, cli, "mount", image, folder, "-o", `${OPTIONS}${extra}`];
}

export function isMounted(folder: string): boolean {
  const path = resolve(folder);
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.some((line) => line.split(" ")[4] === path);
}

/** Mounts `image` at `folder`; what a server says goes to the file `log`. */
export async function mountAs(
  kind: MountKind,
  image: string,
  folder: string,
  log: string,
  options = "",
): Promise<Mounted> {
  if (kind === "kernel") return mountByKernel(image, folder, options);
  const [command = "", ...args] = serverOf(kind, image, folder, options);
  const said = openSync(log, "a");
  const child = spawn(command, args, { stdio: ["ignore", said, said], detached: true });
  closeSync(said);
  let ended = false;
  child.once("exit", () => (ended = true));
  child.once("error", () => (ended = true));
  await until(() => ended || isMounted(folder), PATIENCE, `mounting by ${kind}`);
  if (ended) throw new Failure(`${kind} did not mount:\n${readFileSync(log, "utf8")}`);
  return served(child, folder, () => ended);
}

function served(child: ChildProcess, folder: string, ended: () => boolean): Mounted {
  return {
    folder,
    pid: child.pid,
    cpuSeconds: () => (child.pid === undefined ? undefined : cpuOf(child.pid)),
    async unmount() {
      await unmountFolder(folder);
      await until(ended, PATIENCE, "the end of the process behind the mount");
      if (child.exitCode !== 0) {
        throw new Failure(`the process behind the mount ended with ${child.exitCode}`);
      }
    },
    async abandon() {
      if (isMounted(folder)) await run("umount", ["-l", folder], { timeout: 10 });
      child.kill("SIGKILL");
      await until(ended, PATIENCE, "the end of the process behind the mount");
    },
  };
}

/** Programs that were ended a moment ago may still hold it. */
async function unmountFolder(folder: string): Promise<void> {
  let said = "";
  for (let turn = 0; turn < 50; turn++) {
    // oxlint-disable-next-line no-await-in-loop -- until it is let go
    const ended = await run("umount", [folder], { timeout: PATIENCE });
    if (ended.status === 0) return;
    ({ said } = ended);
    if (!said.includes("busy")) break;
    // oxlint-disable-next-line no-await-in-loop -- a poll
    await must("sleep", ["0.1"]);
  }
  throw new Failure(`umount ${folder}: ${said}`);
}

async function mountByKernel(image: string, folder: string, options: string): Promise<Mounted> {
  await must("mount", ["-o", ["loop", options].filter(Boolean).join(), image, folder]);
  return {
    folder,
    pid: undefined,
    cpuSeconds: () => undefined,
    async unmount() {
      await unmountFolder(folder);
      await until(() => !isBehindLoop(image), PATIENCE, "the end of a loop device");
    },
    async abandon() {
      await run("umount", ["-l", folder], { timeout: 10 });
    },
  };
}

/**
 * Whether a loop device still has the image: whoever has just made a mount namespace of his own
 * has the mount there too, and its journal is not empty before he lets go of it.
 */
function isBehindLoop(image: string): boolean {
  const path = resolve(image);
  return readdirSync("/sys/block").some((name) => {
    try {
      return readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8").trimEnd() === path;
    } catch {
      return false;
    }
  });
}

/** User and system time of a process and its ended children. */
function cpuOf(pid: number): number | undefined {
  try {
    const text = readFileSync(join("/proc", String(pid), "stat"), "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  } catch {
    return undefined;
  }
}
