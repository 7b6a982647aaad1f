/** `scripts/run.mjs`, which every command from a clone goes through first. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { REPOSITORY } from "../support/daxkit.ts";
import { withFolder } from "../support/host-tree.ts";

/** A clone in which all is installed and built. */
function prepare(root: string): void {
  for (const folder of ["scripts", "node_modules", "dist/cli", "src", ".cache"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  copyFileSync(join(REPOSITORY, "scripts/run.mjs"), join(root, "scripts/run.mjs"));
  for (const name of ["package-lock.json", "src/a.ts", "dist/cli/main.js"]) {
    writeFileSync(join(root, name), "");
    utimesSync(join(root, name), 1000, 1000);
  }
  utimesSync(join(root, "src"), 1000, 1000);
  writeFileSync(join(root, "node_modules/.package-lock.json"), "");
  writeFileSync(join(root, ".cache/built"), "");
}

function build(root: string) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "scripts/run.mjs"), "build"],
    { encoding: "utf8", timeout: 120_000 },
  );
  return { status, stdout, stderr };
}

test("a clone that is ready is used as it is, whoever holds its lock", () => {
  withFolder((root) => {
    prepare(root);
    // As in a clone that one may not write to: whoever wants the lock does not get it.
    mkdirSync(join(root, ".cache/preparing"));
    expect(build(root)).toEqual({ status: 0, stdout: "", stderr: "" });
  });
});

test("a clone that can be neither prepared nor used says so, and who can help", () => {
  withFolder((root) => {
    prepare(root);
    // Not built, and a file stands where the lock's folder belongs: that keeps even root from it.
    rmSync(join(root, ".cache"), { recursive: true });
    writeFileSync(join(root, ".cache"), "");
    const { status, stdout, stderr } = build(root);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^daxkit: packages or build are missing or old, .*\n.*run 'npm start'/u);
    expect(stderr.split("\n")).toHaveLength(3);
  });
});
