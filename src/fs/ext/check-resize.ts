/**
 * Check of the resize inode, which keeps the reserved descriptor blocks: its double-indirect block
 * must list them, and each of them its copies in the other groups.
 *
 * @module
 */
import { EXT4_DIND_BLOCK, EXT4_N_BLOCKS, EXT4_RESIZE_INO } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_COMPAT_RESIZE_INODE } from "../../format/ext-superblock.ts";
import type { CheckContext } from "./check-context.ts";
import { superGroups } from "./geometry.ts";
import { readInode } from "./check-inode-table.ts";

/** Checks inode 7 against the geometry. @throws EIO */
export function checkResizeInode(context: CheckContext): void {
  const inode = readInode(context, EXT4_RESIZE_INO);
  if (inode === undefined) return;
  const report = (text: string): void => context.error("ext.resize", inode.where, text);
  const words = Array.from({ length: EXT4_N_BLOCKS }, (_, i) => inode.blockWord(i));
  if (!context.compat(EXT4_FEATURE_COMPAT_RESIZE_INODE)) {
    if (words.some((word) => word !== 0)) report("it holds blocks, but resize_inode is not set");
    return;
  }
  const double = words[EXT4_DIND_BLOCK] as number;
  const others = words.some((word, i) => word !== 0 && i !== EXT4_DIND_BLOCK);
  if (others || !inode.isRegular || inode.links === 0 || !context.isInside(double)) {
    report("it is not a regular file with just a double-indirect block");
    return;
  }
  const wrong = reservedProblem(context, double);
  if (wrong !== undefined) report(wrong);
}

function reservedProblem(context: CheckContext, double: number): string | undefined {
  const { superblock } = context;
  const { blockSize, firstDataBlock, descriptorBlocks, blocksPerGroup } = superblock;
  const perBlock = blockSize / 4;
  const index = context.read(double, "resize inode");
  const groups = [...superGroups(superblock)]
    .filter((group) => group > 0)
    .toSorted((a, b) => a - b);
  const shifted = blockSize === 1024 && firstDataBlock === 0 ? 1 : 0;
  const first = firstDataBlock + 1 + descriptorBlocks + shifted;
  // As e2fsck, which looks at the first quarter of the reserved blocks.
  const count = Math.floor(superblock.reservedGdtBlocks / 4);
  for (let i = 0; i < count; i++) {
    const slot = (descriptorBlocks + i) % perBlock;
    const found = index.getUint32(slot * 4, true);
    const block = first + i;
    if (found !== block) return `entry ${slot} is block ${found}, expected ${block}`;
    if (!context.isInside(block)) return `reserved block ${block} lies outside the filesystem`;
    const copies = context.read(block, "reserved descriptor block");
    for (const [k, group] of groups.slice(0, perBlock).entries()) {
      const copy = copies.getUint32(k * 4, true);
      const expected = block + group * blocksPerGroup;
      if (copy !== expected) {
        return `block ${block} names copy ${copy} in group ${group}, expected ${expected}`;
      }
    }
  }
  return undefined;
}
