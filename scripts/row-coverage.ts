/**
 * Which rows of docs/requirements.md are covered by which tests: read from the titles in the test
 * sources, so that it takes no test run to know.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** A row of docs/requirements.md. */
export interface Row {
  readonly row: string;
  readonly text: string;
  /** It asks for nothing that a test could show. */
  readonly background: boolean;
}

/** A test that carries row numbers in its title or in that of a block around it. */
export interface RowTest {
  /** Path from the repository's root. */
  readonly file: string;
  readonly line: number;
  /** Titles from the outermost block inwards. */
  readonly title: string;
  readonly rows: readonly string[];
}

/** A row with the tests that cover it. */
export interface CoveredRow extends Row {
  readonly tests: readonly RowTest[];
}

/** What the tests cover, and the numbers they carry that no row has. */
export interface Coverage {
  readonly rows: readonly CoveredRow[];
  readonly unknown: readonly RowTest[];
}

/** Reads the table and every test source below `root`. */
export function readCoverage(root: string): Coverage {
  const rows = parseRows(readFileSync(join(root, "docs/requirements.md"), "utf8"));
  const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .toSorted()
    .flatMap((path) => {
      const file = join("test", path);
      return testsOf(file, readFileSync(join(root, file), "utf8"));
    });
  return cover(rows, tests);
}

/** Joins rows and tests. */
export function cover(rows: readonly Row[], tests: readonly RowTest[]): Coverage {
  const known = new Set(rows.map(({ row }) => row));
  return {
    rows: rows.map((row) => ({
      row: row.row,
      text: row.text,
      background: row.background,
      tests: tests.filter((test) => test.rows.includes(row.row)),
    })),
    unknown: tests.filter((test) => test.rows.some((row) => !known.has(row))),
  };
}

/** The rows of the tables in docs/requirements.md. */
export function parseRows(markdown: string): Row[] {
  const lines = markdown.matchAll(/^\| (\d+\.\d+|X\d+) +\| (.+?) +\|$/gmu);
  return Array.from(lines, ([, row = "", text = ""]) => ({
    row,
    text,
    background: text.startsWith("Background:"),
  }));
}

/** A row, as a title carries it. */
const NUMBER = /\[(\d+\.\d+|X\d+)\]/gu;
const TESTS = new Set(["test", "it"]);
const BLOCKS = new Set(["describe", "suite"]);

/** The tests in one source file that carry a number. */
export function testsOf(file: string, source: string): RowTest[] {
  // Few files carry one, and parsing is what takes long here.
  if (source.search(NUMBER) === -1) return [];
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ESNext);
  const found: RowTest[] = [];
  const visit = (node: ts.Node, titles: readonly string[]): void => {
    const call = callOf(node);
    const inner = call === undefined ? titles : [...titles, call.title];
    if (call !== undefined && TESTS.has(call.name)) {
      const title = inner.join(" > ");
      const rows = Array.from(title.matchAll(NUMBER), ([, row = ""]) => row);
      const line = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
      if (rows.length > 0) found.push({ file, line, title, rows: [...new Set(rows)] });
    }
    ts.forEachChild(node, (child) => visit(child, inner));
  };
  visit(tree, []);
  return found;
}

/** `test("…")`, `test.skipIf(…)("…")`, `describe.each(…)("…")` and the like. */
function callOf(node: ts.Node): { readonly name: string; readonly title: string } | undefined {
  if (!ts.isCallExpression(node)) return undefined;
  const title = textOf(node.arguments[0]);
  const name = rootOf(node.expression);
  if (title === undefined || !(TESTS.has(name) || BLOCKS.has(name))) return undefined;
  return { name, title };
}

/** The identifier that a chain of calls and members starts from. */
function rootOf(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node) || ts.isCallExpression(node)) {
    return rootOf(node.expression);
  }
  return "";
}

/** A literal, or a template with its holes shown as `…`. */
function textOf(node: ts.Expression | undefined): string | undefined {
  if (node === undefined) return undefined;
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isBinaryExpression(node)) {
    const [left, right] = [textOf(node.left), textOf(node.right)];
    return left === undefined && right === undefined ? undefined : `${left ?? "…"}${right ?? "…"}`;
  }
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join("");
}
