/**
 * Outside programs and libraries that judge our work. One that is missing skips its tests, and the
 * title says how to install it.
 */
import { spawnSync } from "node:child_process";

/** Whether a judge is there, and what to add to the title of a test that it is not. */
export interface Judge {
  readonly missing: boolean;
  /** Empty, or ` (skipped: apt-get install PACKAGE)`. */
  readonly hint: string;
}

function judge(present: boolean, install: string): Judge {
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
