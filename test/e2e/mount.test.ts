/** `daxkit mount` and `daxkit umount`: how mounts begin, are listed, and end. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { programs } from "../judges/judge.ts";
import { MAIN, daxkit, jsonLines } from "../support/daxkit.ts";
import {
  type MountPlace,
  complaintsOf,
  fuseMounts,
  lives,
  mountInBackground,
  mountPlace,
  mountsBelow,
} from "../support/mounting.ts";

const tools = programs(["e2fsck"], "apt-get install e2fsprogs");
const judge = tools.missing ? tools : fuseMounts();

/** Starts a mount in the foreground; resolves when it says that it is mounted. */
async function foreground({ image, directory, folder }: MountPlace, ...words: string[]) {
  const child = spawn(process.execPath, [MAIN, "mount", ...words, image, directory], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exit = once(child, "exit") as Promise<[number | null, string | null]>;
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (piece: Buffer) => (said.stdout += piece.toString()));
  child.stderr.on("data", (piece: Buffer) => (said.stderr += piece.toString()));
  await expect.poll(() => said.stdout).toContain("\n");
  return { child, exit, said };
}

const umount = (...words: string[]) => {
  const { status, stderr } = daxkit(["umount", ...words]);
  return { status, stderr };
};
const WELL = { status: 0, stderr: "" };

describe.skipIf(judge.missing)(`in the foreground${judge.hint}`, () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "it says one line when it is mounted, and %s unmounts it",
    async (signal) => {
      const place = mountPlace();
      const { child, exit, said } = await foreground(place);
      expect(said.stdout).toBe(`${place.image} mounted on ${place.directory}\n`);
      writeFileSync(join(place.directory, "file"), "by node");
      child.kill(signal);
      expect(await exit).toEqual([0, null]);
      expect(said.stderr).toBe("");
      expect(mountsBelow(place.folder)).toEqual([]);
      expect(complaintsOf(place.image)).toBe("");
      expect(daxkit(["cat", `${place.image}:/file`]).stdout).toBe("by node");
    },
  );

  test("with --json it says lines for programs", async () => {
    const place = mountPlace();
    const { child, exit, said } = await foreground(place, "--json");
    expect(umount(place.directory)).toEqual(WELL);
    expect(await exit).toEqual([0, null]);
    const { image: source, directory } = place;
    expect(jsonLines(said.stdout)).toEqual([
      { event: "mounted", source, directory, pid: child.pid },
      { event: "unmounted", directory },
    ]);
  });

  test("while it is used a signal waits, and goes on when nobody does", async () => {
    const place = mountPlace();
    const { child, exit, said } = await foreground(place);
    const user = spawn("sleep", ["1000"], { cwd: place.directory });
    child.kill("SIGTERM");
    await expect.poll(() => said.stderr).toContain("\n");
    expect(said.stderr).toMatch(
      new RegExp(`EBUSY.*in use by pid ${user.pid} \\(sleep\\).*second signal`, "u"),
    );
    expect(readdirSync(place.directory)).toEqual(["lost+found"]);
    user.kill();
    expect(await exit).toEqual([0, null]);
    expect(complaintsOf(place.image)).toBe("");
  });

  test("a second signal does not wait, and the image is closed all the same", async () => {
    const place = mountPlace();
    const { child, exit, said } = await foreground(place);
    const user = spawn("sleep", ["1000"], { cwd: place.directory });
    writeFileSync(join(place.directory, "file"), "x");
    child.kill("SIGTERM");
    await expect.poll(() => said.stderr).toContain("EBUSY");
    // Two within a second are one wish.
    await new Promise((resolve) => {
      setTimeout(resolve, 1100);
    });
    child.kill("SIGTERM");
    expect(await exit).toEqual([0, null]);
    user.kill();
    expect(mountsBelow(place.folder)).toEqual([]);
    expect(complaintsOf(place.image)).toBe("");
    expect(daxkit(["cat", `${place.image}:/file`]).stdout).toBe("x");
  });
});

