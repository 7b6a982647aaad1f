/**
 * Long files first, so that no core waits at the end for one that began late; those that share
 * their modules come last, one behind the other.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { WHOLE } from "./slices.ts";
import { COSTS, costName } from "./test-costs.ts";

/** Ms of processor time. */
function costOf({ moduleId }: TestSpecification): number {
  const { all = 0, ci = all } = COSTS[costName(moduleId)] ?? {};
  return WHOLE ? ci : all;
}

const isShared = ({ project }: TestSpecification): number => Number(!project.config.isolate);

export default class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- a method of the sequencer
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => isShared(a) - isShared(b) || costOf(b) - costOf(a));
  }
}
