/**
 * Who uses which bytes of a dax device for himself: filesystems that are mounted there, and
 * programs that map the device raw. Each kind gets along with its own kind; the other would corrupt
 * it, and is refused.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { DaxDevice } from "./dax-device.ts";
import type { DaxRange } from "./iomap.ts";

/** How bytes are used. */
export type RangeUse = "filesystem" | "raw mapping";

interface RangeUser {
  readonly use: RangeUse;
  readonly name: string;
  readonly start: number;
  readonly length: number;
}

const users = new WeakMap<DaxDevice, Set<RangeUser>>();

/**
 * Notes that somebody uses a range; the answer ends it, and may be called again.
 * @throws EBUSY naming who uses some of it in the other way
 */
export function useRange(range: DaxRange, use: RangeUse, name: string): () => void {
  const { device, start, length } = range;
  assertUsable(range, use, name);
  const known = users.get(device) ?? new Set();
  users.set(device, known);
  const user = { use, name, start, length };
  known.add(user);
  return () => void known.delete(user);
}

/** @throws as {@link useRange} would; for whoever changes something before he uses it */
export function assertUsable(range: DaxRange, use: RangeUse, name: string): void {
  const { device, start, length } = range;
  for (const other of users.get(device) ?? []) {
    const apart = other.start >= start + length || other.start + other.length <= start;
    if (other.use === use || apart) continue;
    throw new DaxError("EBUSY", {
      syscall: use === "filesystem" ? "mount" : "mmap",
      path: name,
      detail:
        `bytes ${other.start}+${other.length} of ${device.name} are in use by a ${other.use} ` +
        `(${other.name}); end that first`,
    });
  }
}
