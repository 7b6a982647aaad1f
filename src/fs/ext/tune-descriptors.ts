/**
 * Group descriptors under a new uuid: with `uninit_bg` their checksums begin with it.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { EXT4_FEATURE_INCOMPAT_META_BG } from "../../format/ext-superblock.ts";
import { Ext4GroupDesc as GD } from "../../format/ext-group.ts";
import { hasIncompat } from "./features.ts";
import { descriptorBlock, groupStart, hasSuper, plainDescriptorBlocks } from "./geometry.ts";
import { superGroups } from "./geometry.ts";
import { descriptorChecksum } from "./groups.ts";
import type { Superblock } from "./superblock.ts";

/** Two steps, since copies are durable before the first ones change. */
export interface TunedDescriptors {
  writeCopies(): void;
  writeFirst(): void;
}

/** Undefined where no checksum depends on the uuid. @throws EIO */
export function tunedDescriptors(
  device: BlockDevice,
  before: Superblock,
  after: Superblock,
): TunedDescriptors | undefined {
  if (!after.gdtCsum) return undefined;
  const { descriptorBlocks, blockSize } = before;
  const blocks: Uint8Array[] = [];
  for (let index = 0; index < descriptorBlocks; index++) {
    blocks.push(resealed(device, before, after, index));
  }
  // tune2fs leaves checksums alone when one of them is wrong: e2fsck is to see it.
  if (blocks.some((block) => block.length === 0)) return undefined;
  const store = (block: number, index: number): void => {
    device.write((block * blockSize) / SECTOR_SIZE, blocks[index] as Uint8Array);
  };
  return {
    writeCopies() {
      for (const { block, index } of copies(before)) store(block, index);
    },
    writeFirst() {
      for (const index of blocks.keys()) store(descriptorBlock(before, index), index);
    },
  };
}

/** A block of descriptors with new checksums; empty when an old one is wrong. */
function resealed(
  device: BlockDevice,
  before: Superblock,
  after: Superblock,
  index: number,
): Uint8Array {
  const { blockSize, descSize, descriptorsPerBlock, groups } = before;
  const bytes = new Uint8Array(blockSize);
  device.readBytes(descriptorBlock(before, index) * blockSize, bytes);
  const view = new DataView(bytes.buffer);
  const first = index * descriptorsPerBlock;
  for (let group = first; group < Math.min(groups, first + descriptorsPerBlock); group++) {
    const at = (group - first) * descSize;
    const one = bytes.subarray(at, at + descSize);
    if (GD.checksum.get(view, at) !== descriptorChecksum(before, group, one)) {
      return new Uint8Array(0);
    }
    GD.checksum.set(view, at, descriptorChecksum(after, group, one) as number);
  }
  return bytes;
}

/** Where descriptor blocks have copies. */
function* copies(superblock: Superblock): Generator<{ block: number; index: number }> {
  const plain = plainDescriptorBlocks(superblock);
  for (const group of superGroups(superblock)) {
    if (group === 0) continue;
    const start = groupStart(superblock, group) + 1;
    for (let index = 0; index < plain; index++) yield { block: start + index, index };
  }
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_META_BG)) return;
  const { descriptorsPerBlock: each, descriptorBlocks, groups } = superblock;
  for (let index = plain; index < descriptorBlocks; index++) {
    for (const group of [index * each + 1, index * each + each - 1]) {
      if (group >= groups) continue;
      const behind = hasSuper(superblock, group) ? 1 : 0;
      yield { block: groupStart(superblock, group) + behind, index };
    }
  }
}
