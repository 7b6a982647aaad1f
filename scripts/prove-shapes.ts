/**
 * `node scripts/run.mjs prove-shapes`: puts the shapes that proofs meet into docs/prove-files.md,
 * as the types and their comments have them.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import ts from "typescript";

const root = resolve(import.meta.dirname, "..");
const path = join(root, "docs/prove-files.md");
const BLOCK = /(<!-- shapes -->\n)([\s\S]*?)(\n<!-- \/shapes -->)/u;

/** What is shown: a heading in words, the file, and the interfaces or class in it. */
const SHAPES = [
  ["`random` and `clock`", "src/lib/environment.ts", ["Timespec", "Environment"]],
  ["`mapping(path, options)`", "src/vfs/mapping.ts", ["Mapping"]],
  ["", "src/dax/checked-memory.ts", ["CheckedMemory"]],
  ["", "src/vfs/map-options.ts", ["MapOptions"]],
  ["A verdict: `kind` tells which", "src/crash/verdict.ts", ["Survived", "Lost"]],
  ["… of programs on files", "src/node/prove/volume-verdict.ts", ["VolumeSurvived", "VolumeLost"]],
  ["… of both, however they ended", "src/crash/verdict.ts", ["Measure"]],
  ["… on which model", "src/node/prove/volume-verdict.ts", ["VolumeMeasure"]],
  ["… without an answer", "src/crash/verdict.ts", ["NotMeasured", "HarnessBroken"]],
  ["What a verdict is made of", "src/crash/verdict.ts", ["CounterExample", "PowerCut"]],
  ["", "src/crash/program.ts", ["Objection"]],
  ["", "src/crash/tally.ts", ["Tally"]],
  ["", "src/node/prove/calls.ts", ["CallNote"]],
  ["", "src/node/prove/volume-verdict.ts", ["MissingCall", "RedundantCall", "IdleCall", "Place"]],
  ["", "src/node/prove/timeline.ts", ["CallEntry", "PathNote"]],
  ["", "src/node/prove/faults.ts", ["FaultNote", "FaultTally"]],
] as const;
/** Members that no proof meets. */
const LEFT_OUT: ReadonlySet<string> = new Set(["Environment.trace"]);

/** The part of the page that this script writes. */
export function shapes(): string {
  const parts = SHAPES.map(([title, file, names]) => {
    const tables = names.map((name) => tableOf(file, name)).join("\n\n");
    return title === "" ? tables : `### ${title}\n\n${tables}`;
  });
  return parts.join("\n\n");
}

/** The same part as the page has it. */
export function shownShapes(): string {
  return BLOCK.exec(readFileSync(path, "utf8"))?.[2] ?? "";
}

function tableOf(file: string, name: string): string {
  const text = readFileSync(join(root, file), "utf8");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = source.statements.find(
    (each): each is ts.InterfaceDeclaration | ts.ClassDeclaration =>
      (ts.isInterfaceDeclaration(each) || ts.isClassDeclaration(each)) && each.name?.text === name,
  );
  if (found === undefined) throw new Error(`${file} has no ${name}`);
  const parents = (found.heritageClauses ?? []).flatMap(({ types }) => types.map(textOf));
  const more = parents.length === 0 ? "" : `, and what ${parents.join(" and ")} have`;
  const rows = [...found.members].flatMap((member) => rowsOf(member, name));
  const lines = rows.map(([member, type, words]) => `| \`${member}\` | \`${type}\` | ${words} |`);
  const head = `**${name}**${more}: ${wordsOf(found)}`;
  return [head, "", "| member | type | what |", "| --- | --- | --- |", ...lines].join("\n");
}

type Row = readonly [member: string, type: string, words: string];

function rowsOf(member: ts.ClassElement | ts.TypeElement, owner: string): Row[] {
  const { name } = member;
  if (name === undefined || !ts.isIdentifier(name)) return [];
  if (LEFT_OUT.has(`${owner}.${name.text}`)) return [];
  if (ts.isPropertySignature(member) && member.type && ts.isTypeLiteralNode(member.type)) {
    return member.type.members.flatMap((each) =>
      rowsOf(each, owner).map(([inner, ...rest]): Row => [
        `${name.text}.${inner}`,
        rest[0],
        rest[1] || wordsOf(member),
      ]),
    );
  }
  const optional = "questionToken" in member && member.questionToken !== undefined ? "?" : "";
  return [[`${name.text}${optional}`, typeOf(member), wordsOf(member)]];
}

function typeOf(member: ts.ClassElement | ts.TypeElement): string {
  const isCall = ts.isMethodDeclaration(member) || ts.isMethodSignature(member);
  const type = "type" in member ? (member.type as ts.TypeNode | undefined) : undefined;
  const result = type === undefined ? "unknown" : textOf(type);
  if (!isCall) return result.replaceAll("|", String.raw`\|`);
  const given = member.parameters.map(textOf).join(", ");
  return `(${given}) => ${result}`.replaceAll("|", String.raw`\|`);
}

function textOf(node: ts.Node): string {
  return node
    .getText()
    .replaceAll(/\/\*\*[\s\S]*?\*\//gu, "")
    .replaceAll(/\s+/gu, " ")
    .replaceAll("readonly ", "")
    .replace(/^\| /u, "");
}

/** The comment in front, on one line. */
function wordsOf(node: ts.Node): string {
  const doc = ts.getJSDocCommentsAndTags(node).find((each) => ts.isJSDoc(each));
  const words = ts.getTextOfJSDocComment(doc?.comment) ?? "";
  return words
    .replaceAll(/\{@link (\w+)\}/gu, "`$1`")
    .replace(/^- /u, "")
    .replaceAll(/[;:]?\s*\n- /gu, "; ")
    .replaceAll(/\s+/gu, " ")
    .replaceAll("|", String.raw`\|`)
    .trim();
}

if (import.meta.filename === process.argv[1]) {
  const page = readFileSync(path, "utf8");
  const text = page.replace(BLOCK, (_, open: string, _old, close: string) =>
    [open, shapes(), close].join("\n"),
  );
  writeFileSync(path, text);
  spawnSync(join(root, "node_modules/.bin/oxfmt"), [path], { stdio: "inherit" });
}
