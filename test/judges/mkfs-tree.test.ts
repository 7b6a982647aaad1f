/**
 * `daxkit mkfs -d` before e2fsck and the kernel: a directory with whatever can be in one comes back
 * from the mounted image as it was.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkVolume } from "../../src/node/volume.ts";
import { runLine } from "../support/command-line.ts";
import { WHOLE } from "../support/slices.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const run = promisify(execFile);
const judge = programs(["e2fsck", "setfattr", "setfacl"], "apt-get install e2fsprogs attr acl");
const loop = loopMounts();
// On a disk: not every tmpfs has attributes.
const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-mkfs-tree-"));
const tree = join(folder, "tree");
afterAll(() => fs.rmSync(folder, { recursive: true }));

function makeTree(): void {
  fs.mkdirSync(join(tree, "many"), { recursive: true });
  fs.mkdirSync(join(tree, "a", "b"), { recursive: true });
  for (let i = 0; i < 900; i++) {
    fs.writeFileSync(join(tree, "many", `entry-${"m".repeat(i % 60)}-${i}`), "x".repeat(i % 50));
  }
  fs.writeFileSync(join(tree, "large"), Buffer.alloc(5_000_000, "daxkit"));
  const fd = fs.openSync(join(tree, "sparse"), "w");
  for (const at of [3_000_000, 40_000_000]) fs.writeSync(fd, "data", at);
  fs.ftruncateSync(fd, 50_000_000);
  fs.closeSync(fd);
  fs.symlinkSync("short", join(tree, "fast"));
  fs.symlinkSync("long/".repeat(40), join(tree, "slow"));
  fs.linkSync(join(tree, "large"), join(tree, "hard"));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0x62, 0xff, 0xfe])]), "b");
  fs.writeFileSync(join(tree, "n".repeat(255)), "");
  execFileSync("mkfifo", [join(tree, "pipe")]);
  execFileSync("setfattr", ["-n", "user.small", "-v", "v", join(tree, "large")]);
  execFileSync("setfattr", ["-n", "user.large", "-v", "w".repeat(700), join(tree, "a")]);
  execFileSync("setfacl", ["-m", "u:1000:rwx,g:7:r", join(tree, "a", "b")]);
  execFileSync("setfacl", ["-d", "-m", "u:5:r", join(tree, "a", "b")]);
  if (process.getuid?.() === 0) {
    execFileSync("mknod", [join(tree, "device"), "b", "300", "70000"]);
    execFileSync("mknod", [join(tree, "old-device"), "c", "5", "1"]);
    fs.chownSync(join(tree, "a"), 1000, 70_000);
    fs.chmodSync(join(tree, "a"), 0o2750);
  }
  fs.utimesSync(join(tree, "hard"), 1_234_567_890.5, 4_000_000_000.25);
}

/** Every file as a line. */
function listed(root: string, seconds: boolean): string[] {
  const inodes = new Map<bigint, string>();
  const lines: string[] = [];
  const visit = (path: Buffer, shown: string): void => {
    const stat = fs.lstatSync(path, { bigint: true });
    const { mode, uid, gid, nlink, rdev, size, mtimeNs, ino } = stat;
    const first = inodes.get(ino) ?? shown;
    inodes.set(ino, first);
    const plain = stat.isDirectory() ? [] : [nlink, size];
    const device = stat.isBlockDevice() || stat.isCharacterDevice() ? [rdev] : [];
    const mtime = seconds ? mtimeNs / 1_000_000_000n : mtimeNs;
    let content = "";
    if (stat.isFile()) content = createHash("md5").update(fs.readFileSync(path)).digest("hex");
    if (stat.isSymbolicLink()) content = fs.readlinkSync(path);
    const words = [shown, mode.toString(8), uid, gid, ...plain, ...device, mtime, first, content];
    lines.push(words.join(" "));
    if (!stat.isDirectory()) return;
    const names = fs.readdirSync(path, { encoding: "buffer" });
    for (const name of names.toSorted((a, b) => a.compare(b))) {
      const below = `${shown}/${name.toString("latin1")}`;
      if (below !== "./lost+found") visit(Buffer.concat([path, Buffer.from("/"), name]), below);
    }
  };
  visit(Buffer.from(root), ".");
  return lines;
}

function attributes(root: string): string {
  const words = ["-Rhd", "-m", "-", "--", "."];
  const { stdout } = spawnSync("getfattr", words, { cwd: root, encoding: "latin1" });
  return stdout.split("\n\n").toSorted().join("\n\n");
}

const LINES = [
  "mkfs.ext4 -b 4096",
  "mkfs.ext2",
  "mkfs.ext3 -b 4096 -I 128",
  "mkfs.ext4 -b 4096 -O bigalloc -C 16384",
  "mkfs.ext4 -b 2048 -O inline_data,ea_inode,large_dir,^metadata_csum",
];

describe.skipIf(judge.missing || loop.missing)(`a tree${judge.hint}${loop.hint}`, () => {
  beforeAll(makeTree);

  test.each(WHOLE ? LINES : LINES.slice(0, 2))("%s", async (line) => {
    const image = join(folder, "made.img");
    const ended = await runLine([...line.split(" "), "-F", "-q", "-d", tree, image, "80M"]);
    expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
    const { stdout } = await run("e2fsck", ["-fn", image]);
    const said = stdout.split("\n").filter((text) => !/^\s*$|^Pass \d|\d+ files \(/u.test(text));
    expect(said).toEqual([]);
    expect([...checkVolume(image)]).toEqual([]);
    const small = /-I 128/u.test(line);
    const target = join(folder, "mounted");
    fs.mkdirSync(target, { recursive: true });
    withLoopMount(image, target, "ro", (root) => {
      expect(listed(root, small)).toEqual(listed(tree, small).map((each) => wrapped(each, small)));
      expect(attributes(root)).toBe(attributes(tree));
      expect(fs.statSync(join(root, "sparse")).blocks * 512).toBeLessThan(200_000);
    });
  });
});

/** Inodes of 128 bytes know no time after 2038. */
function wrapped(line: string, small: boolean): string {
  return small ? line.replace(" 4000000000 ", " -294967296 ") : line;
}
