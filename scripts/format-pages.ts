/**
 * The pages of docs/format: one for each module of src/format that exports structures.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { type Fields, shapeOf } from "../src/lib/struct.ts";

/** Page name to text, in the order of the names. */
export async function formatPages(root: string): Promise<ReadonlyMap<string, string>> {
  const folder = join(root, "src/format");
  const modules = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .toSorted();
  const pages = new Map<string, string>();
  const index: string[] = [];
  const load = (path: string) => import(pathToFileURL(join(folder, path)).href) as Promise<object>;
  const loaded = await Promise.all(modules.map(load));
  for (const [position, path] of modules.entries()) {
    const structures = structuresOf(loaded[position] ?? {});
    if (structures.length === 0) continue;
    const name = path.replaceAll("/", "-").replace(/\.ts$/u, ".md");
    const source = readFileSync(join(folder, path), "utf8");
    pages.set(name, page(path, introduction(source), structures, commentsOf(source)));
    const names = structures.map(([, fields]) => `\`${shapeOf(fields)?.name}\``).join(", ");
    index.push(`| [${name.replace(/\.md$/u, "")}](${name}) | ${names} |`);
  }
  pages.set("README.md", overview(index));
  return pages;
}

function overview(index: readonly string[]): string {
  return [
    "# Structures on media",
    "",
    "Generated from `src/format` by `node scripts/run.mjs format-docs`; do not edit.",
    "Offsets and sizes are in bytes.",
    "",
    "| page | structures |",
    "|---|---|",
    ...index,
    "",
  ].join("\n");
}

/** The exported structures in source order of their names, each once. */
function structuresOf(exports: object): [string, Fields][] {
  const all = Object.entries(exports as Record<string, unknown>);
  return all
    .filter((entry): entry is [string, Fields] => isStructure(entry[1]))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function isStructure(value: unknown): boolean {
  return typeof value === "object" && value !== null && shapeOf(value) !== undefined;
}

/** The text of the comment that opens a module. */
function introduction(source: string): string {
  const [, comment = ""] = /^\/\*\*([\s\S]*?)\*\//u.exec(source) ?? [];
  return plain(comment);
}

/** A comment's text without its stars, tags and links. */
function plain(comment: string): string {
  return comment
    .split("\n")
    .map((line) => line.replace(/^ *\* ?/u, "").trim())
    .filter((line) => !line.startsWith("@") && line !== "")
    .join(" ")
    .replaceAll(/\{@link ([^}]+)\}/gu, "`$1`");
}

function page(
  path: string,
  about: string,
  structures: readonly [string, Fields][],
  comments: ReadonlyMap<string, string>,
): string {
  return [
    `# ${path.replace(/\.ts$/u, "")}`,
    "",
    about,
    "",
    `Generated from \`src/format/${path}\` by \`node scripts/run.mjs format-docs\`; do not edit.`,
    ...structures.flatMap(([name, fields]) => table(name, fields, comments)),
    "",
  ].join("\n");
}

function table(name: string, fields: Fields, comments: ReadonlyMap<string, string>): string[] {
  const shape = shapeOf(fields);
  const about = comments.get(name);
  const rows = Object.entries(fields)
    .toSorted(([, a], [, b]) => a.offset - b.offset)
    .map(([field, { offset, size, kind }]) => {
      const text = (comments.get(`${name}.${field}`) ?? "").replaceAll("|", "\\|");
      return `| 0x${offset.toString(16)} (${offset}) | ${size} | ${kind} | ${field} | ${text} |`;
    });
  return [
    "",
    `## ${shape?.name}`,
    "",
    ...(about === undefined ? [] : [about, ""]),
    `\`${name}\`, ${shape?.size} bytes.`,
    "",
    "| offset | size | type | field | |",
    "|---:|---:|---|---|---|",
    ...rows,
  ];
}

/** What the source says of a structure (`Ext4Inode`) and of its fields (`Ext4Inode.mode`). */
function commentsOf(source: string): ReadonlyMap<string, string> {
  const tree = ts.createSourceFile("format.ts", source, ts.ScriptTarget.ESNext);
  const comments = new Map<string, string>();
  const note = (name: string, node: ts.Node): void => {
    const ranges = ts.getLeadingCommentRanges(source, node.pos) ?? [];
    const last = ranges.map(({ pos, end }) => source.slice(pos, end)).at(-1);
    if (last?.startsWith("/**")) comments.set(name, plain(last.slice(3, -2)));
  };
  const visit = (node: ts.Node, structure: string): void => {
    let inside = structure;
    if (ts.isVariableStatement(node)) {
      const name = node.declarationList.declarations[0]?.name;
      inside = name !== undefined && ts.isIdentifier(name) ? name.text : "";
      note(inside, node);
    }
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) {
      note(`${inside}.${node.name.text}`, node);
    }
    ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(tree, "");
  return comments;
}
