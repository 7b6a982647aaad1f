/**
 * Directories to mount on: what may be wrong with them, said before the kernel is asked.
 *
 * @module
 */
import { access, constants, readdir, realpath, stat } from "node:fs/promises";
import { DaxError } from "../../lib/errno.ts";
import { mountAt } from "./mount-table.ts";

const SYSCALL = "mount";

/**
 * The path of a directory without links, on which a mount can be made.
 * @param nonempty allow a directory that has entries, or on which something is mounted
 * @throws ENOENT, ENOTDIR, ENOTEMPTY, EBUSY where something is mounted, EACCES where it is not
 * writable, EIO for a dead mount
 */
export async function checkMountPoint(directory: string, nonempty: boolean): Promise<string> {
  const path = await resolved(directory);
  const mounted = mountAt(path);
  if (mounted !== undefined && !nonempty) {
    throw new DaxError("EBUSY", {
      syscall: SYSCALL,
      path,
      detail: `${mounted.source} is mounted there already, as ${mounted.type}; unmount it first`,
    });
  }
  await checkWritable(path);
  if (!nonempty && (await readdir(path)).length > 0) {
    throw new DaxError("ENOTEMPTY", {
      syscall: SYSCALL,
      path,
      detail: "a mount would hide what is in it; take an empty directory, or say nonempty",
    });
  }
  return path;
}

async function resolved(directory: string): Promise<string> {
  if (directory.includes("\0")) {
    throw new DaxError("EINVAL", { syscall: SYSCALL, detail: "the mount point's path has a NUL" });
  }
  try {
    const path = await realpath(directory);
    if ((await stat(path)).isDirectory()) return path;
  } catch (error) {
    throw refused(directory, (error as NodeJS.ErrnoException).code ?? "");
  }
  throw new DaxError("ENOTDIR", {
    syscall: SYSCALL,
    path: directory,
    detail: "the mount point is a file; take a directory",
  });
}

function refused(path: string, code: string): DaxError {
  const at = { syscall: SYSCALL, path };
  if (code === "ENOENT") {
    return new DaxError(code, {
      ...at,
      detail: "there is no such mount point; make the directory",
    });
  }
  if (code === "ENOTCONN") {
    return new DaxError("EIO", {
      ...at,
      detail: "a mount whose process is gone lies there; unmount it: umount -l DIRECTORY",
    });
  }
  if (code === "EACCES" || code === "ENOTDIR" || code === "ELOOP" || code === "ENAMETOOLONG") {
    return new DaxError(code, at);
  }
  return new DaxError("EIO", { ...at, detail: `the mount point cannot be looked at: ${code}` });
}

async function checkWritable(path: string): Promise<void> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    // Root may mount over what nobody can write, such as a directory of a read-only system.
    if (process.geteuid?.() === 0) return;
    throw new DaxError("EACCES", {
      syscall: SYSCALL,
      path,
      detail: `the mount point is not ours: ${(error as NodeJS.ErrnoException).code}; \
only root mounts on what it may not write`,
    });
  }
}
