/**
 * Filesystems that are mounted for writing, and what they leave.
 */
import { RamDisk } from "../../src/block/ram-disk.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { type Environment, seededEnvironment } from "../../src/lib/environment.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFREG } from "../../src/vfs/modes.ts";
import type { InodeWriting, NewFile } from "../../src/vfs/writing.ts";

/** Mounts bytes as a disk without dax, for writing. */
export function mountToWrite(
  bytes: Uint8Array,
  options: ExtMountOptions = {},
  environment: Environment = seededEnvironment(1),
): ExtFilesystem {
  const disk = new RamDisk({ name: "ram0", bytes });
  return ext.mount(disk, { write: true, ...options }, environment) as ExtFilesystem;
}

/** What changes an inode; it has to be of a filesystem that is mounted for writing. */
export function writingOf(inode: Inode): InodeWriting {
  if (inode.writing === undefined) throw new Error(`inode ${inode.ino} is read-only`);
  return inode.writing;
}

/** A regular file of root. */
export const plainFile: NewFile = { mode: S_IFREG | 0o644, uid: 0, gid: 0 };
/** A directory of root. */
export const plainDirectory: NewFile = { mode: S_IFDIR | 0o755, uid: 0, gid: 0 };
