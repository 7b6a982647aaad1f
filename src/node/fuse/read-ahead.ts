/**
 * What the kernel may do for a mount beyond its cautious defaults, where it lets us say so.
 *
 * @module
 */
import { writeFileSync } from "node:fs";

const READ_AHEAD = 2 ** 20;
const KILOBYTE = 1024;

/** Sets how far a mount is read ahead; only root may, and without it reads are smaller. */
export function setReadAhead(device: string, bytes = READ_AHEAD): void {
  try {
    const kilobytes = String(Math.floor(bytes / KILOBYTE));
    writeFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, kilobytes);
  } catch {
    // An ordinary user, or no sysfs: it works as well.
  }
}
