/**
 * Images in other places: partitions, offsets, exports; several images in one command; and what
 * copies keep on their way in and out.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLine } from "../support/command-line.ts";
import { makeFolder } from "../support/host-tree.ts";
import { nbdkit, runNbdkit } from "../support/nbd-servers.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const judge = programs(
  ["mke2fs", "e2fsck", "getfattr", "setfattr", "sfdisk"],
  "apt-get install e2fsprogs attr fdisk",
);

let cwd = "";
beforeAll(() => {
  cwd = makeFolder();
  const tree = join(cwd, "tree");
  fs.mkdirSync(join(tree, "sub"), { recursive: true });
  fs.writeFileSync(join(tree, "file"), "content");
  fs.linkSync(join(tree, "file"), join(tree, "sub/again"));
  fs.symlinkSync("../file", join(tree, "sub/link"));
  fs.writeFileSync(join(tree, "holes"), "a");
  fs.truncateSync(join(tree, "holes"), 1 << 20);
  fs.appendFileSync(join(tree, "holes"), "end");
  fs.chmodSync(join(tree, "sub"), 0o2750);
  if (judge.missing) return;
  execFileSync("setfattr", ["-n", "user.kind", "-v", "tree", join(tree, "file")]);
  fs.utimesSync(join(tree, "file"), 1_500_000_000, 1_500_000_000.5);
  fs.utimesSync(join(tree, "sub"), 1_400_000_000, 1_400_000_000);
});
afterAll(() => fs.rmSync(cwd, { recursive: true }));

function made(name: string, size: string, ...words: string[]): string {
  const path = join(cwd, `${name}.img`);
  const all = ["-q", "-F", "-t", "ext4", "-b", "1024", ...words, path, size];
  execFileSync("mke2fs", all, { stdio: "pipe" });
  return path;
}

/** Runs lines one after the other; each has to succeed. */
async function run(...lines: readonly (readonly string[])[]): Promise<string> {
  let last = "";
  for (const words of lines) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const ended = await runLine(words);
    expect({ words, ...ended }).toMatchObject({ words, status: 0, stderr: "" });
    last = ended.stdout;
  }
  return last;
}

/** What a tree of this machine shows. */
function shown(folder: string): string {
  const format = "%P %y %m %n %s %T@ %l\\n";
  const list = execFileSync("find", [folder, "-printf", format], { encoding: "utf8" });
  const attributes = execFileSync("getfattr", ["-dR", "."], { cwd: folder, encoding: "utf8" });
  // Sizes of directories are those of their filesystem.
  const lines = list.split("\n").map((line) => line.replace(/^(\S* d \S+ \S+) \S+/u, "$1"));
  return [...lines.toSorted(), attributes].join("\n");
}

const clean = (image: string): string[] => e2fsckSays(fs.readFileSync(image));

