/** Archives and directories into images, as it is typed. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeEach, expect, test } from "vitest";
import { daxkit, jsonLines, shell } from "../support/daxkit.ts";
import { archive, file, header } from "../support/tar-archives.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-fill-"));
const image = join(folder, "disk.img");
afterAll(() => fs.rmSync(folder, { recursive: true }));
beforeEach(() => {
  fs.rmSync(image, { force: true });
  daxkit(["mkfs.ext4", "-q", image, "16M"]);
});

const tar = archive(
  header({ name: "./top/", type: "5", mode: "0000755" }),
  file("./top/f", "content", { uid: "0001750", mtime: "00000000144" }),
  header({ name: "./top/l", type: "2", link: "f" }),
);
fs.writeFileSync(join(folder, "a.tar"), tar);
fs.writeFileSync(join(folder, "a.tgz"), gzipSync(tar));

/** What a run printed, its status before it. */
function run(...args: readonly string[]): string {
  const { status, stdout, stderr } = daxkit(["fill", ...args], { cwd: folder });
  return [status, stdout, stderr].filter((each) => each !== "").join(" ");
}

function findings(): string {
  const { status, stdout } = daxkit(["check", image]);
  return status === 0 ? "" : stdout;
}

test("from a file, a pipe and a directory", () => {
  expect(run("disk.img", "a.tgz", "-v")).toBe("0 ./top/\n./top/f\n./top/l\n");
  const pipe = "cat a.tar | daxkit fill disk.img:/in -C here -";
  const made = shell(`${pipe} --strip-components 1`, folder);
  expect([made.status, made.stdout]).toEqual([2, ""]);
  expect(made.stderr).toMatch(/ENOENT/u);
  fs.mkdirSync(join(folder, "tree", "in", "here"), { recursive: true });
  fs.writeFileSync(join(folder, "tree", "in", "\u00e4"), "x");
  expect(run("disk.img", "tree")).toBe("0");
  const { status, stderr } = shell(
    "cat a.tar | daxkit fill disk.img:/in -C here --strip-components 2 -",
    folder,
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(daxkit(["cat", `${image}:/in/here/l`]).stdout).toBe("content");
  const [seen] = jsonLines(daxkit(["stat", "--json", `${image}:/in/here/f`]).stdout);
  expect(seen).toMatchObject({ uid: 1000 });
  expect(daxkit(["cat", `${image}:/in/\u00e4`]).stdout).toBe("x");
  expect(findings()).toBe("");
});

test("what is there, and what is wrong", () => {
  run("disk.img", "a.tar");
  expect(run("disk.img", "a.tar", "--skip-old-files")).toBe("0");
  expect(run("disk.img", "a.tar", "-k")).toMatch(/^1 .*EEXIST.*'disk.img:.\/top\/f'/u);
  const [record] = jsonLines(run("disk.img", "a.tar", "--json", "--no-same-owner").slice(2));
  expect(record).toMatchObject({ image: "disk.img", members: 3, bytes: 7 });
  fs.writeFileSync(join(folder, "out.tar"), archive(file("../out")));
  expect(run("disk.img", "out.tar")).toMatch(/^2 .*EINVAL.*'disk.img:..\/out'.*leads out/u);
  fs.writeFileSync(join(folder, "cut.tar"), tar.subarray(0, 700));
  expect(run("disk.img", "cut.tar")).toMatch(/^2 .*'cut.tar' \(.*ends too early.*1 member was/u);
  expect(run("disk.img", "none.tar")).toMatch(/^2 .*ENOENT.*'none.tar'/u);
  fs.writeFileSync(join(folder, "big.tar"), archive(file("a"), file("big", new Uint8Array(2e7))));
  expect(run("disk.img", "big.tar")).toMatch(/^2 .*ENOSPC.*'disk.img:big'.*1 member was made/u);
  expect(findings()).toBe("");
});
