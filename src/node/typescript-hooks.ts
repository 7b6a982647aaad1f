/**
 * Module hooks for programs that people hand to `daxkit`: they may be TypeScript, and they import
 * `daxkit/…` from wherever they lie. Types are blanked out, so lines and columns stay as they are.
 *
 * These functions run in Node's loader thread on Node 20, and in the main thread where Node knows
 * synchronous hooks; both call them, so they are synchronous and answer whatever `next` answers.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { transformSync } from "@swc/wasm-typescript";

/** What the hooks use of Node's contexts. */
export interface ResolveContext {
  readonly parentURL?: string | undefined;
}

/** A module's source, as Node takes it. */
export interface LoadedModule {
  readonly format: "module" | "commonjs";
  readonly source: string;
  readonly shortCircuit: true;
}

/** What is used of the stripper. */
interface Stripper {
  transformSync: typeof transformSync;
}

/** What the stripper throws: no `Error`. */
interface SyntaxProblem {
  readonly message?: string;
  readonly startLine?: number;
}

/** `daxkit` is the package that runs, whatever the program's folder has or lacks. */
export function resolve<T>(
  specifier: string,
  context: ResolveContext,
  next: (specifier: string, context: ResolveContext) => T,
): T {
  if (isOwn(specifier)) {
    return next(specifier, { ...context, parentURL: import.meta.url });
  }
  return next(sourceOf(specifier, context.parentURL) ?? specifier, context);
}

/** Whether a specifier names this package. */
export function isOwn(specifier: string): boolean {
  return specifier === "daxkit" || specifier.startsWith("daxkit/");
}

/** TypeScript programs may speak of `./log.js` where `./log.ts` lies. */
function sourceOf(specifier: string, parentURL: string | undefined): string | undefined {
  if (!/^\.{1,2}\/.*\.[cm]?js$/u.test(specifier) || parentURL === undefined) return undefined;
  if (!isTypeScript(parentURL)) return undefined;
  const source = specifier.replace(/js$/u, "ts");
  const exists = (path: string) => existsSync(new URL(path, parentURL));
  return !exists(specifier) && exists(source) ? source : undefined;
}

/** Strips types where Node does not do it itself. */
export function load<T>(
  url: string,
  context: unknown,
  next: (url: string, context: unknown) => T,
): T | LoadedModule {
  if (nodeStrips() || !isTypeScript(url)) return next(url, context);
  const path = fileURLToPath(url);
  const format = path.endsWith(".cts") ? "commonjs" : "module";
  return { format, source: strip(readFileSync(path, "utf8"), path), shortCircuit: true };
}

function isTypeScript(url: string): boolean {
  return url.startsWith("file:") && /\.[cm]?ts(?:[?#]|$)/u.test(url);
}

function nodeStrips(): boolean {
  const { typescript } = process.features as { typescript?: string | false };
  return typeof typescript === "string";
}

function strip(source: string, path: string): string {
  // A WebAssembly module of three megabytes: read only for TypeScript, and only where Node cannot.
  const require = createRequire(import.meta.url);
  const stripper = require("@swc/wasm-typescript") as Stripper;
  try {
    return stripper.transformSync(source, { mode: "strip-only", filename: path }).code;
  } catch (problem) {
    const { message, startLine } = problem as SyntaxProblem;
    const where = startLine === undefined ? path : `${path}:${startLine}`;
    throw new SyntaxError(`${where}: ${message ?? String(problem)}`);
  }
}
