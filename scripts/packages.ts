/**
 * `npm run packages -- [NAME...]`: proves programs that use packages of npm, and compares with the
 * table in `examples/packages`. What is lost is shown to e2fsck and debugfs, which must see the
 * same. `--write` writes the table's page.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

interface Row {
  readonly name: string;
  readonly script: string;
  readonly args?: readonly string[];
  readonly setup?: string;
  readonly check: string;
  readonly model?: string;
  readonly kind: string;
  readonly why: string;
}

interface Call {
  readonly name: string;
  readonly path?: string;
  readonly to?: string;
  readonly site?: { readonly file: string; readonly line: number };
}

interface Verdict {
  readonly kind: string;
  readonly why?: string;
  readonly said?: string;
  readonly space?: string;
  readonly counterExample?: {
    readonly said: string;
    readonly cuts: readonly { readonly acked: readonly unknown[] }[];
  };
  /** Why nothing mends it. */
  readonly noRemedy?: string;
  readonly missingCalls?: readonly {
    readonly when: string;
    readonly what: string;
    readonly call: Call;
  }[];
}

const root = resolve(import.meta.dirname, "..");
const folder = join(root, "examples/packages");
const MODEL = "ext4-ordered";

function installed(): boolean {
  const text = readFileSync(join(folder, "package.json"), "utf8");
  const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> };
  const paths = createRequire(join(folder, "here.mjs")).resolve.paths("x") ?? [];
  return Object.entries(dependencies).every(([name, version]) =>
    paths.some((path) => {
      const found = join(path, name, "package.json");
      return existsSync(found) && readFileSync(found, "utf8").includes(`"version": "${version}"`);
    }),
  );
}

function wordsOf({ script, args = [], setup, check, model = MODEL }: Row): string[] {
  const before = setup === undefined ? [] : ["--setup", setup];
  return ["--mount", "/data", "--model", model, ...before, "--check", check, script, ...args];
}

function prove(row: Row, image: string): Verdict {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "prove", "--json", "--save-image", image, ...wordsOf(row)],
    { cwd: folder, encoding: "utf8" },
  );
  if (stdout === "") throw new Error(`${row.name}: ${stderr}`);
  return JSON.parse(stdout) as Verdict;
}

/** What the same check says of what e2fsck and debugfs make of the image; undefined: not there. */
function judged(row: Row, verdict: Verdict, image: string): string | undefined {
  const repaired = spawnSync("e2fsck", ["-p", image]);
  if (repaired.error !== undefined || (repaired.status ?? 9) > 1) return undefined;
  const tree = `${image}.tree`;
  mkdirSync(tree);
  spawnSync("debugfs", ["-R", `rdump / ${tree}`, image]);
  const acked = JSON.stringify(verdict.counterExample?.cuts[0]?.acked ?? []);
  const given = `{ fs, acked: ${acked}, mount: ${JSON.stringify(tree)} }`;
  const program = `import fs from "node:fs";
const { default: check } = await import(${JSON.stringify(pathToFileURL(join(folder, row.check)))});
let said; try { said = await check(${given}); } catch (error) { said = error.message; }
process.stdout.write(said === true || said === undefined ? "content" : String(said));`;
  const words = ["--input-type=module", "-e", program];
  return spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" }).stdout;
}

