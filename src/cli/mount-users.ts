/**
 * Who keeps a mount busy, as fuser(1) finds it: by the files, the directories and the programs that
 * processes say they have. Nothing of the mount itself is touched, which might wait for ever.
 *
 * @module
 */
import { processNumbers, programOf, usesDirectory } from "../node/processes.ts";

/** Processes that are named; more of them are said to be more. */
const NAMED = 5;

/** `pid 12 (vim), pid 14 (bash)`; undefined where nobody is found. */
export function usersOf(directory: string): string | undefined {
  const found: string[] = [];
  for (const pid of processNumbers()) {
    if (pid === process.pid || !usesDirectory(pid, directory)) continue;
    if (found.length === NAMED) return `${found.join(", ")} and others`;
    found.push(`pid ${pid} (${programOf(pid)})`);
  }
  return found.length === 0 ? undefined : found.join(", ");
}
