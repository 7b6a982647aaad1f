/**
 * Processes as /proc shows them (proc(5)). They come and go while they are looked at, and some are
 * somebody else's: what cannot be read is empty.
 *
 * @module
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

/** The numbers of all processes. */
export function processNumbers(): number[] {
  return namesIn("/proc")
    .filter((name) => /^\d+$/u.test(name))
    .map(Number);
}

/** The name of the program that a process runs. */
export function programOf(pid: number): string {
  return textOf(`/proc/${pid}/comm`).trim();
}

/** Whether a process works in a directory, runs a program there, or has files of it open. */
export function usesDirectory(pid: number, directory: string): boolean {
  const own = (path: string): boolean => path === directory || path.startsWith(`${directory}/`);
  const links = ["cwd", "root", "exe", ...namesIn(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
  if (links.some((link) => own(targetOf(`/proc/${pid}/${link}`)))) return true;
  const maps = textOf(`/proc/${pid}/maps`);
  return (
    maps.includes(directory) && maps.split("\n").some((line) => own(line.slice(line.indexOf("/"))))
  );
}

/** What a file holds; nothing where it cannot be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The names in a folder; none where it cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}
