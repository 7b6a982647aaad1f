/**
 * Changing what a filesystem says of itself, in a file, on a device, an export or any media.
 *
 * @module
 */
import { statSync } from "node:fs";
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { EXT4_SUPERBLOCK_OFFSET, Ext4SuperBlock } from "../format/ext-superblock.ts";
import { probeSuperblock } from "../fs/ext/superblock.ts";
import { type TuneMount, tuneExt } from "../fs/ext/tune.ts";
import type { TuneExtOptions } from "../fs/ext/tune-options.ts";
import type { TuneSummary } from "../fs/ext/tune-summary.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { type Decoded, decode, sizeof } from "../lib/struct.ts";
import type { Media } from "../media/media.ts";
import { isNbdUri } from "../nbd/uri.ts";
import { systemEnvironment } from "./environment.ts";
import { openFileMedia } from "./file-media.ts";
import { foreignHint } from "./foreign-image.ts";
import { loopMountOf } from "./loop-mounts.ts";
import { openNbdMedia } from "./nbd/client-media.ts";
import { DISK_NAME, type DevicePlace, onDevice } from "./on-device.ts";
import { typed } from "./system-error.ts";

/** Little is written to places far apart. */
const WINDOW_BYTES = 2 ** 20;

/** Where a filesystem is, and what becomes of it. */
export interface TuneVolumeOptions extends TuneExtOptions, DevicePlace {
  /** Clock and randomness; the system's unless given. */
  readonly environment?: Environment;
  /** How another machine that has the filesystem is waited for. */
  readonly multiMount?: TuneMount;
}

/**
 * Changes label, uuid, features and whatever else is only in the superblock, as tune2fs 1.47 does.
 * Nobody may have the filesystem mounted; nobody can while it is changed.
 * @throws EINVAL for what makes no sense or is no ext filesystem, ENOTSUP for what is not changed
 *   here, EBUSY when somebody has it, EUCLEAN for a journal that has to be replayed first: all with
 *   nothing written; EROFS, EACCES, EIO, and whatever opening says
 */
export function tuneVolume(source: string | Media, options: TuneVolumeOptions): TuneSummary {
  const { environment = systemEnvironment, multiMount } = options;
  return withMedia(source, false, (media) =>
    onDevice(media, { ...options, readOnly: false, syscall: "tune" }, (device) => {
      checkKind(device);
      return tuneExt(device, options, environment, multiMount);
    }),
  );
}

/** All fields of a superblock, as stored. */
export type StoredSuperblock = Decoded<typeof Ext4SuperBlock>;

/**
 * The superblock of a filesystem as it is stored, whatever is in it: what `tune2fs -l` shows.
 * @throws EINVAL when there is no ext filesystem, and whatever opening says
 */
export function readStoredSuperblock(
  source: string | Media,
  place: DevicePlace = {},
): StoredSuperblock {
  return withMedia(source, true, (media) =>
    onDevice(media, { ...place, readOnly: true, syscall: "tune" }, (device) => {
      checkKind(device);
      const bytes = new Uint8Array(sizeof(Ext4SuperBlock));
      device.readBytes(EXT4_SUPERBLOCK_OFFSET, bytes);
      return decode(Ext4SuperBlock, new DataView(bytes.buffer), 0);
    }),
  );
}

function checkKind(device: BlockDevice): void {
  if (probeSuperblock(device)) return;
  const hint = device.sectors * SECTOR_SIZE < 4096 ? undefined : foreignHint(device);
  const behind = hint === undefined ? "" : `; ${hint}`;
  const detail = `no ext2, ext3 or ext4 filesystem starts here${behind}`;
  throw new DaxError("EINVAL", { syscall: "tune", detail });
}

function withMedia<T>(source: string | Media, readOnly: boolean, body: (media: Media) => T): T {
  if (typeof source !== "string") return body(source);
  try {
    const media = opened(source, readOnly);
    try {
      return body(media);
    } finally {
      media.close();
    }
  } catch (error) {
    throw named(error, source);
  }
}

function opened(path: string, readOnly: boolean): Media {
  if (isNbdUri(path)) return openNbdMedia(path, { readOnly });
  if (!readOnly) checkMounted(path);
  return openFileMedia(path, { readOnly, segmentBytes: WINDOW_BYTES });
}

/** A mount sees no lock; block devices that are mounted refuse to be opened. */
function checkMounted(path: string): void {
  const stat = typed(path, () => statSync(path, { throwIfNoEntry: false }));
  const mount = stat?.isFile() === true ? loopMountOf(path) : undefined;
  if (mount === undefined) return;
  const detail = `it is ${mount}; unmount it first`;
  throw new DaxError("EBUSY", { syscall: "tune", path, detail });
}

function named(error: unknown, path: string): unknown {
  if (!isDaxError(error)) return error;
  const ours = error.path === undefined || error.path.startsWith(DISK_NAME);
  return ours ? error.at({ path }) : error;
}
