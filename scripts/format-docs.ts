/**
 * Writes docs/format/*.md from the structures that src/format/** exports: what the code reads is
 * what the documentation says. `--check` writes nothing and fails when a page is stale.
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { formatPages } from "./format-pages.ts";

const root = resolve(import.meta.dirname, "..");
const folder = join(root, "docs/format");
const pages = await formatPages(root);

mkdirSync(folder, { recursive: true });
const present = readdirSync(folder);
const left = present.filter((name) => !pages.has(name));
const stale = [...pages].filter(
  ([name, text]) => !present.includes(name) || readFileSync(join(folder, name), "utf8") !== text,
);

if (process.argv.includes("--check")) {
  for (const name of [...left, ...stale.map(([page]) => page)]) {
    process.stderr.write(`docs/format/${name} is stale: run node scripts/run.mjs format-docs\n`);
    process.exitCode = 1;
  }
} else {
  for (const name of left) rmSync(join(folder, name));
  for (const [name, text] of stale) writeFileSync(join(folder, name), text);
  process.stdout.write(`${pages.size} pages, ${stale.length} written, ${left.length} removed\n`);
}
