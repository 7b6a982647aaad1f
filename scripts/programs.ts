/**
 * `npm run programs -- [WORD...]`: proves the programs of `examples/programs` on a FUSE mount, each
 * by default and with `--commits asked`. What is lost is shown to this machine's kernel and to
 * e2fsck, each with its own copy of the volume as power left it: the same check must fail there,
 * too. Only cases with one of the words in their name; `--write` puts what was found into
 * `results.json` and the tables of docs/prove-programs.md, `--commits any|asked` takes one of both.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  COMMITS,
  type Case,
  type Commits,
  type Found,
  type Results,
  casesOf,
  resultsOf,
  writePage,
} from "./programs-page.ts";

interface Call {
  readonly name: string;
  readonly path?: string;
  readonly detail?: string;
}

interface Verdict {
  readonly kind: string;
  readonly why?: string;
  readonly space?: string;
  readonly failing?: string;
  readonly noRemedy?: string;
  readonly counterExample?: {
    readonly said: string;
    readonly cuts: readonly { readonly acked: readonly string[] }[];
  };
  readonly missingCalls?: readonly {
    readonly when: string;
    readonly what: string;
    readonly path: string;
    readonly call: Call;
  }[];
}

const root = resolve(import.meta.dirname, "..");
const folder = join(root, "examples/programs");
const MODEL = "ext4-ordered";

/** Folders of one run of this script. */
interface Places {
  readonly mount: string;
  /** Where others mount what is left. */
  readonly others: string;
  readonly image: string;
  /** Where programs are built. */
  readonly built: string;
}

function placesIn(temporary: string): Places {
  const of = (name: string): string => join(temporary, name);
  for (const name of ["mount", "others", "built"]) mkdirSync(of(name));
  return { mount: of("mount"), others: of("others"), image: of("image"), built: of("built") };
}

function shell(line: string, env: Readonly<Record<string, string>>, input = "") {
  const given = { cwd: folder, env: { ...process.env, ...env }, input, encoding: "utf8" } as const;
  return spawnSync("sh", ["-c", line], given);
}

function prove(one: Case, commits: Commits, places: Places): Verdict {
  const { setup, check, run } = one;
  const env = { DAXKIT_BUILT: places.built };
  const options = ["--model", MODEL, "--commits", commits, "--check", check];
  if (setup !== undefined) options.push("--setup", setup);
  options.push("--mount-fuse", places.mount, "--save-image", places.image);
  const command = run.replaceAll("$DAXKIT_BUILT", places.built).split(" ");
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "prove", "--json", ...options, "--", ...command],
    { cwd: folder, encoding: "utf8", env: { ...process.env, ...env } },
  );
  if (stdout === "") throw new Error(`${one.name}: ${stderr}`);
  return JSON.parse(stdout) as Verdict;
}

/** Who says that the same is lost, and who could not be asked; or who says otherwise. */
interface Judged {
  readonly judges: readonly string[];
  readonly against: readonly string[];
}

function judged(one: Case, verdict: Verdict, places: Places): Judged {
  const judges: string[] = [];
  const against: string[] = [];
  const acked = verdict.counterExample?.cuts[0]?.acked ?? [];
  for (const [name, look] of Object.entries(JUDGES)) {
    const left = `${places.image}.${name}`;
    cpSync(places.image, left);
    const content = look(left, places.others, (mount) => isContent(one, mount, acked, places));
    if (content !== undefined) (content ? against : judges).push(name);
    rmSync(left);
  }
  return { judges, against };
}

/** What the check says on a mount of others. */
function isContent(one: Case, mount: string, acked: readonly string[], { built }: Places): boolean {
  const given = {
    DAXKIT_MOUNT: mount,
    DAXKIT_ACKED: String(acked.length),
    DAXKIT_LAST_ACK: acked.at(-1) ?? "",
    DAXKIT_BUILT: built,
  };
  const { status } = shell(one.check, given, acked.map((label) => `${label}\n`).join(""));
  return status === 0;
}

type Look = (image: string, at: string, content: (mount: string) => boolean) => boolean | undefined;

/** Whether the check is content there; undefined where nobody could look. */
const JUDGES: Readonly<Record<string, Look>> = {
  /** Recovers the journal itself. */
  kernel(image, at, content) {
    const { status } = spawnSync("mount", ["-o", "loop", image, at], { stdio: "ignore" });
    if (status !== 0) return undefined;
    try {
      return content(at);
    } finally {
      unmount(at);
    }
  },
  /** Recovers and repairs; debugfs copies what is there. */
  e2fsck(image, at, content) {
    const { status, error } = spawnSync("e2fsck", ["-p", image], { stdio: "ignore" });
    if (error !== undefined) return undefined;
    // 0: clean, 1: something was repaired. What cannot be repaired so is lost, all of it.
    if ((status ?? 9) > 1) return false;
    const tree = `${at}.tree`;
    mkdirSync(tree);
    spawnSync("debugfs", ["-R", `rdump / ${tree}`, image], { stdio: "ignore" });
    const said = content(tree);
    rmSync(tree, { recursive: true });
    return said;
  },
};

