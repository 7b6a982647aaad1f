/**
 * What the commands that change images cannot do: a clear error, status 1 or 2, and an image that
 * e2fsck finds clean.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openVolume } from "../../src/node/volume.ts";
import { runLine } from "../support/command-line.ts";
import { makeFolder } from "../support/host-tree.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const judge = programs(["mke2fs", "e2fsck", "debugfs"], "apt-get install e2fsprogs");

let cwd = "";
beforeAll(() => {
  cwd = makeFolder();
  fs.writeFileSync(join(cwd, "large"), Buffer.alloc(4 << 20, "abcdefgh"));
  fs.writeFileSync(join(cwd, "small"), "small\n");
});
afterAll(() => fs.rmSync(cwd, { recursive: true }));

/** An image of its own. */
function made(name: string, size: string, ...words: string[]): string {
  const path = join(cwd, `${name}.img`);
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", ...words, path, size], {
    stdio: "pipe",
  });
  return path;
}

/** Runs lines one after the other. */
async function inOrder(lines: readonly (readonly string[])[]) {
  const ended = [];
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  for (const words of lines) ended.push(await runLine(words));
  return ended;
}

function mkdirIn(image: string): string[] {
  return ["mkdir", `${image}:/x`];
}

const clean = (image: string): string[] => e2fsckSays(fs.readFileSync(image));

