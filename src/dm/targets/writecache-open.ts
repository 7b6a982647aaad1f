/**
 * What a cache says of itself, held against the device that it lies on.
 *
 * @module
 */
import { WritecacheSuper } from "../../format/dm-writecache.ts";
import { type CacheLayout, dataStart, MOST_BLOCKS } from "./writecache-table.ts";

/** The layout that a superblock tells of. @throws what `refuse` makes of it */
export function layoutFound(
  view: DataView,
  size: number,
  blockSize: number,
  refuse: (error: string, cause: string) => never,
): CacheLayout {
  const found = WritecacheSuper.blockSize.get(view, 0);
  if (found !== blockSize) {
    return refuse("Block size does not match superblock", `${found} and ${blockSize} bytes`);
  }
  const told = WritecacheSuper.nBlocks.get(view, 0);
  if (told === 0n || told > BigInt(MOST_BLOCKS)) {
    return refuse("Overflow in size calculation", `${told} blocks; ${MOST_BLOCKS} are the most`);
  }
  const blocks = Number(told);
  const data = dataStart(blocks, blockSize);
  if (data + blocks * blockSize > size) {
    return refuse("Memory area is too small", `${blocks} blocks do not fit into ${size} bytes`);
  }
  return { blocks, data };
}
