/**
 * Sources with a switch at every persistence point and for every replanted bug, so that one process
 * runs any of them without loading anything anew. The repository's own files stay as they are: this
 * is done to a copy. What the switches call is `runtime.ts`.
 */
import { join } from "node:path";
import ts from "typescript";
import { type Site, sitesIn } from "./sites.ts";

/** A bug that is put back: one place of one file reads otherwise. */
export interface Patch {
  /** Under the root of the repository. */
  readonly file: string;
  /** Text that stands there exactly once, within a function. */
  readonly snippet: string;
  readonly replacement: string;
}

/** A bug by name, with all the places that it changes. */
export interface NamedPatches {
  readonly name: string;
  readonly patches: readonly Patch[];
}

const RUNTIME = join(import.meta.dirname, "runtime.ts");

interface Insertion {
  readonly at: number;
  readonly text: string;
  /** At one place what closes stands before what opens, inner closings before outer ones. */
  readonly rank: number;
}

const RESTART = "__persistence.restart();";

/**
 * Where nothing waits any more: each run of recovery and check comes behind a power cut, and what
 * was put off while an image was prepared is not done while another device is worked on.
 */
const RESTARTS: readonly Omit<Patch, "replacement">[] = [
  { file: "src/crash/run.ts", snippet: 'let phase: "recover" | "check" = "recover";' },
  { file: "src/media/modelled.ts", snippet: "this.recorder = new Recorder(" },
];

/** The file with switches. @throws Error when a patch does not fit its file */
export function instrument(file: string, text: string, bugs: readonly NamedPatches[]): string {
  const insertions = sitesIn(file, text).flatMap((site) => switchAt(site, text));
  for (const { snippet } of RESTARTS.filter((one) => one.file === file)) {
    insertions.push({ at: onlyPlace(text, snippet, file), text: RESTART, rank: 0 });
  }
  const all = [...insertions, ...bugSwitches(file, text, bugs)];
  if (all.length === 0) return text;
  // Behind everything, so that lines keep their numbers: it is loaded first all the same.
  return `${inserted(text, all)}\nimport ${JSON.stringify(RUNTIME)};\n`;
}

function inserted(text: string, insertions: readonly Insertion[]): string {
  const sorted = insertions.toSorted((a, b) => a.at - b.at || a.rank - b.rank);
  let [result, from] = ["", 0];
  for (const { at, text: addition } of sorted) {
    result += text.slice(from, at) + addition;
    from = at;
  }
  return result + text.slice(from);
}

/** Longer ranges open first and close last. */
function around(site: Site, open: string, close: string): Insertion[] {
  const length = site.stop - site.start;
  return [
    { at: site.start, text: open, rank: 1e9 - length },
    { at: site.stop, text: close, rank: length - 1e9 },
  ];
}

function switchAt(site: Site, text: string): Insertion[] {
  const id = JSON.stringify(site.id);
  if (site.shape === "flags") {
    const receiver = text.slice(site.start, site.start + (site.receiver ?? 0));
    const parts = around(site, `__persistence.fua(${id}, ${receiver}, ${site.argument}, `, "");
    // `receiver.write(` goes: its arguments are handed over.
    const open = text.indexOf("(", site.start + (site.receiver ?? 0)) + 1;
    return [
      ...parts.slice(0, 1),
      { at: site.start, text: "/*", rank: 2e9 },
      { at: open, text: "*/", rank: 0 },
    ];
  }
  const otherwise = site.nothing === "undefined" ? "" : `, () => ${site.nothing}`;
  const how = site.kind === "fence" ? "fence" : "point";
  return around(site, `__persistence.${how}(${id}, () => (`, `)${otherwise})`);
}

/** Every function that a patch is in, with a variant of its body for each bug. */
function bugSwitches(file: string, text: string, bugs: readonly NamedPatches[]): Insertion[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const variants = new Map<ts.Block, Map<string, string[]>>();
  for (const { name, patches } of bugs) {
    const bodies = new Map<ts.Block, Patch[]>();
    for (const patch of patches.filter((one) => one.file === file)) {
      const at = onlyPlace(text, patch.snippet, `${name}: ${file}`);
      const body = bodyAround(source, at, at + patch.snippet.length);
      if (body === undefined) throw new Error(`${name}: not within a function: ${patch.snippet}`);
      bodies.set(body, [...(bodies.get(body) ?? []), patch]);
    }
    for (const [body, own] of bodies) {
      let inner = text.slice(body.getStart() + 1, body.end - 1);
      for (const { snippet, replacement } of own) inner = inner.replace(snippet, () => replacement);
      const known = variants.get(body) ?? new Map<string, string[]>();
      known.set(name, [inner]);
      variants.set(body, known);
    }
  }
  return [...variants].flatMap(([body, byName]) => {
    const cases = [...byName].map(([name, [inner]]) => {
      return `if (__persistence.bug === ${JSON.stringify(name)}) {${inner}} else `;
    });
    return [
      { at: body.getStart() + 1, text: `${cases.join("")}{`, rank: -2e9 },
      { at: body.end - 1, text: "}", rank: 2e9 },
    ];
  });
}

/** The innermost function body that holds `[start, stop)`. */
function bodyAround(source: ts.SourceFile, start: number, stop: number): ts.Block | undefined {
  let found: ts.Block | undefined;
  const visit = (node: ts.Node): void => {
    if (node.getStart(source) > start || node.end < stop) return;
    if (ts.isFunctionLike(node)) {
      const { body } = node as ts.FunctionLikeDeclaration;
      const holds =
        body !== undefined &&
        body.kind === ts.SyntaxKind.Block &&
        body.getStart() < start &&
        body.end > stop;
      if (holds) found = body as ts.Block;
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function onlyPlace(text: string, snippet: string, where: string): number {
  const at = text.indexOf(snippet);
  if (at < 0) throw new Error(`${where}: this is not there any more: ${snippet}`);
  if (text.includes(snippet, at + 1)) throw new Error(`${where}: stands there twice: ${snippet}`);
  return at;
}
