/**
 * Workloads in the manner of ACE, and the crash suite of the ext driver that runs them.
 *
 * ```ts
 * import { AceSuite, aceWorkloads, workloadText } from "daxkit/prove";
 *
 * const suite = new AceSuite({ filesystem: "ext4" });
 * for (const workload of aceWorkloads({ filesystem: "ext4", length: 1 })) {
 *   const { kind, said } = suite.run(workload);
 *   if (kind !== "Survived") console.log(workloadText(workload), said);
 * }
 * ```
 *
 * @module
 */
export { type AceFilesystem, operationsOf } from "./bounds.ts";
export { type AceOptions, aceWorkloads, countAceWorkloads } from "./generator.ts";
export type { AceModel } from "./machine.ts";
export { type RandomOptions, randomWorkload } from "./random.ts";
export { shrinkWorkload } from "./shrink.ts";
export { AceSuite, type AceSuiteOptions, type AceVerdict, runAce } from "./suite.ts";
export {
  type Allocation,
  type Operation,
  type Persistence,
  type Step,
  type Where,
  type Workload,
  parseWorkload,
  workloadText,
} from "./workload.ts";
