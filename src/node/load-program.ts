/**
 * Loads a module that somebody hands to `daxkit`: JavaScript or TypeScript, lying anywhere.
 *
 * @module
 */
import { statSync } from "node:fs";
import * as nodeModule from "node:module";
import { resolve as absolute } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isOwn, load, resolve } from "./typescript-hooks.ts";

/** Node 22.15 and later: hooks in this thread. */
interface SynchronousHooks {
  readonly registerHooks?: (hooks: { resolve: typeof resolve; load: typeof load }) => void;
}

/** Where the CommonJS loader before that asks; it hears nothing of hooks in other threads. */
const RESOLVE = "_resolveFilename";

interface CommonJsLoader {
  [RESOLVE](request: string, ...rest: unknown[]): string;
}

let registered = false;

/**
 * The exports of the module at `path`, relative to the working directory.
 * @throws what Node's fs and module loader throw: ENOENT, EISDIR, SyntaxError, the module's own
 */
export async function loadProgram(path: string): Promise<Readonly<Record<string, unknown>>> {
  const file = absolute(path);
  if (statSync(path).isDirectory()) {
    const error = new Error(`EISDIR: illegal operation on a directory, open '${path}'`);
    throw Object.assign(error, { code: "EISDIR" });
  }
  acceptTypeScript();
  return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
}

/** From now on this process loads TypeScript, and `daxkit/…` from anywhere. */
export function acceptTypeScript(): void {
  if (registered) return;
  registered = true;
  const { registerHooks } = nodeModule as SynchronousHooks;
  if (registerHooks !== undefined) {
    registerHooks({ resolve, load });
    return;
  }
  nodeModule.register("./typescript-hooks.js", import.meta.url);
  hookRequire(nodeModule.Module as unknown as CommonJsLoader);
}

/** `require("daxkit/…")` means this package, as `import` does. */
function hookRequire(loader: CommonJsLoader): void {
  const before = loader[RESOLVE].bind(loader);
  loader[RESOLVE] = (request, ...rest) =>
    isOwn(request) ? fileURLToPath(import.meta.resolve(request)) : before(request, ...rest);
}
