/**
 * Lookup by hash: from the root of a directory's hash tree to the leaf blocks that may hold a name.
 *
 * @module
 */
import { corrupt } from "./corruption.ts";
import type { DirectoryBlocks } from "./directory-blocks.ts";
import { advance, descend, hashBy, leafOf, nextKey, readRootInfo } from "./htree-frames.ts";

/** A leaf of a hash tree in which a name was found. */
export interface FoundLeaf {
  /** The number of the block in its directory. */
  readonly index: number;
  readonly ino: number;
}

/**
 * Where `name` stands; undefined when it is not there.
 * @throws EUCLEAN for an index that breaks a rule, EBADMSG, EIO
 */
export function findHashed(directory: DirectoryBlocks, name: Uint8Array): FoundLeaf | undefined {
  const hash = nameHash(directory, name);
  const frames = descend(directory, hash);
  // No more leaves than blocks: a chain of equal hashes cannot visit one twice.
  for (let visits = 0; visits < directory.count; visits++) {
    const index = leafOf(directory, frames);
    const ino = searchLeaf(directory, index, name);
    if (ino !== 0) return { index, ino };
    const key = nextKey(frames);
    // Names with the same hash go on in the next leaf; bit 0 is set because this one has them too.
    if (key === undefined || (key & ~1) >>> 0 !== hash) return undefined;
    advance(directory, frames);
  }
  throw corrupt(directory.where(0), "index", "a chain without end", "leaves repeat");
}

/** The hash by which a directory's tree orders a name. @throws EUCLEAN */
export function nameHash(directory: DirectoryBlocks, name: Uint8Array): number {
  const { version } = readRootInfo(directory);
  const hashed = hashBy(directory.volume.superblock, version, name);
  if (hashed !== undefined) return hashed.hash;
  throw corrupt(directory.where(0), "hash_version", version, "only 0 to 2 are known");
}

function searchLeaf(directory: DirectoryBlocks, index: number, name: Uint8Array): number {
  const scanner = directory.scan(directory.get(index), index);
  while (scanner.next()) if (scanner.matches(name)) return scanner.inode;
  return 0;
}
