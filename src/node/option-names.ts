/**
 * Names of options: a misspelt one would be silently without effect.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";

/** @throws EINVAL for an option that there is not */
export function assertOptionNames(
  options: object,
  known: Readonly<Record<string, true>>,
  context: { readonly syscall: string; readonly path: string },
): void {
  const odd = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (odd === undefined) return;
  const names = Object.keys(known).join(", ");
  const detail = `no option is called ${JSON.stringify(odd)}; there are ${names}`;
  throw new DaxError("EINVAL", { ...context, detail });
}
