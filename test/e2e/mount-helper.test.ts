/**
 * mount(8), umount(8) and fstab with our helpers, which stand in /sbin while this runs; mounts of
 * ordinary users; and what mount.fuse3 does for lack of a helper.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { programs, probed } from "../judges/judge.ts";
import { MAIN, REPOSITORY, daxkit } from "../support/daxkit.ts";
import { complaintsOf, fuseMounts, mountPlace, mountsBelow } from "../support/mounting.ts";

const PLACE = "/sbin";
const HELPERS = { "mount.fuse.daxkit": "mount-main.js", "umount.fuse.daxkit": "umount-main.js" };
const USER = 65_534;

function canPutHelpers(): boolean {
  try {
    accessSync(PLACE, constants.W_OK);
    return spawnSync("mount", ["-V"], { encoding: "utf8" }).stdout.includes("libmount");
  } catch {
    return false;
  }
}
const tools = programs(["e2fsck"], "apt-get install e2fsprogs");
const mounts = tools.missing ? tools : fuseMounts();
const judge = mounts.missing
  ? mounts
  : probed(canPutHelpers, "run as root, with mount of util-linux");

const ours: string[] = [];

/** Seconds after which a helper is one that a test left behind. */
const OLD = 170;

function isInUse(path: string): boolean {
  const file = statSync(path, { throwIfNoEntry: false });
  return file !== undefined && Date.now() - file.mtimeMs < OLD * 1000;
}

/** Another run of these tests may have its own there: then this one waits. */
async function putHelpers(): Promise<void> {
  for (const [name, program] of Object.entries(HELPERS)) {
    const path = join(PLACE, name);
    // oxlint-disable-next-line no-await-in-loop -- one place
    while (isInUse(path)) await delay(200);
    rmSync(path, { force: true });
    const line = `exec ${process.execPath} ${join(REPOSITORY, "dist/cli", program)} "$@"`;
    writeFileSync(path, `#!/bin/sh\n${line}\n`, { mode: 0o755, flag: "wx" });
    ours.push(path);
  }
}

beforeAll(async () => {
  if (!judge.missing) await putHelpers();
});
afterAll(() => {
  for (const path of ours) rmSync(path, { force: true });
});

function run(program: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  return { status, said: stdout + stderr };
}
const WELL = { status: 0, said: "" };

/** The options that the kernel says a mount has. */
function optionsAt(directory: string): string[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const [, , , options = ""] = lines.find((line) => line.includes(` ${directory} `))!.split(" ");
  return options.split(",");
}

