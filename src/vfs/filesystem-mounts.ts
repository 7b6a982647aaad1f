/**
 * Where a filesystem is mounted, in all trees.
 *
 * @module
 */
import type { Filesystem } from "./filesystem.ts";
import type { Mount } from "./mounts.ts";

const known = new WeakMap<Filesystem, Set<Mount>>();

/** The mounts of a filesystem: the same set each time. */
export function mountsOf(filesystem: Filesystem): Set<Mount> {
  const mounts = known.get(filesystem) ?? new Set();
  known.set(filesystem, mounts);
  return mounts;
}
