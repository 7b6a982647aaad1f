/**
 * What some version of `node:fs` has and `volume.fs` has not: it says so, in place of "is not a
 * function".
 *
 * @module
 */
import * as fs from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import type { Function_ } from "./arguments.ts";

function refusal(name: string): DaxError {
  const detail = "volume.fs does not have it, though this version of Node has";
  return new DaxError("ENOTSUP", { syscall: name, detail });
}

function thrown(name: string): Function_ {
  return () => {
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
 * throw ENOTSUP.
 */
export function fillMissing(facade: Record<string, unknown>, like: object = fs): void {
  for (const name of functionsOf(like)) facade[name] ??= thrown(name);
}

/** As {@link fillMissing}, for `promises`: they reject. */
export function fillMissingPromises(
  calls: Record<string, unknown>,
  like: object = fs.promises,
): void {
  for (const name of functionsOf(like)) {
    calls[name] ??= async (): Promise<never> => {
      throw refusal(name);
    };
  }
}
