/**
 * Volumes as directories of this machine.
 *
 * @module
 */
import type { FuseSessionOptions } from "../../fuse/options.ts";
import { FuseSession } from "../../fuse/session.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { assertOptionNames } from "../option-names.ts";
import type { Volume } from "../volume.ts";
import type { MountServerOptions } from "./mount-options.ts";
import { type FuseMount, mountServer } from "./mount-server.ts";

/** How a volume is mounted. Whether reading sets atime is decided where the volume is opened. */
export interface FuseMountOptions extends MountServerOptions, FuseSessionOptions {}

/** Every name of {@link FuseMountOptions}. */
const OPTION_NAMES: Readonly<Record<keyof FuseMountOptions, true>> = {
  fsname: true,
  subtype: true,
  readOnly: true,
  noexec: true,
  nodev: true,
  nosuid: true,
  noatime: true,
  allowOther: true,
  defaultPermissions: true,
  nonempty: true,
  autoUnmount: true,
  engine: true,
  record: true,
  through: true,
  maxWrite: true,
  timeout: true,
  writebackCache: true,
  noOpen: true,
  uid: true,
  gid: true,
  umask: true,
  readAhead: true,
};

/**
 * Mounts a volume, or any tree of files, on a directory, so that every program can use it; what
 * changes in this process beside it is seen there, and the other way round. Resolves when it can be
 * used. The volume is the caller's: closing it is EBUSY while it is mounted, unless it revokes.
 *
 * A tree that cannot be written to is mounted read-only. Nothing in this process may use the mount
 * synchronously: the answers come from this very thread.
 * @throws EINVAL for odd options; ENOENT, ENOTDIR, ENOTEMPTY, EBUSY, EACCES for what is wrong with
 *   the directory, ENODEV where the kernel has no FUSE, ENOTSUP without foreign calls, EPERM where
 *   neither mount(2) nor fusermount3 may mount
 */
export async function mountFuse(
  volume: Volume | FileTree,
  directory: string,
  options: FuseMountOptions = {},
): Promise<FuseMount> {
  assertOptionNames(options, OPTION_NAMES, { syscall: "mount", path: directory });
  const tree = "tree" in volume ? volume.tree : volume;
  const writable = tree.root.inode.writing !== undefined;
  const session = new FuseSession(tree, options);
  try {
    const readOnly = options.readOnly === true || !writable;
    return await mountServer(session, directory, { ...options, readOnly });
  } catch (error) {
    session.end();
    throw error;
  }
}
