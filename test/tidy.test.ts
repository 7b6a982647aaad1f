/**
 * Tidy: rules about the code itself that no linter knows.
 */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { formatPages } from "../scripts/format-pages.ts";
import { readCoverage } from "../scripts/row-coverage.ts";

/** Lowest first. A floor imports from itself and from what stands before it. */
const FLOORS = [
  "lib",
  "format",
  "media",
  "dax",
  "block",
  "dm",
  "platform",
  "drivers",
  "vfs",
  "fs",
  "machine",
  "crash",
  "nbd",
  "fuse",
  "node",
  "cli",
];
const root = resolve(import.meta.dirname, "..");
const src = join(root, "src");

/** Spelled apart, so that this file passes its own test. */
const UNFINISHED = new RegExp(
  ["TO", "FIX", "X"].map((word, i) => word + ["DO", "ME", "XX"][i]).join("|"),
  "u",
);

function files(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => join(folder, path));
}

function text(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function floorOf(path: string): number {
  return FLOORS.indexOf(relative(src, path).split("/")[0] ?? "");
}

function offenders(paths: readonly string[], wrong: (text: string) => boolean): string[] {
  return paths.filter((path) => wrong(text(path)));
}

/** `path:line` of every line that matches. */
function lines(paths: readonly string[], wrong: (line: string) => boolean): string[] {
  return paths.flatMap((path) =>
    text(path)
      .split("\n")
      .flatMap((line, index) => (wrong(line) ? [`${path}:${index + 1}`] : [])),
  );
}

const everything = ["src", "test", "bench", "scripts", "examples"].flatMap(files);
const core = files("src").filter((path) => !/^src\/(node|cli|web)\//u.test(path));

test("[0.1] floors import downwards only", () => {
  const wrong: string[] = [];
  for (const path of files("src")) {
    const floor = floorOf(join(root, path));
    for (const [, target] of text(path).matchAll(/from "(\.[^"]+)"/gu)) {
      const other = floorOf(resolve(root, dirname(path), target ?? ""));
      if (floor !== -1 && other > floor) wrong.push(`${path} -> ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("every folder of src is a floor", () => {
  const folders = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map((entry) => entry.name).filter((name) => !FLOORS.includes(name))).toEqual([]);
});

test("lines stay within 100 columns", () => {
  expect(lines(everything, (line) => line.length > 100)).toEqual([]);
});

test("files stay within 450 lines", () => {
  expect(offenders(everything, (body) => body.split("\n").length > 451)).toEqual([]);
});

test("every module of src opens with what it is", () => {
  const header = /^(#!.*\n)?\/\*\*[\s\S]*?@(module|packageDocumentation)/u;
  expect(offenders(files("src"), (body) => !header.test(body))).toEqual([]);
});

test("nothing is left unfinished", () => {
  expect(lines(everything, (line) => UNFINISHED.test(line))).toEqual([]);
});

test("the core reads no clock and rolls no dice", () => {
  const wrong = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(/u;
  expect(lines(core, (line) => wrong.test(line))).toEqual([]);
});

test("the core has nothing asynchronous", () => {
  const wrong = /\basync\b[^"`']*[({=]|\bawait |\bPromise\b/u;
  const faces = /^src\/crash\//u;
  const floors = core.filter((path) => !faces.test(path));
  expect(lines(floors, (line) => !/^\s*(\*|\/\/|\/\*\*)/u.test(line) && wrong.test(line))).toEqual(
    [],
  );
});

test("foreign calls live in *.unsafe.ts only", () => {
  const paths = files("src").filter((path) => !path.endsWith(".unsafe.ts"));
  expect(offenders(paths, (body) => /from "koffi"|import\("koffi"\)/u.test(body))).toEqual([]);
});

test("[2.79] no test is narrowed or skipped without a reason", () => {
  const wrong = /\b(test|it|describe)\.(only|skip|todo)\(/u;
  expect(lines(files("test"), (line) => wrong.test(line))).toEqual([]);
});

test("every requirement that a test names is in the table", () => {
  const { unknown } = readCoverage(root);
  expect(unknown.map(({ file, line, title }) => `${file}:${line} ${title}`)).toEqual([]);
});

test("docs/format is what src/format says: node scripts/run.mjs format-docs", async () => {
  const pages = await formatPages(root);
  const folder = join(root, "docs/format");
  expect(readdirSync(folder).toSorted()).toEqual([...pages.keys()].toSorted());
  const stale = [...pages].filter(
    ([name, body]) => readFileSync(join(folder, name), "utf8") !== body,
  );
  expect(stale.map(([name]) => name)).toEqual([]);
});
