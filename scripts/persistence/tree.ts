/**
 * A copy of the repository, under `.cache`, whose sources have switches ({@link instrument}), for
 * the workers to load; and what each of its modules is made of, for results to be kept.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { type NamedPatches, instrument } from "./instrument.ts";

/** Left as they are: nothing in them is instrumented. */
const LINKED = ["node_modules", "fixtures", "examples", "scripts", "bench", "package.json", "docs"];
const TSCONFIGS = ["tsconfig.json", "tsconfig.base.json", "src/tsconfig.core.json"];

/** The copy, brought up to date. @throws Error when a bug's text is not in its file any more */
export function makeTree(root: string, bugs: readonly NamedPatches[]): string {
  const tree = join(root, ".cache", "persistence", "tree");
  mkdirSync(tree, { recursive: true });
  for (const name of LINKED) {
    const at = join(tree, name);
    if (!existsSync(at)) symlinkSync(join(root, name), at);
  }
  const files = [...filesIn(root, "src"), ...filesIn(root, "test")];
  for (const file of [...files, ...TSCONFIGS]) {
    const bytes = readFileSync(join(root, file));
    const isSource = file.startsWith("src/") && file.endsWith(".ts");
    put(join(tree, file), isSource ? instrument(file, bytes.toString(), bugs) : bytes);
  }
  const known = new Set([...files, ...TSCONFIGS]);
  for (const file of [...filesIn(tree, "src"), ...filesIn(tree, "test")]) {
    if (!known.has(file)) rmSync(join(tree, file));
  }
  return tree;
}

function put(path: string, body: string | Buffer): void {
  const bytes = Buffer.from(body);
  if (existsSync(path) && readFileSync(path).equals(bytes)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

function filesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
}

/** Sums over modules and all that they import. */
export class Sums {
  readonly #root: string;
  readonly #own = new Map<string, { readonly sum: string; readonly imports: readonly string[] }>();

  constructor(root: string) {
    this.#root = root;
  }

  /** One word for a module and whatever it imports, as the files are now. */
  of(file: string): string {
    const seen = new Set<string>();
    const waiting = [resolve(this.#root, file)];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      waiting.push(...this.#read(at).imports);
    }
    const hash = createHash("sha256");
    // Names under the root: what is kept serves another clone, too.
    for (const path of [...seen].toSorted()) {
      hash.update(`${relative(this.#root, path)} ${this.#read(path).sum}\n`);
    }
    return hash.digest("hex").slice(0, 16);
  }

  #read(path: string): { readonly sum: string; readonly imports: readonly string[] } {
    const known = this.#own.get(path);
    if (known !== undefined) return known;
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const found = [...text.matchAll(/(?:from|import|import\() ?"(\.[^"]+)"/gu)];
    const imports = found.map(([, name]) => resolve(dirname(path), name as string));
    const sum = createHash("sha256").update(text).digest("hex");
    const own = { sum, imports };
    this.#own.set(path, own);
    return own;
  }
}
