/**
 * Programs under `children/`, run in a process of their own: for what may end a process.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** Node's arguments to run `children/NAME.ts`. */
export function childArguments(name: string, ...args: string[]): string[] {
  return ["--import", "tsx", join(import.meta.dirname, "children", `${name}.ts`), ...args];
}

/** Runs a child to its end. */
export function runChild(
  name: string,
  args: readonly string[] = [],
  options: { env?: Record<string, string>; node?: readonly string[] } = {},
): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [...(options.node ?? []), ...childArguments(name, ...args)], {
    cwd: root,
    encoding: "utf8",
    // A busy machine must not fail a test.
    timeout: 120_000,
    env: { ...process.env, ...options.env },
  });
}

/** What a child that ended well printed last, as JSON. */
export function answerOf(name: string, ...rest: [args?: readonly string[], options?: object]) {
  const { status, signal, stdout, stderr } = runChild(name, ...rest);
  if (status !== 0) throw new Error(`${name}: status ${status}, signal ${signal}\n${stderr}`);
  return JSON.parse(stdout) as unknown;
}
