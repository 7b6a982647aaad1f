/** What `-o` makes of a mount, seen by other programs. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  statfsSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { openVolume } from "../../src/node/volume.ts";
import { programs } from "../judges/judge.ts";
import { MAIN, daxkit } from "../support/daxkit.ts";
import { complaintsOf, fuseMounts, mountInBackground, mountPlace } from "../support/mounting.ts";

const tools = programs(["e2fsck", "python3", "sfdisk"], "apt-get install e2fsprogs python3 fdisk");
const judge = tools.missing ? tools : fuseMounts();
const USER = 65_534;

function sh(line: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync("sh", ["-c", line, "sh", ...words], {
    encoding: "utf8",
  });
  return { status, said: stdout + stderr };
}

function umount(directory: string): void {
  const { status, stderr } = daxkit(["umount", directory]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
}

describe.skipIf(judge.missing)(`options${judge.hint}`, () => {
  test.each([
    ["noatime", false, false],
    ["relatime", true, false],
    ["strictatime", true, true],
  ])("%s: reading sets atime once %s, again %s", (option, once_, again) => {
    const place = mountPlace();
    mountInBackground(place, "-o", option);
    const path = join(place.directory, "file");
    writeFileSync(path, "text");
    utimesSync(path, 1000, 2000);
    const atime = () => {
      // Pages that the kernel has are read without asking anybody.
      spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"]);
      readFileSync(path);
      return statSync(path).atimeMs;
    };
    const first = atime();
    expect(first > 1_000_000).toBe(once_);
    spawnSync("sleep", ["0.02"]);
    expect(atime() > first).toBe(again);
    umount(place.directory);
  });

  test("ro writes nothing, not even what a mount does", () => {
    const place = mountPlace();
    const before = readFileSync(place.image);
    mountInBackground(place, "-o", "ro");
    expect(sh("mkdir $1/x", place.directory).said).toMatch(/Read-only file system/u);
    expect(readdirSync(place.directory)).toEqual(["lost+found"]);
    umount(place.directory);
    expect(readFileSync(place.image).equals(before)).toBe(true);
  });

  test("uid, gid and umask say whose everything is, and nothing of it is stored", () => {
    const place = mountPlace();
    mountInBackground(place, "-o", `uid=${USER},gid=7,umask=027`);
    writeFileSync(join(place.directory, "file"), "x");
    mkdirSync(join(place.directory, "dir"));
    for (const name of ["file", "dir"]) {
      const { uid, gid, mode } = lstatSync(join(place.directory, name));
      expect([uid, gid, mode & 0o777]).toEqual([USER, 7, 0o750]);
    }
    umount(place.directory);
    const volume = openVolume(place.image);
    const { uid, gid } = volume.fs.statSync("/file");
    expect([uid, gid]).toEqual([0, 0]);
    volume.close();
  });

  test("noexec, nosuid and nodev hold programs and devices back", () => {
    const place = mountPlace();
    mountInBackground(place, "-o", "noexec,nosuid,nodev");
    const program = join(place.directory, "program");
    writeFileSync(program, "#!/bin/sh\necho ran\n", { mode: 0o755 });
    expect(sh('"$1"', program).said).toMatch(/Permission denied/u);
    expect(sh('mknod -m 666 "$1/null" c 1 3 && cat "$1/null"', place.directory).said).toMatch(
      /Permission denied/u,
    );
    umount(place.directory);
    mountInBackground(place);
    expect(sh('"$1"', program)).toEqual({ status: 0, said: "ran\n" });
    expect(sh('cat "$1/null"', place.directory)).toEqual({ status: 0, said: "" });
    umount(place.directory);
  });

  test("others may look in unless root keeps it to himself; modes count in any case", () => {
    const place = mountPlace();
    chmodSync(place.folder, 0o755);
    const ls = () => {
      const { stdout, stderr } = spawnSync("ls", [place.directory], {
        uid: USER,
        gid: USER,
        encoding: "utf8",
      });
      return stdout + stderr;
    };
    mountInBackground(place);
    expect(ls()).toBe("lost+found\n");
    const cat = spawnSync("ls", [join(place.directory, "lost+found")], { uid: USER, gid: USER });
    expect(cat.status).toBe(2);
    umount(place.directory);
    mountInBackground(place, "-o", "noallow_other");
    expect(ls()).toMatch(/Permission denied/u);
    umount(place.directory);
  });

  test("partition and offset find the filesystem", () => {
    const { image, directory, folder } = mountPlace();
    const disk = join(folder, "whole.img");
    writeFileSync(disk, Buffer.concat([Buffer.alloc(2 ** 20), readFileSync(image)]));
    const table = spawnSync("sfdisk", ["-q", disk], { input: "2048,,L\n", encoding: "utf8" });
    expect(table.status).toBe(0);
    for (const option of ["partition=1", "offset=1M"]) {
      mountInBackground({ folder, directory, image: disk }, "-o", option);
      writeFileSync(join(directory, option), "x");
      umount(directory);
    }
    const { stdout } = daxkit(["ls", "--partition", "1", `${disk}:/`]);
    expect(stdout).toContain("offset=1M\npartition=1\n");
  });

  test("minixdf, dax, data, errors and nodelalloc are the filesystem's", () => {
    const place = mountPlace();
    mountInBackground(place, "-o", "minixdf,dax=never,data=writeback,errors=panic,nodelalloc");
    const whole = statfsSync(place.directory).blocks;
    umount(place.directory);
    mountInBackground(place);
    expect(statfsSync(place.directory).blocks).toBeLessThan(whole);
    umount(place.directory);
  });

  test("commit says how long what nobody syncs may be lost", async () => {
    const place = mountPlace();
    const pid = mountInBackground(place, "-o", "commit=1");
    writeFileSync(join(place.directory, "file"), "nobody syncs it");
    await delay(4000);
    process.kill(pid, "SIGKILL");
    const volume = openVolume(place.image);
    expect(volume.fs.readFileSync("/file", "utf8")).toBe("nobody syncs it");
    volume.close();
  });

  test.each(["writeback_cache", "no_open", "writeback_cache,no_open,strictatime"])(
    "%s: what programs wrote is there",
    (option) => {
      const place = mountPlace();
      mountInBackground(place, "-o", option);
      const line = `cd "$1" && seq 50000 > a && cp a b && cat a b > c && truncate -s 100000 b && \
printf end >> b && dd if=c of=d bs=777 conv=notrunc status=none && cksum a b c d`;
      const there = sh(line, place.directory);
      expect(there.status).toBe(0);
      umount(place.directory);
      expect(complaintsOf(place.image)).toBe("");
      const folder = join(place.folder, "out");
      expect(daxkit(["cp", "-r", `${place.image}:/`, folder]).status).toBe(0);
      expect(sh('cd "$1" && cksum a b c d', folder)).toEqual(there);
    },
  );

  test("an export can be mounted, as a file can", async () => {
    const place = mountPlace();
    const socket = join(place.folder, "socket");
    const server = spawn(process.execPath, [MAIN, "nbd", "-U", socket, place.image], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void server.kill());
    await expect.poll(() => statSync(socket, { throwIfNoEntry: false })?.isSocket()).toBe(true);
    const uri = `nbd+unix:///?socket=${socket}`;
    mountInBackground({ ...place, image: uri });
    writeFileSync(join(place.directory, "file"), "over the net");
    umount(place.directory);
    const exit = once(server, "exit");
    server.kill("SIGTERM");
    await exit;
    expect(complaintsOf(place.image)).toBe("");
    expect(daxkit(["cat", `${place.image}:/file`]).stdout).toBe("over the net");
  });

  test("files can be mapped, shared and private, and stores are seen by all", () => {
    const place = mountPlace();
    mountInBackground(place);
    const script = `
import mmap, os, sys
path = sys.argv[1] + "/mapped"
fd = os.open(path, os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 3 * 4096)
shared = mmap.mmap(fd, 3 * 4096)
private = mmap.mmap(fd, 3 * 4096, flags=mmap.MAP_PRIVATE)
shared[4000:4200] = b"s" * 200
assert os.pread(fd, 200, 4000) == b"s" * 200
os.pwrite(fd, b"w" * 10, 4000)
assert shared[4000:4010] == b"w" * 10
private[8192:8195] = b"mine"[:3]
assert os.pread(fd, 3, 8192) == bytes(3)
shared.flush()
os.fsync(fd)
print("well")`;
    const { stdout, stderr } = spawnSync("python3", ["-c", script, place.directory], {
      encoding: "utf8",
    });
    expect({ stdout, stderr }).toEqual({ stdout: "well\n", stderr: "" });
    umount(place.directory);
    expect(daxkit(["cat", `${place.image}:/mapped`]).stdout).toBe(
      `${"\0".repeat(4000)}${"w".repeat(10)}${"s".repeat(190)}${"\0".repeat(3 * 4096 - 4200)}`,
    );
  });
});
