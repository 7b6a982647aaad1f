/**
 * What a mounted kernel does to an image of the matrix: fragments, holes, unwritten extents,
 * directories that grow and shrink, times at both ends of the format.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { Prng } from "../../src/lib/prng.ts";
import { pattern } from "./source-tree.ts";

/** Two files written block by block in turn, each block forced out: as fragmented as can be. */
function fragments(root: string, random: Prng): void {
  const fds = ["odd", "even"].map((name) => fs.openSync(join(root, name), "w"));
  for (let i = 0; i < 120; i++) {
    for (const fd of fds) {
      fs.writeSync(fd, pattern(random, 4096), 0, 4096, i * 8192);
      if (i % 8 === 0) fs.fdatasyncSync(fd);
    }
  }
  for (const fd of fds) {
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  }
}

function reservations(root: string): void {
  const path = join(root, "reserved");
  fs.writeFileSync(path, "head");
  const tell = (...args: string[]): void => {
    // ext2 and ext3 without extents know no fallocate: there the file stays as it is.
    try {
      execFileSync("fallocate", [...args, path], { stdio: "pipe" });
    } catch {
      fs.appendFileSync(path, args.join(" "));
    }
  };
  tell("-l", "700000");
  tell("-n", "-o", "700000", "-l", "65536");
  tell("-p", "-o", "65536", "-l", "131072");
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, "written inside the reservation", 300_000);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

function directories(root: string): void {
  const folder = join(root, "crowd");
  fs.mkdirSync(folder);
  for (let i = 0; i < 6000; i++) fs.writeFileSync(join(folder, `member-${i}-of-a-crowd`), "");
  for (let i = 0; i < 6000; i += 3) fs.unlinkSync(join(folder, `member-${i}-of-a-crowd`));
  for (let i = 1; i < 600; i += 3) {
    fs.renameSync(join(folder, `member-${i}-of-a-crowd`), join(folder, `renamed-${i}`));
  }
}

function times(root: string): void {
  const dates = ["1901-12-14 00:00:00", "1969-12-31 23:59:59.5", "2038-01-19 03:14:08.25"];
  for (const [i, date] of dates.entries()) {
    const path = join(root, `time-${i}`);
    fs.writeFileSync(path, date);
    execFileSync("touch", ["-h", "-d", `${date} UTC`, path], { stdio: "pipe" });
  }
}

/** Ages a mounted image; everything is committed when it returns. */
export function age(root: string): void {
  const folder = join(root, "aged");
  fs.mkdirSync(folder);
  fragments(folder, new Prng(7));
  reservations(folder);
  directories(folder);
  times(folder);
  fs.rmSync(join(root, "d3"), { recursive: true });
  const value = Buffer.alloc(900, "x").toString("base64");
  execFileSync("setfattr", ["-n", "user.late", "-v", `0s${value}`, join(folder, "odd")]);
  const fd = fs.openSync(folder, "r");
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/** Goes on after {@link age} with work that is committed, but nowhere written in place. */
export function dirty(root: string): void {
  const folder = join(root, "late");
  fs.mkdirSync(folder);
  for (let i = 0; i < 60; i++) {
    const path = join(folder, `late-${i}`);
    const fd = fs.openSync(path, "w");
    fs.writeSync(fd, pattern(new Prng(i), 100 * i));
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    if (i % 4 === 0) fs.unlinkSync(path);
    if (i % 4 === 1) fs.renameSync(path, join(folder, `moved-${i}`));
  }
  fs.rmSync(join(root, "aged", "crowd"), { recursive: true });
  const fd = fs.openSync(join(folder, "last"), "w");
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}
