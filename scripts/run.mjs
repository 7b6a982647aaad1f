/**
 * Runs a task of this repository on any clone: installs and builds what is missing first, and says
 * so only when there is something to do. Plain JavaScript without dependencies, because it runs
 * before anything is installed.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, "node_modules", ".bin", name);
const installStamp = join(root, "node_modules", ".package-lock.json");
const buildStamp = join(root, ".cache", "built");

/** What holds the explorer to brute force, and its memory to none: `npm run doubt -- CASES SEED`. */
const DOUBTED = ["remembering", "explorer-ext", "crash-explorer"];

/** Runs tests on what was built. */
const vitest = (words, env = {}) =>
  run(bin("vitest"), ["run", ...words], {
    env: { ...process.env, DAXKIT_TEST_BUILT: "1", ...env },
  });

const tasks = {
  start: () => run(process.execPath, [join(root, "dist/cli/main.js"), "tour", ...rest]),
  test: () => vitest(rest),
  guest: () => vitest(["--project", "guest", ...rest], { DAXKIT_GUEST: "1" }),
  costs: () => vitest(rest, { DAXKIT_COSTS: "1" }),
  bench: () => run(bin("tsx"), [join(root, "bench/run.ts"), ...rest]),
  ace: () => run(process.execPath, [join(root, "scripts/ace.mjs"), ...rest]),
  doubt: () =>
    vitest(
      DOUBTED.map((name) => `test/property/${name}.test.ts`),
      { DAXKIT_LONG: "1", DAXKIT_CASES: rest[0] ?? "1000", DAXKIT_SEED: rest[1] ?? "1" },
    ),
  fuzz: () => run(bin("tsx"), [join(root, "scripts/fuzz.ts"), ...rest]),
  judges: () => run(bin("tsx"), [join(root, "scripts/judges/run.ts"), ...rest]),
  packages: () => run(bin("tsx"), [join(root, "scripts/packages.ts"), ...rest]),
  programs: () => run(bin("tsx"), [join(root, "scripts/programs.ts"), ...rest]),
  "persistence-coverage": () =>
    run(bin("tsx"), [join(root, "scripts/persistence-coverage.ts"), ...rest]),
  requirements: () => run(bin("tsx"), [join(root, "scripts/requirements.ts"), ...rest]),
  "prove-shapes": () => run(bin("tsx"), [join(root, "scripts/prove-shapes.ts"), ...rest]),
  "format-docs": () => run(bin("tsx"), [join(root, "scripts/format-docs.ts"), ...rest]),
  readme: () => run(bin("tsx"), [join(root, "scripts/readme.ts"), ...rest]),
  build: () => 0,
};

const [task, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task ?? "")) {
  process.stderr.write(
    `usage: node scripts/run.mjs ${Object.keys(tasks).join("|")} [ARGUMENT...]\n`,
  );
  process.exit(2);
}
// Without the lock where there is nothing to do: the clone may be somebody else's, for reading only.
if (!isInstalled() || !isBuilt()) {
  withLock(() => {
    ensureInstalled();
    ensureBuilt();
  });
}
process.exit(tasks[task]());

function run(command, args, options = {}) {
  const cwd = task === "start" ? process.cwd() : root;
  const child = spawnSync(command, args, { stdio: "inherit", cwd, ...options });
  if (child.error !== undefined) {
    process.stderr.write(`daxkit: cannot run ${command}: ${child.error.message}\n`);
    return 2;
  }
  return child.status ?? 1;
}

/** What npm and tsc say goes to standard error: standard output belongs to the task. */
function prepare(what, command, args) {
  process.stderr.write(`daxkit: ${what} ...\n`);
  const status = run(command, args, { stdio: ["ignore", 2, 2], cwd: root });
  if (status !== 0) {
    process.stderr.write(`daxkit: ${what} failed with status ${status}\n`);
    process.exit(2);
  }
}

function isInstalled() {
  const lock = join(root, "package-lock.json");
  return existsSync(installStamp) && statSync(installStamp).mtimeMs >= statSync(lock).mtimeMs;
}

function ensureInstalled() {
  if (isInstalled()) return;
  prepare("installing packages", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  // npm keeps the stamp's own date; touch it, so that a lock file of a later checkout is noticed.
  const now = new Date();
  if (existsSync(installStamp)) utimesSync(installStamp, now, now);
}

function isBuilt() {
  const built = existsSync(buildStamp) ? statSync(buildStamp).mtimeMs : 0;
  return existsSync(join(root, "dist/cli/main.js")) && newest(join(root, "src")) <= built;
}

function ensureBuilt() {
  if (isBuilt()) return;
  const started = new Date();
  // tsc trusts its build records even when what they speak of was deleted.
  const force = existsSync(join(root, "dist")) ? [] : ["--force"];
  prepare("building", bin("tsc"), ["-b", "src/tsconfig.node.json", ...force]);
  mkdirSync(dirname(buildStamp), { recursive: true });
  writeFileSync(buildStamp, "");
  utimesSync(buildStamp, started, started);
}

function newest(folder) {
  let latest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    latest = Math.max(latest, statSync(path).mtimeMs);
  }
  return latest;
}

function cannotPrepare({ message }) {
  process.stderr.write(
    `daxkit: packages or build are missing or old, and nothing can be made here: ${message}\n` +
      `daxkit: let somebody who may write to ${root} run 'npm start' there\n`,
  );
  process.exit(2);
}

/** Two commands started at once in a new clone must not install on top of each other. */
function withLock(body) {
  const lock = join(root, ".cache", "preparing");
  for (;;) {
    try {
      mkdirSync(dirname(lock), { recursive: true });
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST" || error.path !== lock) cannotPrepare(error);
      // A command that was killed leaves its lock behind; nothing here takes ten minutes.
      const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > 600_000) rmdirSync(lock);
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  const unlock = () => {
    if (existsSync(lock)) rmdirSync(lock);
  };
  process.once("exit", unlock);
  body();
  unlock();
}