describe.skipIf(judge.missing)(`images in other places${judge.hint}`, () => {
  test("a tree goes in, to another image, and out again, as it was", async () => {
    const [a, b] = [made("first", "8M"), made("second", "8M", "-O", "^has_journal")];
    const out = join(cwd, "out");
    await run(
      ["cp", "-a", join(cwd, "tree"), `${a}:/`],
      ["cp", "-a", `${a}:/tree`, `${b}:/copy`],
      ["cp", "-a", `${b}:/copy`, out],
    );
    expect(shown(out)).toBe(shown(join(cwd, "tree")));
    expect(fs.readFileSync(join(out, "holes"))).toEqual(fs.readFileSync(join(cwd, "tree/holes")));
    const blocks = await run(["stat", "--json", `${b}:/copy/holes`]);
    expect((JSON.parse(blocks) as { blocks: number }).blocks).toBeLessThan(100);
    expect([...clean(a), ...clean(b)]).toEqual([]);
  });

  test("a move into another image takes everything along", async () => {
    const [a, b] = [made("from", "8M"), made("to", "8M")];
    const words = ["mv", "-v", `${a}:/tree`, `${a}:/lonely`, `${b}:/`];
    await run(["cp", "-a", join(cwd, "tree"), `${a}:/`], ["touch", `${a}:/lonely`]);
    const said = await run(words);
    expect(said).toContain(`copied '${a}:/tree/file' -> '${b}:/tree/file'`);
    expect(said).toContain(`removed directory '${a}:/tree'`);
    expect(await run(["ls", a])).toBe("lost+found\n");
    expect(await run(["ls", "-R", `${b}:/tree`])).toContain("again\nlink\n");
    expect(await run(["getfattr", "-d", `${b}:/tree/sub/again`])).toContain('user.kind="tree"');
    expect([...clean(a), ...clean(b)]).toEqual([]);
  });

  test("two directories change places in one step", async () => {
    const image = made("swap", "4M");
    await run(
      ["mkdir", `${image}:/live`, `${image}:/next`],
      ["touch", `${image}:/next/new`],
      ["mv", "--exchange", `${image}:/live`, `${image}:/next`],
    );
    expect(await run(["ls", `${image}:/live`])).toBe("new\n");
    expect(clean(image)).toEqual([]);
  });

  test("attributes are saved, and restored", async () => {
    const image = made("saved", "4M");
    await run(["cp", "-a", join(cwd, "tree"), `${image}:/`]);
    await run(["setfattr", "-n", "user.odd=name", "-v", "0x00ff0a", `${image}:/tree/sub`]);
    const dump = await run(["getfattr", "-dR", "-m", "-", `${image}:/`]);
    fs.writeFileSync(join(cwd, "dump"), dump);
    const other = made("restored", "4M");
    await run(
      ["cp", "-r", join(cwd, "tree"), `${other}:/`],
      ["setfattr", `--restore=${join(cwd, "dump")}`, `${other}:/`],
    );
    expect(await run(["getfattr", "-dR", "-m", "-", `${other}:/`])).toBe(dump);
    expect(clean(other)).toEqual([]);
  });

  test("a partition, and a place in a file", async () => {
    const disk = join(cwd, "disk.img");
    fs.writeFileSync(disk, "");
    fs.truncateSync(disk, 24 << 20);
    const table = "label: gpt\nstart=2048, size=16384\nstart=20480, size=16384\n";
    execFileSync("sfdisk", ["-q", disk], { input: table, stdio: ["pipe", "pipe", "pipe"] });
    await run(
      ["mkfs.ext4", "-q", "--partition", "2", disk],
      ["put", "--partition", "2", join(cwd, "tree/file"), `${disk}:/f`],
      ["mkdir", "--offset", String(20_480 * 512), `${disk}:/d`],
      ["fallocate", "--image-offset", String(20_480 * 512), "-l", "8K", `${disk}:/space`],
      ["tune", "--partition", "2", "-L", "second", disk],
    );
    expect(await run(["ls", "--partition", "2", disk])).toBe("d\nf\nlost+found\nspace\n");
    const part = fs.readFileSync(disk).subarray(20_480 * 512, (20_480 + 16_384) * 512);
    expect(e2fsckSays(part)).toEqual([]);
  });

  test.skipIf(nbdkit.missing)(`an export of another server${nbdkit.hint}`, async () => {
    const image = made("export", "8M");
    const uri = runNbdkit("file", image);
    await run(
      ["mkdir", "-p", `${uri}:/srv/app`],
      ["put", join(cwd, "tree/file"), `${uri}:/srv/app/`],
      ["chmod", "640", `${uri}:/srv/app/file`],
      ["cp", "-a", join(cwd, "tree"), `${uri}:/srv`],
      ["mv", `${uri}:/srv/tree`, `${uri}:/srv/moved`],
      ["tune", "-L", "exported", uri],
    );
    expect(await run(["ls", `${uri}:/srv`])).toBe("app\nmoved\n");
    expect(await run(["cat", `${image}:/srv/app/file`])).toBe("content");
    expect(clean(image)).toEqual([]);
  });
});
