/**
 * What `node:fs` has and `volume.fs` has not: it says so, in place of "is not a function".
 *
 * @module
 */
import * as fs from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import type { Function_ } from "./arguments.ts";

const OTHER_GLOB = "give `volume.fs` to a glob that takes an `fs`, such as tinyglobby";

/** Why, and what to do instead, where more can be said than that it is not there. */
const WHY: Readonly<Record<string, string>> = {
  glob: OTHER_GLOB,
};

/** Names that not every supported version of Node has; there they are missing in the same words. */
const CALLBACK = ["glob"];
const SYNCHRONOUS = ["globSync"];
/** Members of `promises` that answer with something to iterate over. */
const ITERATED = ["glob"];

function refusal(name: string): DaxError {
  const detail = WHY[name.replace(/Sync$/u, "")] ?? "volume.fs does not have it";
  return new DaxError("ENOTSUP", { syscall: name, detail });
}

function withCallback(name: string): Function_ {
  return (...args) => {
    const callback = args.at(-1);
    if (typeof callback !== "function") throw refusal(name);
    setImmediate(() => (callback as Function_)(refusal(name)));
  };
}

function thrown(name: string): Function_ {
  return () => {
    throw refusal(name);
  };
}

function iterated(name: string): Function_ {
  // oxlint-disable-next-line require-yield -- it fails at the first step, as Node's do
  return async function* none() {
    throw refusal(name);
  };
}

/** The public functions of one of Node's objects, by name. */
function functionsOf(object: object): string[] {
  return Object.entries(object)
    .filter(([name, value]) => typeof value === "function" && !name.startsWith("_"))
    .map(([name]) => name);
}

/**
 * Fills what a facade lacks of `node:fs`, whatever version of Node runs it, with functions that
 * throw, pass on or reject with ENOTSUP, as each would with any other error.
 */
export function fillMissing(facade: Record<string, unknown>): void {
  for (const name of CALLBACK) facade[name] ??= withCallback(name);
  for (const name of [...SYNCHRONOUS, ...functionsOf(fs)]) facade[name] ??= thrown(name);
}

/** As {@link fillMissing}, for `promises`. */
export function fillMissingPromises(calls: Record<string, unknown>): void {
  for (const name of ITERATED) calls[name] ??= iterated(name);
  for (const name of functionsOf(fs.promises)) {
    calls[name] ??= async (): Promise<never> => {
      throw refusal(name);
    };
  }
}
