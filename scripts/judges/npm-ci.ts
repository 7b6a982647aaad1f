/**
 * npm: this project's packages are installed on the mount, and are what npm installs elsewhere.
 */
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { expectSameTree } from "./aftermath.ts";
import { type Figures, type Judge, type Place, folderIn } from "./judge.ts";
import { Failure, must } from "./processes.ts";

const root = resolve(import.meta.dirname, "../..");
const QUIET = ["--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];

/** Seconds that `npm ci` takes in a new folder with this project's lists of packages. */
async function install(folder: string, options: readonly string[]): Promise<number> {
  for (const name of ["package.json", "package-lock.json"]) {
    copyFileSync(join(root, name), join(folder, name));
  }
  const args = ["ci", "--ignore-scripts", ...QUIET, ...options];
  return (await must("npm", args, { cwd: folder, timeout: 1800 })).seconds;
}

/** A digest of each file, by name, and the target of each link. */
async function digests(folder: string): Promise<string> {
  const script =
    "find . -type f ! -name .package-lock.json -print0 | sort -z | xargs -0 -r sha256sum; " +
    "find . -type l -printf '%p -> %l\\n' | sort; find . -type d | sort";
  return (await must("sh", ["-c", script], { cwd: join(folder, "node_modules") })).output;
}

async function npmCi({ folder, scratch, size, say }: Place): Promise<Figures> {
  const options = size === "full" ? [] : ["--omit=dev", "--omit=optional"];
  const here = folderIn(scratch, "npm");
  const there = folderIn(folder, "npm");
  const elsewhere = await install(here, options);
  const seconds = await install(there, options);
  say(`npm ci in ${seconds.toFixed(1)} s, elsewhere in ${elsewhere.toFixed(1)} s`);
  const found = await digests(there);
  expectSameTree(await digests(here), found, "npm ci gave other files");
  await must("npm", ["ls", "--all", ...options], { cwd: there });
  if (existsSync(join(there, "node_modules/.bin/tsc"))) {
    await must("npx", ["tsc", "--version"], { cwd: there });
  }
  rmSync(here, { recursive: true });
  await install(there, options);
  if ((await digests(there)) !== found) throw new Failure("npm ci gave other files again");
  return { files: found.split("\n").length - 1, seconds: Number(seconds.toFixed(1)) };
}

export const NPM: Judge = {
  name: "npm",
  summary: "npm ci of this project, twice, compared with an installation elsewhere",
  mib: { small: 128, full: 2048 },
  programs: ["npm", "sha256sum", "xargs"],
  run: npmCi,
};