function remedyOf({ missingCalls, noRemedy = "" }: Verdict): string {
  if (missingCalls === undefined) return noRemedy;
  return missingCalls
    .map(({ when, what, call }) => {
      const target = what === "directory" ? "the directory" : "the file";
      const file = call.site?.file.replace(/^.*\/(?:node_modules|packages)\//u, "") ?? "";
      return `fsync of ${target} ${when} \`${call.name}\` (\`${file}:${call.site?.line}\`)`;
    })
    .join("; ");
}

interface Done {
  readonly row: Row;
  readonly verdict: Verdict;
  readonly judge: string;
  readonly right: boolean;
}

function run(row: Row, temporary: string): Done {
  const image = join(temporary, `${row.name}.img`);
  const verdict = prove(row, image);
  const right = verdict.kind === row.kind;
  if (verdict.kind !== "Lost") return { row, verdict, judge: "", right };
  const said = judged(row, verdict, image);
  if (said === undefined) return { row, verdict, judge: "e2fsck: NOT HERE", right: false };
  const same = said !== "content" && said !== "";
  const judge = same ? "e2fsck -p: the same loss" : `e2fsck -p: NOT the same (${said})`;
  return { row, verdict, judge, right: right && same };
}

function page(all: readonly Done[]): string {
  const rows = all.map(({ row, verdict }) => {
    const remedy = verdict.kind === "Lost" ? remedyOf(verdict) : "";
    const program = [row.script, ...(row.args ?? [])].join(" ");
    const word = verdict.kind === "Lost" ? "loses" : "survives";
    return `| \`${row.name}\` | \`${program}\` | ${word} | ${row.why} | ${remedy} |`;
  });
  return [HEAD, ...rows, FOOT].join("\n");
}

function writePage(text: string): void {
  const path = join(folder, "README.md");
  writeFileSync(path, text);
  spawnSync(join(root, "node_modules/.bin/oxfmt"), [path], { stdio: ["ignore", 2, 2] });
}

const HEAD = [
  "# Packages, put to the question",
  "",
  "Each of these programs promises something with a line `ack …` and is proved, unmodified, with",
  `its packages. The model is \`${MODEL}\`: ext4 on a disk with a volatile write cache,`,
  '`data=ordered`. "Loses" says that there is a power cut after which the promise is not kept; it',
  "says nothing against a package that promises something else: most are asked for speed, and say",
  "so. Every loss was shown to `e2fsck -p` and `debugfs`, and the same check says the same of what",
  "they make of the image.",
  "",
  "One row again: `npm run packages -- NAME`; all of them, and this page:",
  "`npm run packages -- --write`.",
  "",
  "| name | program | verdict | why | what mends it, verified |",
  "| ---- | ------- | ------- | --- | ----------------------- |",
].join("\n");

const FOOT = [
  "",
  "The promise is in each case the last line of the program, and what has to be true of it stands",
  "at the top of its check. On `ext4-dax`, or with another filesystem, the answers may differ:",
  "`daxkit prove --model`.",
  "",
].join("\n");

function main(words: readonly string[]): number {
  const table = JSON.parse(readFileSync(join(folder, "table.json"), "utf8")) as readonly Row[];
  const names = words.filter((word) => !word.startsWith("-"));
  const unknown = names.find((name) => table.every((row) => row.name !== name));
  if (unknown !== undefined) {
    const known = table.map(({ name }) => name).join(", ");
    process.stderr.write(`packages: there is no '${unknown}': ${known}\n`);
    return 2;
  }
  if (!installed()) {
    const npm = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
    spawnSync("npm", npm, { cwd: folder, stdio: ["ignore", 2, 2] });
  }
  const temporary = mkdtempSync(join(tmpdir(), "daxkit-packages-"));
  const all: Done[] = [];
  try {
    for (const row of table) {
      if (names.length > 0 && !names.includes(row.name)) continue;
      const done = run(row, temporary);
      all.push(done);
      const { verdict, judge, right } = done;
      const said = verdict.counterExample?.said ?? verdict.why ?? verdict.said ?? "";
      const told = [row.name.padEnd(28), verdict.kind.padEnd(9), said, judge].filter(Boolean);
      process.stdout.write(`${told.join("  ")}${right ? "" : `  EXPECTED ${row.kind}`}\n`);
      if (names.length > 0) {
        process.stdout.write(`  ${row.why}\n  ${remedyOf(verdict)}\n`);
        const line = `cd examples/packages && daxkit prove ${wordsOf(row).join(" ")}`;
        process.stdout.write(`  ${line}\n`);
      }
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  if (words.includes("--write") && names.length === 0) writePage(page(all));
  return all.every(({ right }) => right) ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
