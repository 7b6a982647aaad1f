/**
 * seq-2: in CI every workload, elsewhere each six-hundredth; what it took is printed.
 */
import { expect } from "vitest";
import { type AceFilesystem, operationsOf } from "../../src/crash/ace/bounds.ts";
import { aceWorkloads } from "../../src/crash/ace/generator.ts";
import { AceSuite } from "../../src/crash/ace/suite.ts";
import { type Operation, concernOf, workloadText } from "../../src/crash/ace/workload.ts";
import { WHOLE } from "./slices.ts";

const SLICE = 600;

/** The operations of which names are a matter, or the others. */
export function operationsOn(what: "names" | "contents"): Operation[] {
  return operationsOf("ext4").filter((one) => isOnNames(one) === (what === "names"));
}

function isOnNames(operation: Operation): boolean {
  return concernOf(operation).directories.length > 0;
}

/** Runs all that begin with one of these calls; what was lost, or not measured. */
export function runSeq2(filesystem: AceFilesystem, first = operationsOf(filesystem)): string[] {
  const suite = new AceSuite({ filesystem });
  const lost: string[] = [];
  let [count, states, leaves] = [0, 0n, 0];
  const started = performance.now();
  for (const workload of aceWorkloads({ filesystem, length: 2, first })) {
    if (!WHOLE && count++ % SLICE > 0) continue;
    const verdict = suite.run(workload);
    if (WHOLE) count++;
    states += verdict.states;
    leaves += verdict.leaves;
    if (verdict.kind !== "Survived") lost.push(`${workloadText(workload)}: ${verdict.said}`);
  }
  const ran = WHOLE ? count : Math.ceil(count / SLICE);
  const each = ((performance.now() - started) / ran).toFixed(2);
  process.stdout.write(
    `seq-2 on ${filesystem}: ${ran} workloads, ${states} states covered, ${leaves} leaves run, ` +
      `${each} ms a workload\n`,
  );
  expect(ran).toBeGreaterThan(WHOLE ? 15_000 : 25);
  return lost;
}
