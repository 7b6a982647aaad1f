/**
 * Every target there is, in the order in which `dmsetup targets` lists them.
 *
 * @module
 */
import type { TargetType } from "./target.ts";
import { delay } from "./targets/delay.ts";
import { dust } from "./targets/dust.ts";
import { error } from "./targets/error.ts";
import { flakey } from "./targets/flakey.ts";
import { linear } from "./targets/linear.ts";
import { striped } from "./targets/striped.ts";
import { logWrites } from "./targets/log-writes.ts";
import { mirror } from "./targets/mirror.ts";
import { writecache } from "./targets/writecache.ts";
import { snapshot } from "./targets/snapshot.ts";
import { snapshotMerge } from "./targets/snapshot-merge.ts";
import { snapshotOrigin } from "./targets/snapshot-origin.ts";
import { zero } from "./targets/zero.ts";

/** All targets by name. */
export const TARGET_TYPES: ReadonlyMap<string, TargetType> = new Map(
  [
    logWrites,
    writecache,
    flakey,
    dust,
    delay,
    zero,
    mirror,
    snapshotMerge,
    snapshotOrigin,
    snapshot,
    striped,
    linear,
    error,
  ].map((type) => [type.name, type]),
);
