/**
 * The persistence points of our own code, found in its sources: every call that makes something
 * durable, every FUA flag, and every call that the order of a journal hangs on. Names decide, so a
 * new one is found when it is written; what has such a name and is none stands in {@link FOREIGN}.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** What a point is. */
export type SiteKind = "flush" | "fence" | "fua" | "order";

/** What a call that is left out answers, for whoever uses its answer. */
export type Nothing = "undefined" | "true" | "0" | "Promise.resolve()";

/** A persistence point. */
export interface Site {
  /** `file#function what`, with a number where a function has several: it stays when lines move. */
  readonly id: string;
  /** Under the root of the repository. */
  readonly file: string;
  readonly line: number;
  readonly kind: SiteKind;
  /** Characters `[start, stop)` of the file: a call, or an object literal with a FUA flag. */
  readonly start: number;
  readonly stop: number;
  /**
   * `call`: may be left out. `flags`: a call of `write` with a FUA flag among its arguments.
   */
  readonly shape: "call" | "flags";
  /** Of a call with a FUA flag: how long what it is called on is, and which argument has it. */
  readonly receiver?: number;
  readonly argument?: number;
  readonly nothing: Nothing;
}

const FLUSHES = new Set(
  `flush persist writeThrough writeBack drain sync msync datasync fdatasync fsync fsyncSync
   fdatasyncSync flushSpans syncThrough`.split(/\s+/u),
);
const FENCES = new Set(["fence", "drain"]);
/** The recorder's words for both. */
const RECORDED = new Set(["flushed", "fenced"]);
/** What the order of metadata hangs on, in a filesystem's driver. */
const ORDER = new Set(
  `onBeforeCommit onCommitted onSeal beforeFirstCommit afterClean setTail startLog setErrno
   clearErrno
   commit commitThrough commitOlderThan commitToLog commitAgain writeRecoverFlag discardJournal
   checkpoint writeHome writeRevokes endFastCommits setFeatures mend
   prepareChecksum checkpointNow`.split(/\s+/u),
);
/** Words that mean order only in the hands of these. */
const ORDER_OF: ReadonlyMap<string, RegExp> = new Map([
  ["add", /(?:orphans|checkpoints)$/u],
  ["remove", /orphans$/u],
  ["join", /contents$/u],
  ["forget", /(?:handle|transaction)$/u],
  ["write", /checkpoints$/u],
]);

/**
 * Calls that bear such a name and make nothing durable, where what is called lies in another file,
 * and why. Of what lies in the same file that is seen by itself: see {@link leadsNowhere}.
 */
