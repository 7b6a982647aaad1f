/** What `daxkit mount` and `daxkit umount` do not do, and what they say then. */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { programs } from "../judges/judge.ts";
import { MAIN, daxkit } from "../support/daxkit.ts";
import {
  complaintsOf,
  fuseMounts,
  lives,
  mountInBackground,
  mountPlace,
  mountsBelow,
} from "../support/mounting.ts";

const tools = programs(["e2fsck"], "apt-get install e2fsprogs");
const judge = tools.missing ? tools : fuseMounts();

/** Who is nobody in particular. */
const USER = 65_534;

function ends(...words: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = daxkit(words);
  return { status, stderr };
}

function asUser(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const how = { uid: USER, gid: USER, encoding: "utf8", env: { ...process.env, ...env } } as const;
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...words], how);
  return { status, stderr };
}

function refuses(words: readonly string[], message: RegExp): void {
  const { status, stderr } = ends(...words);
  expect(stderr).toMatch(message);
  expect(stderr.trimEnd().split("\n").length).toBe(1);
  expect(status).toBe(words[0] === "mount" ? 2 : 1);
}

describe.skipIf(judge.missing)(`mounting${judge.hint}`, () => {
  test("needs a directory that is there, free and empty", () => {
    const { image, directory, folder } = mountPlace();
    refuses(["mount", image, join(folder, "gone")], /^daxkit mount: ENOENT: .*mkdir|make the dir/u);
    refuses(["mount", image, image], /^daxkit mount: ENOTDIR: .*disk\.img/u);
    writeFileSync(join(directory, "file"), "under it");
    refuses(["mount", image, directory], /^daxkit mount: ENOTEMPTY: .*nonempty/u);
    const pid = mountInBackground({ image, directory, folder }, "-o", "nonempty");
    expect(existsSync(join(directory, "file"))).toBe(false);
    expect(ends("umount", directory)).toEqual({ status: 0, stderr: "" });
    expect(readFileSync(join(directory, "file"), "utf8")).toBe("under it");
    rmSync(join(directory, "file"));
    expect(pid).toBeGreaterThan(0);
  });

  test("needs an image that nobody else writes to, and names who does", () => {
    const place = mountPlace();
    const pid = mountInBackground(place);
    const other = join(place.folder, "other");
    mkdirSync(other);
    refuses(["mount", place.image, other], new RegExp(`^daxkit mount: EBUSY: .*pid ${pid} `, "u"));
    const free = mountPlace();
    refuses(["mount", free.image, place.directory], /^daxkit mount: EBUSY: .*mounted there/u);
    refuses(["put", MAIN, `${place.image}:/x`], new RegExp(`EBUSY.*pid ${pid} `, "u"));
    expect(ends("umount", place.directory)).toEqual({ status: 0, stderr: "" });
  });

  test("needs a filesystem", () => {
    const { image, directory, folder } = mountPlace();
    refuses(["mount", join(folder, "gone"), directory], /^daxkit mount: ENOENT: .*gone/u);
    refuses(["mount", folder, directory], /^daxkit mount: E[A-Z]+: .*/u);
    truncateSync(image, 1000);
    refuses(["mount", image, directory], /EINVAL: .*1000 bytes/u);
    truncateSync(image, 0);
    truncateSync(image, 2 ** 20);
    refuses(["mount", image, directory], /EINVAL: .*no filesystem of a known kind/u);
    refuses(["mount", "nbd+unix:///?socket=/nowhere", directory], /^daxkit mount: ENOENT: /u);
    expect(mountsBelow(folder)).toEqual([]);
  });

  test("of a file that cannot be written says how it can be mounted", () => {
    const place = mountPlace();
    const { image, directory, folder } = place;
    const closed = join(folder, "closed");
    mkdirSync(closed);
    spawnSync("mount", ["--bind", folder, closed]);
    spawnSync("mount", ["-o", "remount,ro,bind", closed]);
    onTestFinished(() => void spawnSync("umount", [closed]));
    const there = join(closed, "disk.img");
    refuses(["mount", there, directory], /^daxkit mount: EROFS: .*-o ro/u);
    mountInBackground({ ...place, image: there }, "-r");
    const { stderr } = spawnSync("touch", [join(directory, "x")], { encoding: "utf8" });
    expect(stderr).toMatch(/Read-only file system/u);
    expect(ends("umount", directory)).toEqual({ status: 0, stderr: "" });
    expect(complaintsOf(image)).toBe("");
  });

  test("needs options that there are, before anything is touched", () => {
    const { image, directory } = mountPlace();
    const before = readFileSync(image);
    const on = (...words: string[]) => ["mount", ...words, image, directory];
    refuses(on("-o", "ro,bogus"), /EINVAL: .*option "bogus" is unknown.*ro, rw, noatime/u);
    refuses(on("-o", "commit=soon"), /EINVAL: .*"commit=soon"/u);
    refuses(on("-o", "sync"), /ENOTSUP: .*"sync".*fsync/u);
    refuses(on("-o", "dax=always"), /EINVAL: .*dax=always/u);
    refuses(on("-o", "noload"), /EINVAL: .*noload/u);
    refuses(on("-o", "partition=1"), /^daxkit mount: E[A-Z]+: .*partition/u);
    refuses(on("-o", "remount"), /usage: .*remount/u);
    refuses(on("--log", "x"), /usage: .*--background/u);
    refuses(["mount", image], /usage: .*directory.*missing/u);
    refuses(["mount", "-b"], /usage: .*missing/u);
    refuses(["mount", image, directory, "more"], /usage: .*'more'/u);
    expect(readFileSync(image).equals(before)).toBe(true);
    expect(mountsBelow(join(directory, ".."))).toEqual([]);
  });

  test("needs foreign calls, and says what brings them", () => {
    const { image, directory } = mountPlace();
    const env = { DAXKIT_FFI: "off" };
    const { status, stderr } = daxkit(["mount", image, directory], { env });
    expect(stderr).toMatch(/^daxkit mount: ENOTSUP: .*koffi/u);
    expect(status).toBe(2);
    expect(complaintsOf(image)).toBe("");
  });

  test("on what is not theirs is refused to others than root", () => {
    const { image, directory, folder } = mountPlace();
    chmodSync(folder, 0o755);
    chownSync(image, USER, USER);
    const { status, stderr } = asUser(["mount", image, directory]);
    expect(stderr).toMatch(/^daxkit mount: E(?:ACCES|PERM): .*mount point is not ours/u);
    expect(status).toBe(2);
  });

  test("of a file that is not theirs is refused, too", () => {
    const { image, directory, folder } = mountPlace();
    chmodSync(folder, 0o755);
    chownSync(directory, USER, USER);
    const { status, stderr } = asUser(["mount", image, directory]);
    expect(stderr).toMatch(/^daxkit mount: EACCES: .*-o ro/u);
    expect(status).toBe(2);
  });
});

