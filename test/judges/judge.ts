/**
 * Judges: programs and libraries that are not ours. A missing one skips its tests with the reason
 * and the command that installs it; in CI none may be missing.
 */
import { spawnSync } from "node:child_process";

/** Whether a judge is there, and what to add to the title of a test that it is not. */
export interface Judge {
  readonly missing: boolean;
  /** Empty, or ` (skipped: apt-get install PACKAGE)`. */
  readonly hint: string;
}

function judge(present: boolean, install: string): Judge {
  if (!present && process.env["CI"] !== undefined) throw new Error(`missing in CI: ${install}`);
  return { missing: !present, hint: present ? "" : ` (skipped: ${install})` };
}

/** Programs on the path, all of them needed. */
export function programs(names: readonly string[], install: string): Judge {
  const found = names.every((name) => spawnSync("which", [name]).status === 0);
  return judge(found, install);
}

/** Anything else that can be probed. */
export function probed(probe: () => boolean, install: string): Judge {
  return judge(probe(), install);
}
