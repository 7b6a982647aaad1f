/**
 * Checks and recoveries in files of their own: a function that a module exports, or a program that
 * uses `node:fs` and throws, or ends with another status than 0.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { resolve as absolute } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { acceptTypeScript } from "../load-program.ts";
import type { FaultNote } from "../prove/faults.ts";
import { STATE_PARAMETER, resolve as resolveFresh } from "./fresh-hooks.ts";
import { untilIdle } from "./until-idle.ts";

/** What a check is called with. */
export interface CheckGiven {
  /** `node:fs`, in which the paths below the mount are those of the state. */
  readonly fs: unknown;
  /** What was promised, in order. */
  readonly acked: readonly unknown[];
  /** Where the volume is mounted. */
  readonly mount: string;
  /** What failed beside the power; empty unless faults are asked for. */
  readonly faults: readonly FaultNote[];
}

/** Runs it on what is mounted just now; what it gives is as for a check in a proof. */
export type CheckModule = (given: CheckGiven) => unknown;

/** Thrown instead of ending this process. */
class ProgramExit extends Error {
  override readonly name = "ProgramExit";
}

/** What exports a function, as far as its text tells. */
const NAMES = String.raw`(?:default|check|recover)\b`;
const EXPORTS = new RegExp(
  [
    String.raw`^\s*export\s+(?:(?:async\s+)?function\s+|const\s+|let\s+|\{[^}]*\b)?${NAMES}`,
    String.raw`\bmodule\.exports\b`,
    String.raw`\bexports\.${NAMES}`,
  ].join("|"),
  "mu",
);

/**
 * Loads it. With `fresh`, its modules are made anew for each state; those of a program always are.
 * @throws what loading throws; TypeError for a module that exports no function
 */
export async function loadCheck(path: string, fresh = false): Promise<CheckModule> {
  const file = absolute(path);
  acceptTypeScript();
  if (!EXPORTS.test(readFileSync(file, "utf8"))) return (given) => runAnew(file, given);
  const first = functionIn(file, await importAnew(file));
  if (!fresh) return guarded(first);
  return guarded(async (given) => functionIn(file, await importAnew(file))(given));
}

function functionIn(file: string, exports: Exports): CheckModule {
  const inner = exports["default"] as Exports | undefined;
  for (const found of [inner, exports["check"], exports["recover"], inner?.["check"]]) {
    if (typeof found === "function") return found as CheckModule;
  }
  throw new TypeError(`${file} exports no function: export default ({ fs, acked }) => { ... }`);
}

type Exports = Readonly<Record<string, unknown>>;

let loads = 0;
let hooked = false;

function hookOnce(): void {
  if (hooked) return;
  hooked = true;
  const { registerHooks } = nodeModule as SynchronousHooks;
  if (registerHooks !== undefined) registerHooks({ resolve: resolveFresh });
  else nodeModule.register("./fresh-hooks.js", import.meta.url);
}

/** Node 22.15 and later: hooks in this thread. */
interface SynchronousHooks {
  readonly registerHooks?: (hooks: { resolve: typeof resolveFresh }) => void;
}

/** The module and, where they are CommonJS, what it requires, from their text on. */
async function importAnew(file: string): Promise<Exports> {
  const { cache } = nodeModule.createRequire(import.meta.url);
  const own = fileURLToPath(new URL("../..", import.meta.url));
  for (const key of Object.keys(cache)) if (!key.startsWith(own)) delete cache[key];
  const url = pathToFileURL(file);
  if (loads++ > 0) {
    hookOnce();
    url.searchParams.set(STATE_PARAMETER, String(loads));
  }
  return (await import(url.href)) as Exports;
}

/** A program has no end that can be waited for but that nothing is left to be done. */
async function runAnew(file: string, given: CheckGiven): Promise<unknown> {
  const global = globalThis as { daxkit?: unknown };
  global.daxkit = { acked: given.acked, mount: given.mount, faults: given.faults };
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    return await guarded(async () => {
      await untilIdle(() => importAnew(file));
      const status = Number(process.exitCode ?? 0);
      return status === 0 ? undefined : `${file} ended with status ${status}`;
    })(given);
  } finally {
    process.exitCode = before;
    delete global.daxkit;
  }
}

/** What gives the process back to itself, of checks that have not come to their end. */
const guards = new Set<() => void>();

/** Checks that were given up are no part of this process any more: it may end, and fail. */
export function abandonChecks(): void {
  for (const restore of [...guards].toReversed()) restore();
}

/** What it throws in a later turn counts as thrown by it, and an end of the process as its own. */
function guarded(body: CheckModule): CheckModule {
  return (given) => {
    const exit = process.exit.bind(process);
    let fail: (error: unknown) => void = nothing;
    let end: (status: number) => void = nothing;
    process.exit = (status) => {
      const code = Number(status ?? process.exitCode ?? 0);
      end(code);
      throw new ProgramExit(`the check ended the process with status ${code}`);
    };
    const restore = (): void => {
      guards.delete(restore);
      process.exit = exit;
      process.off("uncaughtException", onLate);
      process.off("unhandledRejection", onLate);
    };
    const onLate = (error: unknown): void => {
      if (!(error instanceof ProgramExit)) fail(error);
    };
    guards.add(restore);
    process.on("uncaughtException", onLate);
    process.on("unhandledRejection", onLate);
    let result: unknown;
    try {
      result = body(given);
    } catch (error) {
      restore();
      return said(error);
    }
    if (!isPromise(result)) {
      restore();
      return result;
    }
    const promise = result;
    return new Promise((resolve, reject) => {
      fail = reject;
      end = (status) => resolve(status === 0 ? undefined : `it ended with status ${status}`);
      promise.then(resolve, reject);
    })
      .catch(said)
      .finally(restore);
  };
}

function nothing(): void {}

/** An exit with 0 is content. @throws what is no exit */
function said(error: unknown): string | undefined {
  if (!(error instanceof ProgramExit)) throw error;
  return error.message.endsWith(" 0") ? undefined : error.message;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