describe.skipIf(judge.missing)(`mount -t fuse.daxkit${judge.hint}`, () => {
  test("mounts, and umount waits until the image is closed", () => {
    const { image, directory } = mountPlace();
    const list = "noatime,nosuid,commit=9,dax=never,nofail";
    expect(run("mount", "-t", "fuse.daxkit", image, directory, "-o", list)).toEqual(WELL);
    expect(optionsAt(directory)).toEqual(expect.arrayContaining(["rw", "nosuid", "noatime"]));
    for (let i = 0; i < 300; i++) writeFileSync(join(directory, `f${i}`), `${i}`);
    expect(run("umount", directory)).toEqual(WELL);
    expect(complaintsOf(image)).toBe("");
  });

  test("covers a directory that is not empty, as mount(8) does", () => {
    const { image, directory } = mountPlace();
    writeFileSync(join(directory, "under"), "");
    expect(run("mount", "-t", "fuse.daxkit", image, directory)).toEqual(WELL);
    expect(existsSync(join(directory, "under"))).toBe(false);
    expect(run("umount", image)).toEqual(WELL);
    expect(existsSync(join(directory, "under"))).toBe(true);
  });

  test("by a line of fstab", () => {
    const { image, directory, folder } = mountPlace();
    const fstab = join(folder, "fstab");
    const list = "defaults,ro,noauto,user,exec,comment=mine,_netdev";
    writeFileSync(fstab, `${image} ${directory} fuse.daxkit ${list} 0 0\n`);
    expect(run("mount", "-T", fstab, directory)).toEqual(WELL);
    const options = optionsAt(directory);
    expect(options).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev"]));
    expect(options).not.toContain("noexec");
    expect(run("umount", directory)).toEqual(WELL);
    const env = { ...process.env, LIBMOUNT_FSTAB: fstab };
    expect(spawnSync("mount", [image], { env }).status).toBe(0);
    expect(mountsBelow(folder)).toEqual([directory]);
    expect(run("umount", directory)).toEqual(WELL);
  });

  test("with an offset mounts through a loop device, which goes with it", () => {
    const { image, directory, folder } = mountPlace();
    const disk = join(folder, "whole.img");
    writeFileSync(disk, Buffer.concat([Buffer.alloc(2 ** 20), readFileSync(image)]));
    const on = run("mount", "-t", "fuse.daxkit", "-o", "offset=1048576", disk, directory);
    expect(on).toEqual(WELL);
    writeFileSync(join(directory, "file"), "x");
    expect(run("umount", directory)).toEqual(WELL);
    expect(daxkit(["cat", "--offset", "1048576", `${disk}:/file`]).stdout).toBe("x");
  });

  test("is changed by remount as far as the kernel changes it alone", () => {
    const { image, directory } = mountPlace();
    expect(run("mount", "-t", "fuse.daxkit", image, directory)).toEqual(WELL);
    expect(run("mount", "-o", "remount,ro", directory)).toEqual(WELL);
    expect(optionsAt(directory)).toContain("ro");
    expect(run("touch", join(directory, "x")).said).toMatch(/Read-only/u);
    const more = run("mount", "-o", "remount,rw,commit=3", directory);
    expect(more.status).toBe(0);
    expect(more.said).toMatch(/commit=3: as it was mounted/u);
    expect(run("touch", join(directory, "x"))).toEqual(WELL);
    expect(run("umount", directory)).toEqual(WELL);
    expect(complaintsOf(image)).toBe("");
  });

  test("-f mounts nothing, -s ignores what is not known", () => {
    const { image, directory, folder } = mountPlace();
    const on = (...words: string[]) =>
      run("mount", "-t", "fuse.daxkit", ...words, image, directory);
    expect(on("-f")).toEqual(WELL);
    expect(mountsBelow(folder)).toEqual([]);
    const bogus = on("-o", "bogus");
    expect(bogus.status).toBe(32);
    expect(bogus.said).toMatch(/^mount\.fuse\.daxkit: EINVAL: .*"bogus" is unknown/u);
    expect(on("-s", "-o", "bogus")).toEqual(WELL);
    expect(run("umount", directory)).toEqual(WELL);
    expect(on("-v", "-n", "-o", "nofail,ro").said).toContain("without effect: nofail");
    expect(run("umount", directory)).toEqual(WELL);
  });

  test("that fails, and umount of what is in use, say why, with mount's status", () => {
    const { image, directory, folder } = mountPlace();
    const gone = run("mount", "-t", "fuse.daxkit", join(folder, "gone"), directory);
    expect(gone.status).toBe(32);
    expect(gone.said).toMatch(/^mount\.fuse\.daxkit: ENOENT: /u);
    expect(run("mount", "-t", "fuse.daxkit", image, directory)).toEqual(WELL);
    const user = spawn("sleep", ["1000"], { cwd: directory });
    const busy = run("umount", directory);
    expect(busy.status).toBe(32);
    expect(busy.said).toMatch(new RegExp(`EBUSY.*in use by pid ${user.pid} `, "u"));
    expect(run("umount", "-l", directory)).toEqual(WELL);
    user.kill();
  });

  test("in another mount namespace", () => {
    const { image, directory, folder } = mountPlace();
    const other = spawn("unshare", ["-m", "sleep", "1000"]);
    const pid = String(other.pid);
    const here = readFileSync("/proc/self/mountinfo", "utf8");
    try {
      const own = () => run("readlink", `/proc/${pid}/ns/mnt`).said;
      while (own() === run("readlink", "/proc/self/ns/mnt").said) spawnSync("sleep", ["0.05"]);
      expect(run("mount.fuse.daxkit", image, directory, "-nN", pid, "-o", "ro")).toEqual(WELL);
      expect(mountsBelow(folder)).toEqual([]);
      expect(run("nsenter", "-m", "-t", pid, "ls", directory).said).toBe("lost+found\n");
      expect(run("umount.fuse.daxkit", directory, "-N", pid)).toEqual(WELL);
      expect(here).not.toContain(directory);
    } finally {
      other.kill("SIGKILL");
    }
  });

  test("helpers say how they are called", () => {
    expect(run("mount.fuse.daxkit").status).toBe(1);
    expect(run("mount.fuse.daxkit", "a", "b", "-q")).toEqual({
      status: 1,
      said: "mount.fuse.daxkit: usage: unknown option '-q'\n",
    });
    expect(run("mount.fuse.daxkit", "a", "b", "-o").said).toMatch(/value of '-o' is missing/u);
    expect(run("umount.fuse.daxkit", "/nowhere/here").said).toMatch(/EINVAL.*nothing is mounted/u);
    expect(run("umount.fuse.daxkit").status).toBe(1);
  });
});

