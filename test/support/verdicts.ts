/** Verdicts that a test expects, or the whole report of the one it got. */
import { type Proof, prove, report } from "../../src/crash/prove.ts";
import type {
  HarnessBroken,
  Lost,
  NotMeasured,
  Survived,
  Verdict,
} from "../../src/crash/verdict.ts";

function expected<Kind extends Verdict["kind"], L, R>(
  kind: Kind,
  proof: Proof<L, R>,
): Extract<Verdict, { kind: Kind }> {
  const verdict = prove(proof);
  if (verdict.kind === kind) return verdict as Extract<Verdict, { kind: Kind }>;
  throw new Error(`expected ${kind}:\n${report(verdict).join("\n")}`);
}

export function survivedBy<L, R>(proof: Proof<L, R>): Survived {
  return expected("Survived", proof);
}

export function lostBy<L, R>(proof: Proof<L, R>): Lost {
  return expected("Lost", proof);
}

export function notMeasuredBy<L, R>(proof: Proof<L, R>): NotMeasured {
  return expected("NotMeasured", proof);
}

export function brokenBy<L, R>(proof: Proof<L, R>): HarnessBroken {
  return expected("HarnessBroken", proof);
}
