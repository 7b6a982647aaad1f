/**
 * Cutting a file: the blocks behind its size are freed, in as many transactions as that takes. An
 * inode stays on the orphan list meanwhile, so that a mount after a crash goes on with it.
 *
 * @module
 */
import type { Handle } from "./handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "./inode-record.ts";
import type { MapContext } from "./map-context.ts";
import { hasMap, mapLimit, removeBlocks } from "./map-writer.ts";

/**
 * Frees blocks that lie wholly behind the inode's size, as many as the handle can take. The caller
 * has set the size, zeroed what the last block holds behind it, and put the inode on the orphan
 * list unless one handle was enough. Needs `mapCredits`, goes on after a crash, and does nothing
 * for what has no map. `true`: all are gone. @throws EUCLEAN, EBADMSG, EIO, EROFS
 */
export function truncateStep(context: MapContext, handle: Handle, record: InodeRecord): boolean {
  const { volume } = context;
  if (!hasMap(volume, record)) return true;
  const from = Math.ceil(record.size / volume.superblock.blockSize);
  if (from >= mapLimit(volume, record)) return true;
  return removeBlocks(context, handle, record, [from, MAX_LOGICAL_BLOCKS]) === from;
}
