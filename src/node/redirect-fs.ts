/**
 * Packages that import `fs` by themselves get the `fs` of a volume instead.
 *
 * Of CommonJS modules the loader is asked in this thread. ES modules are resolved by hooks, which
 * on Node 20 run in a thread of their own: they are text, and know the volume by a number.
 *
 * @module
 */
import Module, { register } from "node:module";
import type { VolumeFs } from "./facade/facade.ts";

/** Whose `fs` is replaced. */
export interface RedirectOptions {
  /**
   * Packages by name, such as `fs-extra` or `@seald-io/nedb`, with those of their dependencies that
   * import `fs`. They must not have been loaded before: what is loaded keeps what it has.
   */
  readonly packages: readonly string[];
}

/** What Node's loader for CommonJS is asked for, by which module. */
type Load = (request: string, parent: { filename?: string } | undefined, main: boolean) => unknown;

interface Redirection {
  readonly fs: VolumeFs;
  readonly packages: ReadonlySet<string>;
}

/** What `require` calls; not documented, and what every tool of this kind has hooked since 2013. */
const LOAD = "_load";
const loader = Module as unknown as { [LOAD]: Load };
/** The last one wins. */
const redirections: Redirection[] = [];
/** Where the modules that hooks make find their volume. */
const SHELF = Symbol.for("daxkit.redirected");
let isLoading = false;

/** The package in which a module lies, by the last `node_modules` of its path. */
function packageOf(path: string): string | undefined {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//u.exec(path)?.[1];
}

function builtinOf(request: string): "fs" | "fs/promises" | undefined {
  const name = request.replace(/^node:/u, "");
  return name === "fs" || name === "fs/promises" ? name : undefined;
}

function redirectedFor(path: string): Redirection | undefined {
  const name = packageOf(path);
  if (name === undefined) return undefined;
  return redirections.findLast(({ packages }) => packages.has(name));
}

function hookRequire(): void {
  if (isLoading) return;
  isLoading = true;
  const load = loader[LOAD];
  loader[LOAD] = (request, parent, main) => {
    const builtin = redirections.length === 0 ? undefined : builtinOf(request);
    const found = builtin === undefined ? undefined : redirectedFor(parent?.filename ?? "");
    if (found === undefined) return load(request, parent, main);
    return builtin === "fs" ? found.fs : found.fs.promises;
  };
}

/** Names that can be exported. */
function exportable(object: object): string[] {
  const names = Object.keys(object).filter((name) => /^[A-Za-z_$][\w$]*$/u.test(name));
  return names.filter((name) => name !== "default");
}

/** A module that exports what lies on the shelf. */
function shim(number: number, member: string, object: object): string {
  const from = `globalThis[Symbol.for("daxkit.redirected")][${number}]${member}`;
  const names = exportable(object).map((name) => `export const ${name} = fs.${name};`);
  return [`const fs = ${from};`, "export default fs;", ...names].join("\n");
}

/** The hooks, for the thread in which they run; `PACKAGES` and `SHIMS` are put in front of them. */
const HOOKS = `
const builtin = (specifier) => specifier.replace(/^node:/, "");
const nameOf = (url) => /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url ?? "")?.[1];
export const resolve = (specifier, context, next) => {
  const name = builtin(specifier);
  const ours = name in SHIMS && PACKAGES.includes(nameOf(context.parentURL));
  if (!ours) return next(specifier, context);
  const url = "data:text/javascript," + encodeURIComponent(SHIMS[name]);
  return { url, format: "module", shortCircuit: true };
};
`;

function hookImport(fs: VolumeFs, packages: readonly string[]): void {
  const holder = globalThis as unknown as Record<symbol, VolumeFs[] | undefined>;
  const shelf = (holder[SHELF] ??= []);
  const number = shelf.push(fs) - 1;
  const shims = {
    fs: shim(number, "", fs),
    "fs/promises": shim(number, ".promises", fs.promises),
  };
  const constants = [
    `const PACKAGES = ${JSON.stringify(packages)};`,
    `const SHIMS = ${JSON.stringify(shims)};`,
  ];
  const source = constants.join("\n") + HOOKS;
  register(`data:text/javascript,${encodeURIComponent(source)}`);
}

/**
 * Gives packages the `fs` of a volume where they import `fs`, `node:fs` or their `promises`; call
 * it before they are loaded for the first time. Returns what ends it for CommonJS modules that are
 * loaded later; ES modules of these packages keep it.
 */
export function redirectFs(fs: VolumeFs, { packages }: RedirectOptions): () => void {
  hookRequire();
  const redirection = { fs, packages: new Set(packages) };
  redirections.push(redirection);
  hookImport(fs, packages);
  return () => {
    const index = redirections.indexOf(redirection);
    if (index !== -1) redirections.splice(index, 1);
  };
}
