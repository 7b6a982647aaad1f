/**
 * Where in a program a call was made.
 *
 * @module
 */
import { type CallSite, type Frame, programSite } from "../../lib/call-site.ts";

/** Packages that only pass calls on: the place that matters is that of their caller. */
const PASSING = /\/node_modules\/(?:graceful-fs|universalify|pify|polyfills)\//u;
/** Callers that are kept. */
const MOST_CALLERS = 8;

let given: CallSite | undefined;

/** The place that is being asked for just now; undefined where no program is on the stack. */
export function callerSite(): CallSite | undefined {
  const site = programSite();
  if (site === undefined) return given;
  const frames: readonly Frame[] = [site, ...site.callers];
  const own = frames.findIndex(({ file }) => !PASSING.test(file));
  const first = own === -1 ? site : (frames[own] as Frame);
  const callers = frames.slice(own === -1 ? 1 : own + 1).slice(0, MOST_CALLERS);
  const { file, line, column, function: name } = first;
  return { file, line, column, ...(name === undefined ? {} : { function: name }), callers };
}

/** Calls that are made in `body`, by Node itself, were asked for at `site`. */
export function askedForAt<T>(site: CallSite | undefined, body: () => T): T {
  const before = given;
  given = site;
  try {
    return body();
  } finally {
    given = before;
  }
}
