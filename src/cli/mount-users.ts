/**
 * Who keeps a mount busy, as fuser(1) finds it: by the files, the directories and the programs that
 * processes say they have. Nothing of the mount itself is touched, which might wait for ever.
 *
 * @module
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

/** Processes that are named; more of them are said to be more. */
const NAMED = 5;

/** `pid 12 (vim), pid 14 (bash)`; undefined where nobody is found. */
export function usersOf(directory: string): string | undefined {
  const found: string[] = [];
  for (const pid of names("/proc")) {
    if (!/^\d+$/u.test(pid) || Number(pid) === process.pid) continue;
    if (!isBelow(pid, directory)) continue;
    if (found.length === NAMED) return `${found.join(", ")} and others`;
    found.push(`pid ${pid} (${text(`/proc/${pid}/comm`).trim()})`);
  }
  return found.length === 0 ? undefined : found.join(", ");
}

function isBelow(pid: string, directory: string): boolean {
  const own = (path: string): boolean => path === directory || path.startsWith(`${directory}/`);
  const links = ["cwd", "root", "exe", ...names(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
  if (links.some((link) => own(target(`/proc/${pid}/${link}`)))) return true;
  const maps = text(`/proc/${pid}/maps`);
  return (
    maps.includes(directory) && maps.split("\n").some((line) => own(line.slice(line.indexOf("/"))))
  );
}

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
