/** The table of packages says what is so, and e2fsck sees each loss in the saved image. */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { programs } from "./judge.ts";

const root = resolve(import.meta.dirname, "../..");
const e2fsprogs = programs(["e2fsck", "debugfs"], "apt-get install e2fsprogs");
const LONG = process.env["DAXKIT_LONG"] !== undefined;
const ROWS = LONG ? [] : ["wal", "wal-late", "nedb"];

test.skipIf(e2fsprogs.missing)("each row, judged: the whole table with DAXKIT_LONG=1", () => {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ["--import", "tsx", join(root, "scripts/packages.ts"), ...ROWS],
    { cwd: root, encoding: "utf8" },
  );
  expect([status, stdout.includes("EXPECTED"), stderr]).toEqual([0, false, ""]);
  expect(stdout).toMatch(/^wal-late +Lost .*e2fsck -p: the same loss$/mu);
  expect(stdout).toMatch(/^wal +Survived/mu);
});
