/**
 * Growing filesystems in files, on block devices, exports and any media.
 *
 * @module
 */
import { ftruncateSync, openSync, statSync } from "node:fs";
import type { BlockDevice } from "../block/block-device.ts";
import { type ResizeSummary, planResizeExt, resizeExt } from "../fs/ext/resize-grow.ts";
import { fittingBlocks } from "../fs/ext/resize-size.ts";
import { readSuperblock } from "../fs/ext/superblock.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Media } from "../media/media.ts";
import { isNbdUri } from "../nbd/uri.ts";
import { systemEnvironment } from "./environment.ts";
import { closeUnlocked, lockExclusively } from "./file-lock.ts";
import { openFileMedia } from "./file-media.ts";
import { checkMounted, named, setFileSize } from "./make-image.ts";
import { openNbdMedia } from "./nbd/client-media.ts";
import { type DevicePlace, onDevice } from "./on-device.ts";
import { typed } from "./system-error.ts";

/** Where a filesystem is, and how large it is to be. */
export interface ResizeVolumeOptions extends DevicePlace {
  /** In bytes, or in its own blocks; all that there is unless given. */
  readonly size?: { readonly bytes: number } | { readonly blocks: number };
  /** Resizes without a check, even where one is due. */
  readonly force?: boolean;
  /** Clock and randomness; the system's unless given. */
  readonly environment?: Environment;
}

/** A little is written to many places far apart, and the engine pays by the length of a window. */
const WINDOW_BYTES = 2 ** 20;

/**
 * Lets an ext2, ext3 or ext4 filesystem grow that is not mounted. An ordinary file that is too
 * short for the size grows first, and gets its length back when nothing comes of it.
 * @throws EINVAL for a size that the filesystem cannot have, or a smaller one; ENOSPC for more than
 *   a device has; EUCLEAN for one that is to be checked first; ENOTSUP, EBUSY, EROFS: all with
 *   nothing changed; EBADMSG, EIO, and whatever opening says
 */
export function resizeVolume(
  source: string | Media,
  options: ResizeVolumeOptions = {},
): ResizeSummary {
  try {
    if (typeof source !== "string") return resizeOn(source, options);
    return isNbdUri(source) ? resizeExport(source, options) : resizeAtPath(source, options);
  } catch (error) {
    if (typeof source !== "string") throw error;
    const known = named(error, source);
    throw isDaxError(known) && known.syscall === "mkfs" ? known.at({ syscall: "resize" }) : known;
  }
}

function resizeExport(uri: string, options: ResizeVolumeOptions): ResizeSummary {
  const media = openNbdMedia(uri, { readOnly: false });
  try {
    return resizeOn(media, options);
  } finally {
    media.close();
  }
}

function resizeOn(media: Media, options: ResizeVolumeOptions): ResizeSummary {
  const { environment = systemEnvironment, force = false } = options;
  const use = { ...placeOf(options), readOnly: media.readOnly, syscall: "resize" };
  return onDevice(media, use, (device) => {
    const blocks = blocksOf(options, readSuperblock(device).blockSize);
    return resizeExt(device, { force, ...(blocks === undefined ? {} : { blocks }) }, environment);
  });
}

function placeOf({ offset, partition }: ResizeVolumeOptions): DevicePlace {
  return {
    ...(offset === undefined ? {} : { offset }),
    ...(partition === undefined ? {} : { partition }),
  };
}

function blocksOf({ size }: ResizeVolumeOptions, blockSize: number): number | undefined {
  if (size === undefined) return undefined;
  return "blocks" in size ? size.blocks : Math.floor(size.bytes / blockSize);
}

function resizeAtPath(path: string, options: ResizeVolumeOptions): ResizeSummary {
  const stat = typed(path, () => statSync(path));
  checkMounted(path, stat);
  const wanted = stat.isFile() && options.partition === undefined ? bytesFor(path, options) : 0;
  const grows = wanted > stat.size;
  if (grows) setFileSize(path, stat.size, wanted, false);
  try {
    return resizeLocked(path, options);
  } catch (error) {
    if (grows) shrinkBack(path, stat.size, options);
    throw error;
  }
}

function resizeLocked(path: string, options: ResizeVolumeOptions): ResizeSummary {
  const media = openFileMedia(path, { segmentBytes: WINDOW_BYTES });
  try {
    return resizeOn(media, options);
  } finally {
    media.close();
  }
}

/** Bytes that a file must have for a filesystem of the size; 0 where no size was given. */
function bytesFor(path: string, options: ResizeVolumeOptions): number {
  if (options.size === undefined) return 0;
  return withReading(path, placeOf(options), (device) => {
    const superblock = readSuperblock(device);
    const { blockSize } = superblock;
    const blocks = blocksOf(options, blockSize) as number;
    if (!Number.isSafeInteger(blocks * blockSize)) {
      const detail = `a size of ${blocks} blocks; it must be below 2^53 bytes`;
      throw new DaxError("EINVAL", { syscall: "resize", detail });
    }
    // What cannot be is refused before anything changes.
    planResizeExt(device, { blocks }, Math.max(blocks * blockSize, device.sectors * 512));
    const fitting = Math.max(fittingBlocks(superblock, blocks), superblock.blocks);
    return (options.offset ?? 0) + Math.max(fitting, blocks) * blockSize;
  });
}

/** Looks at the filesystem without a lock. */
function withReading<T>(path: string, place: DevicePlace, body: (device: BlockDevice) => T): T {
  const media = openFileMedia(path, { readOnly: true });
  try {
    return onDevice(media, { ...place, readOnly: true, syscall: "resize" }, body);
  } finally {
    media.close();
  }
}

/** The file gets its former length again, unless the filesystem needs more by now. */
function shrinkBack(path: string, size: number, options: ResizeVolumeOptions): void {
  try {
    const needed = withReading(path, placeOf(options), (device) => {
      const { blocks, blockSize } = readSuperblock(device);
      return (options.offset ?? 0) + blocks * blockSize;
    });
    if (needed > size) return;
  } catch (error) {
    // What cannot be read says nothing about where it ends.
    if (isDaxError(error)) return;
    throw error;
  }
  const fd = typed(path, () => openSync(path, "r+"));
  try {
    lockExclusively(fd, path);
    ftruncateSync(fd, size);
  } finally {
    closeUnlocked(fd);
  }
}