describe.skipIf(judge.missing)(`unmounting${judge.hint}`, () => {
  test("is for what daxkit mounted", () => {
    const { directory, folder, image } = mountPlace();
    refuses(["umount", directory], /^daxkit umount: EINVAL: .*nothing is mounted there/u);
    refuses(["umount", join(folder, "gone")], /EINVAL: .*nothing is mounted/u);
    refuses(["umount", image], /EINVAL: .*nothing is mounted/u);
    spawnSync("mount", ["-t", "tmpfs", "something", directory]);
    onTestFinished(() => void spawnSync("umount", [directory]));
    refuses(["umount", directory], /EINVAL: .*something is mounted there as tmpfs.*umount\(8\)/u);
    expect(mountsBelow(folder)).toEqual([directory]);
  });

  test("of several goes on after one that failed", () => {
    const one = mountPlace();
    const two = mountPlace();
    mountInBackground(one);
    mountInBackground(two);
    const ended = ends("umount", one.directory, one.directory, two.directory);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/^daxkit umount: EINVAL: .*\n$/u);
    expect([...mountsBelow(one.folder), ...mountsBelow(two.folder)]).toEqual([]);
  });

  test("is refused while it is in use, and says by whom", async () => {
    const place = mountPlace();
    mountInBackground(place);
    const path = join(place.directory, "open");
    const user = spawn("sh", ["-c", `exec 9> ${path}; echo; exec sleep 1000`]);
    await new Promise((resolve) => {
      user.stdout.once("data", resolve);
    });
    refuses(
      ["umount", place.directory],
      new RegExp(`EBUSY: .*in use by pid ${user.pid} \\(sleep\\).*-l`, "u"),
    );
    user.kill();
    await expect.poll(() => ends("umount", place.directory).status).toBe(0);
    expect(complaintsOf(place.image)).toBe("");
  });

  test("lazily takes it out of sight, and it ends with its last user", async () => {
    const place = mountPlace();
    const pid = mountInBackground(place);
    const script = `exec 9> ${join(place.directory, "open")}; echo; read line; echo "$line" >&9`;
    const user = spawn("sh", ["-c", script]);
    await new Promise((resolve) => {
      user.stdout.once("data", resolve);
    });
    expect(ends("umount", "-l", place.directory)).toEqual({ status: 0, stderr: "" });
    expect(mountsBelow(place.folder)).toEqual([]);
    expect(lives(pid)).toBe(true);
    user.stdin.end("written late\n");
    await expect.poll(() => lives(pid)).toBe(false);
    expect(complaintsOf(place.image)).toBe("");
    expect(daxkit(["cat", `${place.image}:/open`]).stdout).toBe("written late\n");
  });

  test("by force ends it for who uses it, and the image is sound", async () => {
    const place = mountPlace();
    const pid = mountInBackground(place);
    const user = spawn("sleep", ["1000"], { cwd: place.directory });
    writeFileSync(join(place.directory, "file"), "kept");
    expect(ends("umount", "-f", place.directory)).toEqual({ status: 0, stderr: "" });
    expect(mountsBelow(place.folder)).toEqual([]);
    await expect.poll(() => lives(pid)).toBe(false);
    user.kill();
    expect(complaintsOf(place.image)).toBe("");
    expect(daxkit(["cat", `${place.image}:/file`]).stdout).toBe("kept");
  });

  test("by force needs no answer of a process that hangs", async () => {
    const place = mountPlace();
    const pid = mountInBackground(place);
    process.kill(pid, "SIGSTOP");
    const user = spawn("ls", [join(place.directory, "lost+found")], { stdio: "ignore" });
    const ended = new Promise((resolve) => {
      user.once("exit", resolve);
    });
    const force = spawn(process.execPath, [MAIN, "umount", "-f", place.directory], {
      stdio: "ignore",
    });
    const status = new Promise((resolve) => {
      force.once("exit", resolve);
    });
    // Who waited for an answer has an error, though nobody answers.
    await ended;
    expect(mountsBelow(place.folder)).toEqual([]);
    process.kill(pid, "SIGCONT");
    expect(await status).toBe(0);
    await expect.poll(() => lives(pid)).toBe(false);
    expect(complaintsOf(place.image)).toBe("");
  });

  test("of one of two places does not wait for the other", () => {
    const place = mountPlace();
    const pid = mountInBackground(place);
    const other = join(place.folder, "other");
    mkdirSync(other);
    spawnSync("mount", ["--bind", place.directory, other]);
    expect(ends("umount", place.directory)).toEqual({ status: 0, stderr: "" });
    expect(lives(pid)).toBe(true);
    writeFileSync(join(other, "file"), "there");
    expect(ends("umount", other)).toEqual({ status: 0, stderr: "" });
    expect(complaintsOf(place.image)).toBe("");
    expect(daxkit(["cat", `${place.image}:/file`]).stdout).toBe("there");
  });
});

describe.skipIf(judge.missing)(`a full filesystem${judge.hint}`, () => {
  test("says ENOSPC, and goes on when there is room", () => {
    const place = mountPlace({}, 2 ** 22);
    mountInBackground(place);
    mkdirSync(join(place.directory, "more"));
    const fill = spawnSync("sh", ["-c", `cat /dev/zero > ${place.directory}/big`], {
      encoding: "utf8",
    });
    expect(fill.stderr).toMatch(/No space left on device/u);
    expect(readFileSync(join(place.directory, "big")).every((byte) => byte === 0)).toBe(true);
    rmSync(join(place.directory, "big"));
    writeFileSync(join(place.directory, "more", "file"), "x".repeat(100_000));
    expect(ends("umount", place.directory)).toEqual({ status: 0, stderr: "" });
    expect(complaintsOf(place.image)).toBe("");
  });
});