/** Somebody may be looking through all mounts just now. */
function unmount(at: string): void {
  for (let tries = 0; tries < 200; tries++) {
    if (spawnSync("umount", [at], { stdio: "ignore" }).status === 0) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
  throw new Error(`${at} stays mounted`);
}

function missingOf({ missingCalls = [], noRemedy = "" }: Verdict): string {
  const words = missingCalls.map(({ what, path, when, call }) => {
    const of = what === "file" ? `\`${path}\`` : `the directory \`${path}\``;
    const target = call.path === path ? "" : ` of \`${call.path}\``;
    return `fsync of ${of} ${when} \`${call.name}\`${target}`;
  });
  return words.length === 0 ? noRemedy : words.join("; ");
}

function foundOf(one: Case, verdict: Verdict, places: Places): Found {
  const { kind, space = "0", failing = "0" } = verdict;
  if (kind !== "Lost") return { kind, states: space, fail: failing };
  const { judges, against } = judged(one, verdict, places);
  const said = verdict.counterExample?.said.replaceAll(places.mount, "$DAXKIT_MOUNT") ?? "";
  return { kind, states: space, fail: failing, said, missing: missingOf(verdict), judges, against };
}

/** Says it, and whether it is as expected. */
function told(one: Case, commits: Commits, found: Found, why = ""): boolean {
  const { kind, states, fail, said = why, judges = [], against = [] } = found;
  const wrong: string[] = [];
  if (kind !== one.expected) wrong.push(`EXPECTED ${one.expected}`);
  if (against.length > 0) wrong.push(`${against.join(", ")}: NOT LOST`);
  if (kind === "Lost" && judges.length === 0) wrong.push("NOBODY ELSE WAS ASKED");
  const same = judges.length === 0 ? "" : `${judges.join(", ")}: the same loss`;
  const counts = kind === "Lost" ? `${fail} of ${states} fail` : `${states} states`;
  const parts = [`${one.name} (${commits})`, kind, counts, said, same, ...wrong];
  process.stdout.write(`${parts.filter((part) => part !== "").join("  ")}\n`);
  return wrong.length === 0;
}

function isThere(name: string): boolean {
  return spawnSync("which", [name]).status === 0;
}

function build(one: Case, places: Places): boolean {
  const missing = one.needs.filter((name) => !isThere(name));
  if (missing.length > 0) {
    process.stdout.write(`${one.name}: left out, there is no ${missing.join(", ")}\n`);
    return false;
  }
  if (one.build === undefined) return true;
  const { status, stderr } = shell(one.build, { DAXKIT_BUILT: places.built });
  if (status !== 0) throw new Error(`${one.name}: ${stderr}`);
  return true;
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { write: { type: "boolean" }, page: { type: "boolean" }, commits: { type: "string" } },
  });
  if (values.page) return writePage(resultsOf());
  const wanted = COMMITS.filter((one) => values.commits === undefined || values.commits === one);
  const cases = casesOf().filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  if (cases.length === 0 || wanted.length === 0) {
    process.stderr.write("programs: there is no such case; examples/programs/cases.json has all\n");
    return 2;
  }
  const temporary = mkdtempSync(join(tmpdir(), "daxkit-programs-"));
  try {
    return proveAll(cases, wanted, placesIn(temporary), values.write === true);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function proveAll(
  cases: readonly Case[],
  wanted: readonly Commits[],
  places: Places,
  write: boolean,
): number {
  let right = true;
  for (const one of cases) {
    if (!build(one, places)) continue;
    for (const commits of wanted) {
      const verdict = prove(one, commits, places);
      const found = foundOf(one, verdict, places);
      right = told(one, commits, found, verdict.why) && right;
      if (write) note(one, commits, found);
    }
  }
  if (write) writePage(resultsOf());
  return right ? 0 : 1;
}

/** Each as soon as it is known: all of them take an hour, and may be done in parts. */
function note(one: Case, commits: Commits, found: Found): void {
  const results: Record<string, Results[string]> = { ...resultsOf() };
  results[one.name] = { ...results[one.name], [commits]: found };
  const ordered = casesOf().flatMap(({ name }) =>
    results[name] === undefined ? [] : [[name, results[name]] as const],
  );
  const text = JSON.stringify(Object.fromEntries(ordered), undefined, 2);
  writeFileSync(join(folder, "results.json"), `${text}\n`);
}

process.exitCode = main();
