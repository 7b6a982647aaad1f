/**
 * How a mount is taken out of the tree of directories: exactly this one, whatever else lies there.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { systemError } from "../system-error.ts";
import { kernelText } from "./direct-mount.ts";
import { slowCalls } from "./fuse-calls.unsafe.ts";
import { fuserUnmount } from "./fusermount.ts";
import { type MountEntry, readMounts } from "./mount-table.ts";

const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const EBUSY = 16;

/** How to unmount. */
export interface UnmountOptions {
  /**
   * Takes it out of sight at once, even while it is in use; who has files open there keeps them,
   * and the mount ends with the last of them.
   */
  readonly lazy?: boolean;
  /**
   * Ends the connection first: calls that wait for an answer fail, and what the kernel had not
   * written yet is lost. It never waits for anybody.
   */
  readonly force?: boolean;
}

/** Whether a mount is still where it was made. */
export function isMounted(entry: MountEntry): boolean {
  return readMounts().some(({ mark }) => mark === entry.mark);
}

/**
 * Unmounts `entry`; nothing happens where somebody has done so.
 * @param fusermount the program to do it by; without it, by umount2(2), as root
 * @throws EBUSY while it is in use, or another mount lies over it; EPERM
 */
export async function detach(
  entry: MountEntry,
  fusermount: string | undefined,
  options: UnmountOptions,
): Promise<void> {
  if (!isMounted(entry)) return;
  const path = entry.mountPoint;
  const top = readMounts().findLast(({ mountPoint }) => mountPoint === path);
  if (top !== undefined && top.mark !== entry.mark) {
    throw new DaxError("EBUSY", {
      syscall: "umount",
      path,
      detail: `${top.source} is mounted over it; unmount that first`,
    });
  }
  try {
    const lazy = options.lazy === true || options.force === true;
    if (fusermount === undefined) await unmountDirectly(path, options);
    else await fuserUnmount(fusermount, path, lazy);
  } catch (error) {
    // Somebody else was faster.
    if (isMounted(entry)) throw error;
  }
}

async function unmountDirectly(path: string, { lazy, force }: UnmountOptions): Promise<void> {
  const flags =
    UMOUNT_NOFOLLOW |
    (lazy === true || force === true ? MNT_DETACH : 0) |
    (force === true ? MNT_FORCE : 0);
  const outcome = await slowCalls().umount2(kernelText(path), flags);
  if (outcome >= 0) return;
  throw systemError(-outcome, {
    syscall: "umount",
    path,
    ...(outcome === -EBUSY && {
      detail: "files are open there, or a process works there; end them, or unmount lazily (-l)",
    }),
  });
}
