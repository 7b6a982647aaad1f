/** The three programs that ship in `examples/`: what a newcomer sees first. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import missingFlush from "../../examples/log-missing-flush.ts";
import oneEpoch from "../../examples/log-one-epoch.ts";
import right from "../../examples/log-right.ts";
import { explore } from "../../src/crash/explorer.ts";
import type { Program } from "../../src/crash/program.ts";
import { prove, report } from "../../src/crash/prove.ts";
import { explorationOf } from "../../src/crash/prover.ts";
import { visitRawStates } from "../../src/crash/raw-states.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { lostBy, survivedBy } from "../support/verdicts.ts";

function isContent(program: Program, media: ModelledMedia, acked: readonly unknown[]): boolean {
  try {
    return program.check(media, acked, program.recover?.(media)) === true;
  } catch {
    return false;
  }
}

const shorten = (file: string) => file.replace(/^.*\/examples\//u, "examples/");

describe("the append-only log", () => {
  test("[X1] survives when it is right, in every state, with no flush too many", () => {
    const verdict = survivedBy(right);
    // Three entries, each two epochs. Entry: a copy of 19, 21 or 18 bytes is 3 atoms, so 4 states;
    // commit record: 1 atom, so 2. The end adds 1.
    expect(verdict.depths[0]?.space).toBe(4n + 2n + 4n + 2n + 4n + 2n + 1n);
    expect(verdict.crashPoints).toBe(7);
    expect(verdict.leaves).toBeLessThan(19);
    expect(verdict.redundantFlushes).toEqual([]);
    expect(verdict.acks).toBe(3);
  });

  test("[X1] loses an entry when one flush is removed, and the report says where", () => {
    const verdict = lostBy(missingFlush);
    const [cut] = verdict.counterExample.cuts;
    expect(verdict.counterExample.cuts.length).toBe(1);
    expect(cut?.lost.map(({ start, lacked }) => [start, lacked])).toEqual([
      [64, "flush and fence"],
    ]);
    expect(cut?.arrived.map(({ start }) => start)).toEqual([0]);
    expect(verdict.missing?.length).toBe(1);
    const [missing] = verdict.missing ?? [];
    expect(missing).toMatchObject({
      flush: { offset: 64, length: 19 },
      fence: false,
      times: 3,
      after: { kind: "copy", site: { line: 11, function: "append" } },
      before: { kind: "fence", site: { line: 12 } },
    });
    // What a newcomer sees; a change of it is made on purpose.
    const seen = readFileSync(join(import.meta.dirname, "../golden/log-missing-flush.txt"), "utf8");
    expect(`${report(verdict, { shorten }).join("\n")}\n`).toBe(seen);
  });

  test("[X1] loses an entry that shares an epoch with its commit record: a fence lacks", () => {
    const verdict = lostBy(oneEpoch);
    const [cut] = verdict.counterExample.cuts;
    expect(cut?.lost.map(({ start, lacked }) => [start, lacked])).toEqual([[64, "fence"]]);
    expect(verdict.missing).toMatchObject([
      {
        fence: true,
        after: { kind: "flush", site: { line: 12 } },
        before: { kind: "store", site: { line: 13 } },
      },
    ]);
    expect(verdict.missing?.[0]).not.toHaveProperty("flush");
    expect(report(verdict, { shorten }).join("\n")).toContain("mapping.fence() after event 1");
  });

  test("survives whatever a torn copy leaves, and on battery-backed memory", () => {
    for (const torn of ["prefix", "atoms", "line"] as const) survivedBy({ ...right, torn });
    const battery = survivedBy({ ...right, domain: "eadr" });
    // Every store is durable as it is made: each atom is a crash point, and each fence.
    expect(battery.depths[0]).toMatchObject({ crashPoints: 9 + 3 + 6 + 1, space: 19n });
    expect(battery.redundantFlushes.map(({ flushes }) => flushes)).toEqual([3, 3]);
    // The battery makes up for the missing flush and fence; nothing makes up for no memory.
    survivedBy({ ...missingFlush, domain: "eadr" });
    survivedBy({ ...oneEpoch, domain: "eadr" });
    const gone = lostBy({ ...right, domain: "volatile" });
    expect(gone.missing).toBe(undefined);
  });

  test("[X1] brute force over every raw state finds as many that fail", () => {
    for (const torn of ["prefix", "atoms", "line"] as const) {
      for (const proof of [right, missingFlush, oneEpoch]) {
        const what = explorationOf({ ...proof, torn });
        const { program, trace, initial } = what;
        const media = new ModelledMedia(initial.length);
        media.recorder.recording = false;
        let failing = 0;
        const visited = visitRawStates(what, (bytes, { acked }) => {
          media.recorder.image.set(bytes);
          if (isContent(program, media, trace.labels.slice(0, acked))) return;
          failing++;
        });
        const [tally] = explore(what).tallies;
        expect(BigInt(visited)).toBe(tally?.space);
        expect(BigInt(failing)).toBe(tally?.failing);
      }
    }
  });

  test("the same proof gives the same verdict", () => {
    for (const proof of [right, missingFlush, oneEpoch]) {
      expect(report(prove(proof))).toEqual(report(prove(proof)));
    }
  });
});
