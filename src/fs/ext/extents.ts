/**
 * Extent trees: from a logical block to the decoded leaf that answers for it.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  type ExtentNode,
  checkIndex,
  eachExtent,
  keyOf,
  lastEntryUpTo,
  readChild,
  readRoot,
} from "./extent-node.ts";
import type { InodeRecord } from "./inode-record.ts";
import { MAPPED, type Segment, SegmentBuilder, UNWRITTEN, replayOf } from "./runs.ts";
import type { Volume } from "./volume.ts";

/**
 * The part of the mapping that holds `logical`: a whole leaf, up to where its neighbours start.
 * @throws EUCLEAN for a tree that breaks a rule, EBADMSG, EIO
 */
export function extentSegment(volume: Volume, record: InodeRecord, logical: number): Segment {
  let node = readRoot(record);
  while (node.depth > 0) {
    checkIndex(volume, node);
    const entry = lastEntryUpTo(node, logical);
    if (entry < 0) {
      return new SegmentBuilder(node.first, keyOf(node, 0), undefined).finish();
    }
    node = readChild(volume, record, node, entry);
  }
  return decodeLeaf(volume, node, replayOf(volume, record.type));
}

function decodeLeaf(volume: Volume, node: ExtentNode, replay: Buffers | undefined): Segment {
  const builder = new SegmentBuilder(node.first, node.limit, replay);
  eachExtent(volume, node, (logical, block, count, unwritten) => {
    builder.add(logical, block, count, unwritten ? UNWRITTEN : MAPPED);
  });
  return builder.finish();
}
