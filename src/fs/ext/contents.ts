/**
 * Bytes of files that are the filesystem's own: long symbolic links, attribute values, quota and
 * orphan files. User data never passes here; dax copies that.
 *
 * @module
 */
import type { FileMap } from "./file-map.ts";
import type { Volume } from "./volume.ts";

/** Fills `target` from byte 0 of a file; holes read as zeros. @throws EUCLEAN, EBADMSG, EIO */
export function readContents(volume: Volume, map: FileMap, target: Uint8Array): void {
  const { blockSize } = volume.superblock;
  for (let done = 0; done < target.length; done += blockSize) {
    const piece = target.subarray(done, done + blockSize);
    const block = map.blockOf(done / blockSize);
    if (block === undefined) piece.fill(0);
    else volume.buffers.read(block, piece, "file block");
  }
}
