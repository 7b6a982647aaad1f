/**
 * The descriptors of this process.
 */
import { readdirSync, readlinkSync } from "node:fs";

/** The one that has `path` open. */
export function descriptorOf(path: string): number {
  const fd = readdirSync("/proc/self/fd").find((name) => linkOf(`/proc/self/fd/${name}`) === path);
  if (fd === undefined) throw new Error(`${path} is not open`);
  return Number(fd);
}

/** Descriptors of other threads come and go. */
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
