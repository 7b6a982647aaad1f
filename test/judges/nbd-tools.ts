/** Clients of NBD that are not ours, and a folder that they work in. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect } from "vitest";
import { type RunningServer, startServer, testFolder } from "../support/nbd-server.ts";
import { probed, programs } from "./judge.ts";

export const libnbd = programs(["nbdinfo", "nbdcopy"], "apt-get install libnbd-bin");
export const qemu = programs(["qemu-img", "qemu-io"], "apt-get install qemu-utils");
export const fio = programs(["fio"], "apt-get install fio");
export const nbdsh = probed(
  () => spawnSync("/usr/bin/python3", ["-c", "import nbd"]).status === 0,
  "apt-get install python3-libnbd",
);
export const fuse = programs(["nbdfuse"], "apt-get install libnbd-bin");
/** A container may lack what a mount needs, and nothing that can be installed helps. */
export const mounts = existsSync("/dev/fuse") && mayMount();
export const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
export const gnutls = programs(["psktool", "certtool"], "apt-get install gnutls-bin");

export const MIB = 1 << 20;

/** The folder of the test that runs. */
export let cwd = "";

/** Gives each test of a file a folder of its own. */
export function eachInAFolder(): void {
  beforeEach(() => {
    cwd = testFolder();
  });
}

/** Whether this process has CAP_SYS_ADMIN. */
function mayMount(): boolean {
  const [, mask = "0"] = /CapEff:\s*([0-9a-f]+)/u.exec(readFileSync("/proc/self/status", "utf8"))!;
  return ((BigInt(`0x${mask}`) >> 21n) & 1n) === 1n;
}

/** Runs a program, and shows what it said when it fails. */
export function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  expect(`${program} ${status}: ${stderr}${stdout}`).toBe(`${program} 0: ${stderr}${stdout}`);
  return stdout;
}

export function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

export async function serve(image: string, ...args: string[]): Promise<RunningServer> {
  return startServer(["-U", join(cwd, "s"), ...args, image]);
}

/** 1 MiB of data from 3 MiB on, in a file that is a hole elsewhere. */
export function sparseImage(bytes = 16 * MIB): string {
  const path = join(cwd, "sparse.img");
  writeFileSync(path, Buffer.concat([Buffer.alloc(3 * MIB), Buffer.alloc(MIB, "data")]));
  truncateSync(path, bytes);
  const disk = readFileSync(path);
  writeFileSync(path, "");
  truncateSync(path, bytes);
  execFileSync("dd", ["of=sparse.img", "bs=1M", "seek=3", "conv=notrunc", "status=none"], {
    cwd,
    input: disk.subarray(3 * MIB, 4 * MIB),
  });
  return path;
}
