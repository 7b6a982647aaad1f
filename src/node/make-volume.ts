/**
 * Making filesystems: a file, a block device, an export or any media gets one.
 *
 * @module
 */
import type { ExtSummary } from "../fs/ext/mkfs.ts";
import type { Media } from "../media/media.ts";
import { isNbdUri } from "../nbd/uri.ts";
import { type MakeVolumeOptions, makeImage, named, planFor, planImage } from "./make-image.ts";
import { openNbdMedia } from "./nbd/client-media.ts";

/**
 * Makes an ext2, ext3 or ext4 filesystem. A path that is not there becomes a sparse file of `size`;
 * a file that is shorter grows.
 * @throws EINVAL for options that cannot be obeyed and ENOSPC for too little room, both with
 *   nothing written; EEXIST for what must not be overwritten; EBUSY when another writer has it;
 *   and whatever opening says
 */
export function makeVolume(source: string | Media, options: MakeVolumeOptions = {}): ExtSummary {
  if (typeof source !== "string" || !isNbdUri(source)) return makeImage(source, options);
  return onExport(source, false, (media) => makeImage(media, options));
}

/** What would be made there, with nothing written. @throws as {@link makeVolume} */
export function planVolume(path: string, options: MakeVolumeOptions = {}): ExtSummary {
  if (!isNbdUri(path)) return planImage(path, options);
  return onExport(path, true, (media) => planFor(media.size, options).summary());
}

function onExport<T>(uri: string, readOnly: boolean, body: (media: Media) => T): T {
  try {
    const media = openNbdMedia(uri, { readOnly });
    try {
      return body(media);
    } finally {
      media.close();
    }
  } catch (error) {
    throw named(error, uri);
  }
}