describe.skipIf(judge.missing)(`in the background${judge.hint}`, () => {
  test("it returns when it is mounted; umount returns when the image is closed", () => {
    const place = mountPlace();
    const { directory, image } = place;
    const { status, stdout, stderr } = daxkit(["mount", "-b", image, directory]);
    expect({ status, stdout, stderr }).toEqual({ ...WELL, stdout: "" });
    for (let i = 0; i < 500; i++) writeFileSync(join(directory, `file${i}`), `${i}`);
    expect(umount(directory)).toEqual(WELL);
    expect(complaintsOf(image)).toBe("");
    expect(mountsBelow(place.folder)).toEqual([]);
  });

  test("the process has a session of its own, and holds nothing of who started it", async () => {
    const place = mountPlace();
    const pid = mountInBackground(place);
    const [session, group] = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /u, "")
      .split(" ")
      .slice(2, 4)
      .toReversed();
    expect([session, group]).toEqual([String(pid), String(pid)]);
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
    for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe("/dev/null");
    expect(umount(place.directory)).toEqual(WELL);
    await expect.poll(() => lives(pid)).toBe(false);
  });

  test("what cannot be mounted is said by the command itself", () => {
    const place = mountPlace();
    const gone = join(place.folder, "gone");
    const ended = daxkit(["mount", "-b", place.image, gone]);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/^daxkit mount: ENOENT: .*gone/u);
  });

  test("what goes wrong later is in the file that was asked for", async () => {
    const place = mountPlace();
    const log = join(place.folder, "log");
    const pid = mountInBackground(place, "--log", log);
    const user = spawn("sleep", ["1000"], { cwd: place.directory });
    process.kill(pid, "SIGTERM");
    const line = `^\\d{4}-.*daxkit\\[${pid}\\]: .*EBUSY.*in use by pid ${user.pid}.*\\n$`;
    await expect.poll(() => readFileSync(log, "utf8")).toMatch(new RegExp(line, "u"));
    user.kill();
    await expect.poll(() => lives(pid)).toBe(false);
  });

  test("a log that cannot be written is an error before anything is mounted", () => {
    const place = mountPlace();
    const log = join(place.folder, "gone", "log");
    const ended = daxkit(["mount", "-b", "--log", log, place.image, place.directory]);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toContain("ENOENT");
    expect(mountsBelow(place.folder)).toEqual([]);
  });
});

describe.skipIf(judge.missing)(`what is mounted${judge.hint}`, () => {
  test("is listed, as mount(8) would", () => {
    const place = mountPlace();
    const pid = mountInBackground(place, "-o", "ro,noatime,nosuid");
    const { image: source, directory } = place;
    const line = daxkit(["mount"])
      .stdout.split("\n")
      .filter((each) => each.includes(directory));
    const listed = spawnSync("mount", ["-t", "fuse.daxkit"], { encoding: "utf8" }).stdout;
    expect(listed.split("\n").filter((each) => each.includes(directory))).toEqual(line);
    expect(line[0]).toMatch(
      new RegExp(`^${source} on ${directory} type fuse.daxkit \\(ro,nosuid,noatime,`, "u"),
    );
    const records = jsonLines(daxkit(["mount", "--json"]).stdout) as { directory: string }[];
    expect(records.filter((each) => each.directory === directory)).toMatchObject([
      { source, directory, type: "fuse.daxkit", pid },
    ]);
    expect(umount(source)).toEqual(WELL);
  });

  test("may be somewhere else, several at a time, with odd names", () => {
    const places = [mountPlace(), mountPlace()];
    for (const place of places) {
      const odd = join(place.folder, "a b\tc,é\\");
      mkdirSync(odd);
      mountInBackground({ ...place, directory: odd });
      writeFileSync(join(odd, "x"), place.folder);
      expect(umount(odd)).toEqual(WELL);
      expect(daxkit(["cat", `${place.image}:/x`]).stdout).toBe(place.folder);
      rmdirSync(odd);
    }
  });

  test("is a mount of the kernel's: hard links, modes and sizes are those of the image", () => {
    const place = mountPlace();
    mountInBackground(place);
    const path = join(place.directory, "f");
    spawnSync("sh", ["-c", `umask 022; echo 12345 > ${path}; ln ${path} ${path}2`]);
    const { nlink, size, mode } = statSync(path);
    expect({ nlink, size, mode: mode & 0o777 }).toEqual({ nlink: 2, size: 6, mode: 0o644 });
    expect(umount("-v", place.directory)).toEqual(WELL);
    const shown = daxkit(["stat", `${place.image}:/f`]).stdout;
    expect(shown).toContain("Links: 2");
  });
});