describe.skipIf(mounts.missing)(`without a helper${mounts.hint}`, () => {
  test("mount.fuse3 runs the command with the line of a mount", () => {
    const { image, directory } = mountPlace();
    const node = [MAIN, image, directory, "-o", "ro,dev,suid"];
    expect(run(process.execPath, ...node)).toEqual(WELL);
    expect(optionsAt(directory)).toContain("ro");
    expect(daxkit(["umount", directory]).status).toBe(0);
    const wrong = run(process.execPath, MAIN, image, directory, "-o", "bogus");
    expect(wrong.status).toBe(32);
    expect(wrong.said).toMatch(/"bogus" is unknown/u);
  });
});

function canBeSomebody(): boolean {
  const words = ["-m", "setpriv", "--reuid=65534", "--clear-groups", "true"];
  return spawnSync("unshare", words).status === 0;
}
const users = mounts.missing
  ? mounts
  : probed(canBeSomebody, "run as root, with unshare and setpriv of util-linux");

describe.skipIf(users.missing)(`an ordinary user${users.hint}`, () => {
  let space: ChildProcess;

  /** In a mount namespace of their own, where everybody may open /dev/fuse. */
  beforeAll(async () => {
    const script = `d=$(mktemp -d) && mknod -m 666 "$d/fuse" c 10 229 && \
mount --bind "$d/fuse" /dev/fuse && rm -r "$d" && echo ready && exec sleep 1000`;
    space = spawn("unshare", ["-m", "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(space.stdout!, "data");
  });
  afterAll(() => void space.kill("SIGKILL"));

  function inside(...words: string[]) {
    return run("nsenter", "-m", "-t", String(space.pid), ...words);
  }

  function asUser(...words: string[]) {
    const ids = [`--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
    return inside("setpriv", ...ids, "--", "env", "-u", "XDG_RUNTIME_DIR", ...words);
  }

  const command = [process.execPath, MAIN];

  test("mounts what is his on what is his, for himself", () => {
    const { image, directory, folder } = mountPlace();
    chmodSync(folder, 0o755);
    chownSync(image, USER, USER);
    chownSync(directory, USER, USER);
    // Modes count on a mount, whoever holds the image: what is in a fresh one is root's.
    expect(daxkit(["chmod", "777", `${image}:/`]).status).toBe(0);
    expect(asUser(...command, "mount", "-b", image, directory)).toEqual(WELL);
    const line = inside("grep", ` ${directory} `, "/proc/self/mounts").said;
    expect(line).toMatch(/fuse\.daxkit \S*nosuid,nodev,\S*user_id=65534/u);
    const script = `echo mine > ${directory}/file && cat ${directory}/file`;
    expect(asUser("sh", "-c", script)).toEqual({ status: 0, said: "mine\n" });
    expect(inside("ls", directory).said).toMatch(/Permission denied/u);
    expect(asUser(...command, "mount").said).toContain(`${image} on ${directory} type fuse.daxkit`);
    expect(asUser(...command, "umount", directory)).toEqual(WELL);
    expect(complaintsOf(image)).toBe("");
  });

  test("does not unmount what is root's", () => {
    const { image, directory, folder } = mountPlace();
    chmodSync(folder, 0o755);
    expect(inside(...command, "mount", "-b", image, directory)).toEqual(WELL);
    const { status, said } = asUser(...command, "umount", directory);
    expect(status).toBe(1);
    expect(said).toMatch(/^daxkit umount: E(?:PERM|ACCES|INVAL): /u);
    expect(inside(...command, "umount", directory)).toEqual(WELL);
    expect(complaintsOf(image)).toBe("");
  });
});
