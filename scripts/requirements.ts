/**
 * `npm run requirements [-- --json]`: which rows of docs/requirements.md are covered, by which
 * tests, and which are not. Fails when a test carries a number that no row has.
 */
import { resolve } from "node:path";
import { type CoveredRow, type RowTest, readCoverage } from "./row-coverage.ts";

// Nothing is wrong with a reader that has seen enough.
process.stdout.on("error", () => {});
const { rows, unknown } = readCoverage(resolve(import.meta.dirname, ".."));
process.stdout.write(
  process.argv.includes("--json") ? `${JSON.stringify({ rows, unknown })}\n` : text(),
);
process.exitCode = unknown.length > 0 ? 1 : 0;

function text(): string {
  const covered = rows.filter(({ tests }) => tests.length > 0);
  const open = rows.filter(({ tests, background }) => tests.length === 0 && !background);
  const tests = new Set(covered.flatMap((row) => row.tests)).size;
  const background = rows.length - covered.length - open.length;
  return [
    "Covered",
    ...covered.flatMap((row) => [line(row), ...row.tests.map(place)]),
    "",
    "Not covered",
    ...open.map(line),
    "",
    ...unknown.map((test) => `a row that is not in the table: ${place(test).trim()}`),
    `${covered.length} rows covered by ${tests} tests, ${open.length} not covered, ` +
      `${background} ask for nothing that a test could show`,
    "",
  ].join("\n");
}

function line({ row, text: words }: CoveredRow): string {
  return `${row.padStart(6)}  ${words}`;
}

function place({ file, line: at, title }: RowTest): string {
  return `        ${file}:${at}  ${title}`;
}
