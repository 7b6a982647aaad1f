/** Everything that reads hostile bytes, as targets of the fuzzer. */
import type { FuzzTarget } from "./fuzz.ts";
import { extTarget, largeExtTarget } from "./fuzz-ext.ts";
import { treeTarget } from "./fuzz-tree.ts";
import { extWritingTarget } from "./fuzz-ext-writing.ts";
import { fuseTarget } from "./fuzz-fuse.ts";
import { changeTarget, commandTarget, copyTarget } from "./fuzz-host.ts";
import { journalTarget } from "./fuzz-journal.ts";
import { machineTarget } from "./fuzz-machine.ts";
import { memmapTarget } from "./fuzz-memmap.ts";
import { nbdTarget } from "./fuzz-nbd.ts";
import { nbdClientTarget } from "./fuzz-nbd-client.ts";
import { partitionsTarget } from "./fuzz-partitions.ts";
import { tarTarget } from "./fuzz-tar.ts";
import { writeLogTarget } from "./fuzz-write-log.ts";

/** In the order in which they run. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  memmapTarget,
  machineTarget,
  partitionsTarget,
  tarTarget,
  writeLogTarget,
  nbdTarget,
  nbdClientTarget,
  fuseTarget,
  journalTarget,
  extTarget,
  largeExtTarget,
  extWritingTarget,
  treeTarget,
  commandTarget,
  changeTarget,
  copyTarget,
];

/** How many of `cases` each of the targets gets, by their weights; together exactly so many. */
export function shares(targets: readonly FuzzTarget[], cases: number): number[] {
  const weights = targets.reduce((sum, { weight }) => sum + weight, 0);
  let given = 0;
  let reached = 0;
  return targets.map(({ weight }) => {
    reached += weight;
    const upTo = Math.round((cases * reached) / weights);
    const share = upTo - given;
    given = upTo;
    return share;
  });
}