const FOREIGN: readonly (readonly [file: RegExp, callee: RegExp, why: string])[] = [
  [/^src\/cli\//u, /(?:\bout|#err|stream|#buffer|#out)\.flush$/u, "text for a terminal"],
  [/^src\/node\/(?:sink|image\/tar)\.ts$/u, /(?:this|output)\.flush$/u, "an archive's stream"],
  [/^src\/node\/dax-trace-file\.ts$/u, /buffer\.flush$/u, "the text of a trace"],
  [/^src\/fs\/ext\/(?:check|mkfs)/u, /(?:^|\.)(?:forget|add)$/u, "sets of a check and of mkfs"],
  [/^src\/fs\/ext\/journal-scan\.ts$/u, /#commit$/u, "reads a commit block"],
  [/^src\/crash\//u, /(?:flushed|fenced)$/u, "events of a trace that is read"],
  [/^src\/crash\/(?:frontier|block-stops)\.ts$/u, /#?f(?:lush|ence)$/u, "the same"],
];

/** Sources, under the root. */
export function sourcesOf(root: string): string[] {
  return readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .map((file) => `src/${file.replaceAll("\\", "/")}`)
    .toSorted();
}

/** Every persistence point under `src`, by file and place. */
export function sitesOf(root: string): Site[] {
  return sourcesOf(root).flatMap((file) => {
    return sitesIn(file, readFileSync(join(root, file), "utf8"));
  });
}

/** Those of one file. */
export function sitesIn(file: string, text: string): Site[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = pointsIn(file, source).filter((point) => !leadsNowhere(file, point));
  const seen = new Map<string, number>();
  return found.map(({ node, what: { kind, flags } }) => {
    const what = `${flags === undefined ? "" : "fua of "}${calleeOf(node)}`;
    const name = `${file.slice(4)}#${placeOf(node)} ${what}`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    const start = node.getStart(source);
    const site = {
      id: count === 1 ? name : `${name} (${count})`,
      file,
      line: source.getLineAndCharacterOfPosition(start).line + 1,
      kind,
      start,
      stop: node.end,
      nothing: nothingFor(node),
    };
    if (flags === undefined) return Object.assign(site, { shape: "call" as const });
    return Object.assign(
      site,
      { shape: "flags" as const },
      fuaOf(node as ts.CallExpression, flags),
    );
  });
}

function fuaOf(node: ts.CallExpression, flags: ts.Expression) {
  const { expression } = node.expression as ts.PropertyAccessExpression;
  return { receiver: expression.getText().length, argument: node.arguments.indexOf(flags) };
}

/** A call, and what it is by its name. */
interface Point {
  readonly node: ts.CallExpression | ts.BinaryExpression;
  readonly what: Found;
}

function pointsIn(file: string, root: ts.Node): Point[] {
  const found: Point[] = [];
  const visit = (node: ts.Node): void => {
    const what = ts.isCallExpression(node) ? pointAt(file, node) : asksForSync(node);
    if (what !== undefined) found.push({ node: node as ts.CallExpression, what });
    ts.forEachChild(node, visit);
  };
  visit(root);
  return found;
}

/**
 * Whether a flush or fence is one by its name alone: what is called lies in the same file, and
 * neither calls what makes something durable nor hands a FUA flag on. A queue of replies, a list of
 * text, an event that is read: leaving it out leaves out no point.
 */
function leadsNowhere(
  file: string,
  { node, what }: Point,
  above: readonly ts.Node[] = [],
): boolean {
  if (what.kind === "order" || what.kind === "fua" || !ts.isCallExpression(node)) return false;
  const body = bodyOf(node);
  if (body === undefined) return false;
  // What only calls itself does nothing else either.
  if (above.includes(body)) return true;
  const inner = [...above, body];
  return pointsIn(file, body).every((point) => leadsNowhere(file, point, inner));
}

/** The body of a function, or of a method of `this` or of an object made in this file. */
function bodyOf({ expression }: ts.CallExpression): ts.Node | undefined {
  if (ts.isIdentifier(expression)) return functionNamed(expression);
  if (!ts.isPropertyAccessExpression(expression)) return undefined;
  const members = classOf(expression.expression)?.members ?? [];
  const method = members.find((one) => one.name?.getText() === expression.name.getText());
  return method !== undefined && ts.isMethodDeclaration(method) ? method.body : undefined;
}

/** Of a function of that name, when the file has just one. */
function functionNamed(name: ts.Identifier): ts.Node | undefined {
  const found: (ts.Node | undefined)[] = [];
  const visit = (node: ts.Node): void => {
    const declares = ts.isFunctionDeclaration(node) || ts.isVariableDeclaration(node);
    if (declares && node.name?.getText() === name.text) {
      const made = ts.isFunctionDeclaration(node) ? node : node.initializer;
      const isWritten = made !== undefined && (made === node || ts.isArrowFunction(made));
      found.push(isWritten ? (made as ts.FunctionDeclaration).body : undefined);
    }
    ts.forEachChild(node, visit);
  };
  visit(name.getSourceFile());
  return found.length === 1 ? found[0] : undefined;
}

/** The class of `this`, or of a name that stands for `new` of a class of this file. */
function classOf(receiver: ts.Expression): ts.ClassDeclaration | undefined {
  let at: ts.Node = receiver;
  if (receiver.kind === ts.SyntaxKind.ThisKeyword) {
    while (!ts.isClassLike(at) && !ts.isSourceFile(at)) at = at.parent;
    return ts.isClassDeclaration(at) ? at : undefined;
  }
  if (!ts.isIdentifier(receiver)) return undefined;
  const source = receiver.getSourceFile();
  const made = new RegExp(`const ${receiver.text} = new (\\w+)\\(`, "gu");
  const names = new Set([...source.text.matchAll(made)].map(([, name]) => name));
  const [name] = names;
  if (names.size !== 1) return undefined;
  const found = source.statements.find(
    (one) => ts.isClassDeclaration(one) && one.name?.text === name,
  );
  return found as ts.ClassDeclaration | undefined;
}

interface Found {
  readonly kind: SiteKind;
  readonly flags?: ts.Expression;
}

/** What a call is, when it is a persistence point. */
function pointAt(file: string, node: ts.CallExpression): Found | undefined {
  const callee = calleeOf(node);
  if (FOREIGN.some(([where, who]) => where.test(file) && who.test(callee))) return undefined;
  const name = callee.replace(/^.*[.#]/u, "");
  const before = callee.slice(0, -name.length).replace(/[.#]+$/u, "");
  if (callee.startsWith("super.") && name !== "commit") return undefined;
  if (FENCES.has(name)) return { kind: "fence" };
  if (FLUSHES.has(name)) return { kind: "flush" };
  if (RECORDED.has(name)) return { kind: name === "fenced" ? "fence" : "flush" };
  if (file.startsWith("src/fs/")) {
    const owner = ORDER_OF.get(name);
    if (owner === undefined ? ORDER.has(name) : owner.test(before)) return { kind: "order" };
  }
  const flags = name === "write" ? node.arguments.find(holdsFua) : undefined;
  return flags === undefined ? undefined : { kind: "fua", flags };
}

/** `handle.sync = true`: the end of the operation is to commit. */
function asksForSync(node: ts.Node): Found | undefined {
  if (!ts.isBinaryExpression(node)) return undefined;
  const asks =
    node.right.kind === ts.SyntaxKind.TrueKeyword && node.left.getText().endsWith(".sync");
  return asks ? { kind: "flush" } : undefined;
}

/** `{ fua: true }`, `{ fua }`, or a parameter whose type has one. */
function holdsFua(argument: ts.Expression): boolean {
  if (ts.isObjectLiteralExpression(argument)) {
    return argument.properties.some((one) => one.name?.getText() === "fua");
  }
  if (!ts.isIdentifier(argument)) return false;
  for (let at: ts.Node = argument; !ts.isSourceFile(at); at = at.parent) {
    if (!ts.isFunctionLike(at)) continue;
    const own = at.parameters.find((one) => one.name.getText() === argument.text);
    if (own !== undefined) return /\bfua\b/u.test(own.type?.getText() ?? "");
  }
  return false;
}

/** What is called, without arguments of calls within it. */
function calleeOf(node: ts.CallExpression | ts.BinaryExpression): string {
  const callee = ts.isCallExpression(node) ? node.expression : node.left;
  return callee.getText().replaceAll(/\s+/gu, "").replaceAll("?", "");
}

/** The functions around it, outermost first. */
function placeOf(node: ts.Node): string {
  const names: string[] = [];
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) {
    if (hasName(at) && at.name !== undefined) names.unshift(at.name.getText());
    else if (ts.isConstructorDeclaration(at)) names.unshift("constructor");
  }
  return names.join(".");
}

function hasName(node: ts.Node): node is ts.NamedDeclaration {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isAccessor(node) ||
    ts.isVariableDeclaration(node) ||
    ts.isPropertyAssignment(node)
  );
}

function nothingFor(node: ts.Expression): Nothing {
  const { parent } = node;
  if (ts.isPrefixUnaryExpression(parent)) return "true";
  if (ts.isBinaryExpression(parent)) return "0";
  if (ts.isCallExpression(parent) || ts.isAwaitExpression(parent)) return "Promise.resolve()";
  const isCondition = ts.isIfStatement(parent) && parent.expression === node;
  return isCondition ? "true" : "undefined";
}