describe.skipIf(judge.missing)(`what cannot be done${judge.hint}`, () => {
  test("a full disk: what was begun is taken back, and the rest goes on", async () => {
    const image = made("full", "2M");
    const [put, small, fallocate, cp] = await inOrder([
      ["put", join(cwd, "large"), join(cwd, "small"), `${image}:/`],
      ["cat", `${image}:/small`],
      ["fallocate", "-l", "100M", `${image}:/space`],
      ["cp", "-r", cwd, `${image}:/copy`],
    ]);
    expect(put).toMatchObject({ status: 1 });
    expect(put?.stderr).toMatch(/cannot write '.*large': ENOSPC: no space left .*free/u);
    expect(small?.stdout).toBe("small\n");
    expect(fallocate).toMatchObject({ status: 1 });
    expect(fallocate?.stderr).toMatch(/ENOSPC/u);
    expect(cp).toMatchObject({ status: 1 });
    expect(cp?.stderr).toMatch(/^daxkit cp: cannot copy '.*': ENOSPC: .*\n$/u);
    const listed = await runLine(["ls", image]);
    expect(listed.stdout).not.toContain("large");
    expect(clean(image)).toEqual([]);
  });

  test("a full inode table, and too many links to a file", async () => {
    const image = made("inodes", "4M", "-N", "16");
    const names = Array.from({ length: 9 }, (_, i) => `${image}:/f${i}`);
    const [touch, mkdir, ln, symlink] = await inOrder([
      ["touch", ...names],
      ["mkdir", `${image}:/d`],
      ["ln", `${image}:/f0`, `${image}:/second`],
      ["ln", "-s", "x", `${image}:/l`],
    ]);
    expect(touch?.stderr).toMatch(/cannot touch '.*f8': ENOSPC: .*all 16 inodes are in use/u);
    expect(mkdir).toMatchObject({ status: 1 });
    expect(symlink?.stderr).toMatch(/failed to create symbolic link '.*:\/l': ENOSPC/u);
    expect(ln).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(clean(image)).toEqual([]);
    const linked = made("links", "4M");
    await runLine(["touch", `${linked}:/f`]);
    const poke = ["-w", "-R", "set_inode_field /f links_count 65000", linked];
    execFileSync("debugfs", poke, { stdio: "pipe" });
    const many = await runLine(["ln", `${linked}:/f`, `${linked}:/g`]);
    expect(many.stderr).toMatch(/failed to create hard link to '.*': EMLINK: too many links/u);
  });

  test("names that are too long, and paths that go round", async () => {
    const image = made("names", "4M");
    const long = "n".repeat(256);
    const [mkdir, mv, , loop, put, deep] = await inOrder([
      ["mkdir", `${image}:/${long}`],
      ["mv", `${image}:/lost+found`, `${image}:/${long}`],
      ["ln", "-s", "round", `${image}:/round`],
      ["chmod", "600", `${image}:/round`],
      ["put", join(cwd, "small"), `${image}:/round/x`],
      ["mkdir", `${image}:${"/d".repeat(2100)}`],
    ]);
    expect(mkdir?.stderr).toMatch(/cannot create directory '.*': ENAMETOOLONG: name too long/u);
    expect(mv?.stderr).toMatch(/ENAMETOOLONG/u);
    expect(loop?.stderr).toMatch(/cannot access '.*round': ELOOP/u);
    expect(put?.stderr).toMatch(/ELOOP/u);
    expect(deep?.stderr).toMatch(/ENAMETOOLONG/u);
    expect(clean(image)).toEqual([]);
  });

  test("an image that is shorter than it says, or no image", async () => {
    const image = made("short", "8M");
    fs.truncateSync(image, 5 << 20);
    fs.writeFileSync(join(cwd, "text"), "x".repeat(10_000));
    fs.writeFileSync(join(cwd, "empty"), "");
    const ended = await inOrder([
      mkdirIn(image),
      ["tune", "-L", "x", image],
      mkdirIn(join(cwd, "text")),
      mkdirIn(join(cwd, "empty")),
      mkdirIn(join(cwd, "nothing.img")),
      mkdirIn(cwd),
    ]);
    const rules = [
      /EUCLEAN: .*blocks_count is 8192, the device has only 5120: it was cut short/u,
      /EUCLEAN: .*cut short/u,
      /EINVAL: .*no filesystem of a known kind/u,
      /EINVAL: .*empty/u,
      /ENOENT: no such file or directory, open '.*nothing\.img'/u,
      /EISDIR/u,
    ];
    for (const [i, rule] of rules.entries()) {
      expect(ended[i]?.status).toBeGreaterThan(0);
      expect(ended[i]?.stderr).toMatch(rule);
    }
  });

  test("an image that somebody writes to, and one that must not change", async () => {
    const image = made("locked", "4M");
    const volume = openVolume(image, { write: true });
    const busy = await runLine(["mkdir", `${image}:/x`]);
    const tune = await runLine(["tune", "-L", "x", image]);
    volume.close();
    expect(busy).toMatchObject({ status: 1 });
    expect(busy.stderr).toMatch(/EBUSY: .*this process .*writes to it/u);
    expect(tune.stderr).toMatch(/EBUSY/u);
    const marked = await inOrder([
      ["tune", "-O", "read-only", image],
      ["touch", `${image}:/x`],
    ]);
    expect(marked[1]?.stderr).toMatch(/cannot touch '.*': ENOTSUP: .*read-only/u);
    expect(clean(image)).toEqual([]);
  });

  test("a journal that was left full is replayed by sync, and refused by tune", async () => {
    const image = made("dirty", "8M");
    const volume = openVolume(image, { write: true });
    volume.fs.mkdirSync("/made");
    volume.fs.writeFileSync("/made/file", "content");
    volume.sync();
    // As after a power cut: the journal holds what its places do not.
    const cut = join(cwd, "cut.img");
    fs.copyFileSync(image, cut);
    volume.close();
    const [tune, sync, cat, tuned] = await inOrder([
      ["tune", "-L", "x", cut],
      ["sync", cut],
      ["cat", `${cut}:/made/file`],
      ["tune", "-L", "x", cut],
    ]);
    expect(tune?.stderr).toMatch(/EUCLEAN: .*journal has to be replayed first.*daxkit sync/u);
    expect(sync).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(cat?.stdout).toBe("content");
    expect(tuned?.status).toBe(0);
    expect(clean(cut)).toEqual([]);
  });

  test("odd options and operands are a matter of usage, and change nothing", async () => {
    const image = made("odd", "4M");
    const at = `${image}:/lost+found`;
    const lines: readonly (readonly [string[], RegExp])[] = [
      [["chmod", "9", at], /invalid mode: '9'/u],
      [["chmod", "u=q", at], /invalid mode/u],
      [["chmod", "600"], /IMAGE:PATH is missing/u],
      [["chown", "no:such:user", at], /invalid user/u],
      [["chown", ":nosuchgroup", at], /invalid group/u],
      [["truncate", "-s", "12Q", at], /write bytes/u],
      [["truncate", "-s", "9E", at], /above 2\^53/u],
      [["truncate", "-s", "/0", at], /a multiple of 0/u],
      [["truncate", at], /give a size/u],
      [["fallocate", at], /length is missing/u],
      [["fallocate", "-l", "0", at], /a range has a length/u],
      [["fallocate", "-p", "-z", "-l", "1", at], /exclude each other/u],
      [["fallocate", "-c", "-n", "-l", "1", at], /-n does not go with/u],
      [["setfattr", at], /give -n NAME/u],
      [["setfattr", "-n", "user.x", "-v", "0xabc", at], /no pairs of digits/u],
      [["getfattr", "-m", "(", at], /no regular expression/u],
      [["mv", at], /DEST is missing/u],
      [["mv", "--exchange", at, at, at], /two paths/u],
      [["mv", at, cwd], /is no IMAGE:PATH: .*'daxkit cp' copies/u],
      [["mv", join(cwd, "small"), at], /small' is no IMAGE:PATH/u],
      [["touch", "-d", "2023-02-29", at], /invalid date/u],
      [["ln", "-s", at], /a target and IMAGE:DEST/u],
      [["rm"], /IMAGE:PATH is missing/u],
      [["touch", "-d", "yesterdayish", at], /invalid date/u],
      [["touch", "-t", "99999999", at], /invalid date format/u],
      [["put", join(cwd, "small")], /DEST is missing/u],
      [["sync", at], /without a path in it/u],
      [["mkdir", "--partition", "1", "--offset", "512", at], /exclude each other/u],
      [["tune", "-m", "51", image], /0 to 50/u],
      [["tune", image], /nothing to do/u],
      [["tune", "-U", "xyz", image], /no uuid/u],
    ];
    for (const [words, rule] of lines) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const ended = await runLine(words);
      expect({ words, status: ended.status }).toEqual({ words, status: 2 });
      expect(ended.stderr).toMatch(rule);
    }
    expect((await runLine(["ls", image])).stdout).toBe("lost+found\n");
    expect(clean(image)).toEqual([]);
  });
});
