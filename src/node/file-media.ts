/**
 * Files and block devices as media.
 *
 * @module
 */
import { BufferedFileMedia } from "./file-backing.ts";
import { closeUnlocked } from "./file-lock.ts";
import { libc } from "./libc.unsafe.ts";
import { MappedFileMedia } from "./mapped-media.ts";
import { type FileMedia, type OpenFileOptions, openMediaFile } from "./media-file.ts";

/**
 * Opens a file, a `/dev/pmemN` or another block device as media. Mapped where foreign calls can
 * be made (the `koffi` package), else buffered in memory up to 1 GiB of what is looked at.
 *
 * `durability` tells what `flush` and `fence` reach: `cache-line` on a DAX file system that granted
 * MAP_SYNC, `volatile` on tmpfs, `msync` or `fsync` elsewhere. A store through a window of
 * read-only media is kept by the process and never reaches the file; on writable media stores reach
 * the file without a flush, in the kernel's own time.
 *
 * @throws EBUSY when another writer has it, naming the holder where that is known; ENOENT,
 *   EACCES, EISDIR and whatever else open says; EEXIST when `create` finds another size; EINVAL
 *   for an empty file or what is neither file nor block device; ENOMEM where it cannot be mapped
 */
export function openFileMedia(path: string, options: OpenFileOptions = {}): FileMedia {
  const file = openMediaFile(path, options);
  try {
    const c = libc();
    return c === undefined
      ? new BufferedFileMedia(file, options)
      : new MappedFileMedia(c, file, options);
  } catch (error) {
    closeUnlocked(file.fd);
    throw error;
  }
}
