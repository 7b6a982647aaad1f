/**
 * What a change of the superblock came to.
 *
 * @module
 */
import { Ext4SuperBlock as SB } from "../../format/ext-superblock.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { formatUuid } from "../../lib/uuid.ts";
import { featureNames } from "./mkfs-features.ts";
import type { TunedSuperblock } from "./tune-apply.ts";

/** A filesystem after it was tuned. */
export interface TuneSummary {
  /** False when everything was so already, and nothing was written. */
  readonly changed: boolean;
  readonly label: string;
  readonly uuid: string;
  /** In the order of dumpe2fs. */
  readonly features: readonly string[];
  /** What tune2fs says about each number that it sets, a line each. */
  readonly notes: readonly string[];
}

/** Tells what `tuned` holds. */
export function summaryOf({ changed, view, notes }: TunedSuperblock): TuneSummary {
  const name = SB.volumeName.get(view, 0);
  const end = name.indexOf(0);
  const features = {
    featureCompat: SB.featureCompat.get(view, 0),
    featureIncompat: SB.featureIncompat.get(view, 0),
    featureRoCompat: SB.featureRoCompat.get(view, 0),
  };
  return {
    changed,
    label: decodeUtf8(end < 0 ? name : name.subarray(0, end)),
    uuid: formatUuid(SB.uuid.get(view, 0)),
    features: featureNames(features),
    notes,
  };
}
