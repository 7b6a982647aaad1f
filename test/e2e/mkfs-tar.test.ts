/** Archives through pipes into new filesystems, as they are typed. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { shell } from "../support/daxkit.ts";
import { archive, file, header } from "../support/tar-archives.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-mkfs-pipe-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));
fs.writeFileSync(
  join(folder, "a.tar"),
  archive(
    header({ name: "/d/", type: "5" }),
    file("d/large", Buffer.alloc(3_000_000, "x")),
    file("f", "f"),
  ),
);

test("standard input, plain and compressed, and a pipe with a name, make the same bytes", () => {
  const make = "daxkit mkfs.ext4 -q --seed 1 -d";
  const line = [
    `cat a.tar | ${make} - one 16M`,
    `gzip -c a.tar | ${make} - two 16M`,
    `mkfifo pipe; cat a.tar > pipe & ${make} pipe three 16M`,
    "cmp one two && cmp one three && daxkit cat one:/f",
  ].join(" && ");
  const { status, stdout, stderr } = shell(line, folder);
  const warning = "leading '/' is removed from members' names";
  expect({ status, stdout }).toEqual({ status: 0, stdout: "f" });
  expect(stderr.split("\n").filter((each) => each.includes(warning))).toHaveLength(3);
});

test("nothing on standard input is an empty filesystem and a warning; a break is an error", () => {
  const { status, stderr } = shell("daxkit mkfs.ext4 -q -d - none 8M < /dev/null", folder);
  expect([status, stderr]).toEqual([0, expect.stringMatching(/the archive is empty/u)]);
  const cut = shell("head -c 100000 a.tar | daxkit mkfs.ext4 -q -d - cut 16M", folder);
  expect([cut.status, cut.stderr]).toEqual([2, expect.stringMatching(/EUCLEAN.*ends too early/u)]);
  expect(fs.existsSync(join(folder, "cut"))).toBe(false);
});
