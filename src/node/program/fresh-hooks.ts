/**
 * A module hook for checks whose modules are made anew for each state: what they import is asked
 * for by another name each time. Runs in Node's loader thread on Node 20.
 *
 * @module
 */
import type { ResolveContext } from "../typescript-hooks.ts";

/** The part of a URL that names a state. */
export const STATE_PARAMETER = "daxkit-state";

interface Resolved {
  readonly url: string;
}

/** Gives what a module of one state imports the name of the same state. */
export function resolve(
  specifier: string,
  context: ResolveContext,
  next: (specifier: string, context: ResolveContext) => Resolved | Promise<Resolved>,
): Resolved | Promise<Resolved> {
  const found = next(specifier, context);
  const state = stateOf(context.parentURL);
  if (state === undefined) return found;
  const named = (resolved: Resolved): Resolved => ({
    ...resolved,
    url: withState(resolved.url, state),
  });
  return found instanceof Promise ? found.then(named) : named(found);
}

function stateOf(url: string | undefined): string | undefined {
  if (url === undefined || !url.includes(STATE_PARAMETER)) return undefined;
  return new URL(url).searchParams.get(STATE_PARAMETER) ?? undefined;
}

function withState(url: string, state: string): string {
  if (!url.startsWith("file:") || url.includes(STATE_PARAMETER)) return url;
  const named = new URL(url);
  named.searchParams.set(STATE_PARAMETER, state);
  return named.href;
}
