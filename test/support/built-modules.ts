/**
 * Tests import `src`; `npm test`, which has built it, lets them have what was built: Node loads it
 * as it is, without a transform, and runs it faster. Threads and programs that it starts are plain
 * JavaScript, too.
 */
import { dirname, join, resolve, sep } from "node:path";
import type { Plugin } from "vite";

const root = resolve(import.meta.dirname, "../..");
const SOURCES = join(root, "src") + sep;
const DIST = join(root, "dist") + sep;

/** Modules of these folders are loaded by Node. */
export const BUILT: RegExp = /\/dist\//u;

/** Where a module of `src` is built to. */
export function builtPath(source: string): string | undefined {
  if (!source.startsWith(SOURCES) || !source.endsWith(".ts")) return undefined;
  return `${DIST}${source.slice(SOURCES.length, -".ts".length)}.js`;
}

export function builtModules(): Plugin {
  return {
    name: "built-modules",
    enforce: "pre",
    resolveId(wanted, importer) {
      if (importer === undefined || !wanted.startsWith(".")) return undefined;
      const id = builtPath(resolve(dirname(importer), wanted));
      return id === undefined ? undefined : { id, external: true };
    },
  };
}
