/** Counter-examples and remedies are the smallest there are; found by programs made for it. */
import { expect, test } from "vitest";
import { type Proof, type Work, defineProof } from "../../src/crash/prove.ts";
import { lostBy, survivedBy } from "../support/verdicts.ts";

test("a later power cut that loses fewer lines is preferred to an earlier one", () => {
  const { counterExample } = lostBy(
    defineProof({
      name: "two ways to fail",
      size: 512,
      workload({ mapping }) {
        mapping.setU64(0, 1);
        mapping.setU64(64, 1);
        mapping.fence();
        mapping.persist(0, 128);
        mapping.setU64(128, 1);
        mapping.setU64(192, 1);
      },
      check({ mapping }) {
        if (mapping.u64(192) > mapping.u64(128)) return "the later one is there";
        return mapping.u64(0) + mapping.u64(64) > 0n || "both are gone";
      },
    }),
  );
  expect(counterExample.said).toBe("the later one is there");
  expect(counterExample.cuts[0]?.lost.map(({ start }) => start)).toEqual([128]);
});

test("one fence in the right place is preferred to two that do as well", () => {
  const { missing } = lostBy(
    defineProof({
      name: "two records, one commit",
      size: 512,
      workload({ mapping, ack }: Work<number>) {
        mapping.setU64(64, 1);
        mapping.setU64(128, 1);
        mapping.flush(64, 8);
        mapping.flush(128, 8);
        mapping.setU64(0, 1);
        mapping.persist(0, 8);
        ack(1);
      },
      check({ mapping, acked }) {
        if (mapping.u64(0) === 0n) return acked.length === 0;
        // The record flushed first is looked at last: its loss is what is met first.
        return mapping.u64(128) === 1n && mapping.u64(64) === 1n;
      },
    }),
  );
  expect(missing).toMatchObject([{ fence: true, after: { kind: "flush", offset: 128 } }]);
});

/** Three records, of which some are flushed. */
function program(flushed: readonly number[]): Proof<number, undefined> {
  return defineProof({
    name: "three records",
    size: 512,
    workload({ mapping, ack }: Work<number>) {
      mapping.setU64(64, 1);
      if (flushed.includes(64)) mapping.flush(64, 8);
      mapping.setU64(128, 1);
      if (flushed.includes(128)) mapping.flush(128, 8);
      mapping.setU64(192, 1);
      if (flushed.includes(192)) mapping.flush(192, 8);
      mapping.fence();
      ack(1);
    },
    check: ({ mapping, acked }) =>
      acked.length === 0 || [64, 128, 192].every((at) => mapping.u64(at) === 1n),
  });
}

test("several insertions, where that is the least", () => {
  const { missing } = lostBy(program([]));
  expect(missing?.map(({ flush, fence }) => [flush?.offset, fence])).toEqual([
    [64, false],
    [128, false],
    [192, false],
  ]);
  expect(lostBy(program([64, 192])).missing?.map(({ flush }) => flush?.offset)).toEqual([128]);
  survivedBy(program([64, 128, 192]));
});

test("a store of recovery over what it has not read hides nothing from the next one", () => {
  const proof = defineProof({
    name: "blind store in recovery",
    size: 256,
    workload({ mapping }) {
      mapping.setU64(0, 1);
      mapping.setU64(8, 2);
    },
    recover({ mapping }) {
      if (mapping.u64(64) !== 0n) return mapping.u64(0);
      // The line is in doubt; its first word is overwritten, then its second is looked at.
      mapping.setU64(0, 9);
      mapping.setU64(64, mapping.u64(8) + 10n);
      mapping.persist(64, 8);
      return undefined;
    },
    check: ({ recovered }) => recovered !== 5n,
  });
  survivedBy(proof);
  // The first recovery's store to word 0 need not have arrived when power goes again.
  for (const value of [0n, 1n, 9n]) {
    const { counterExample } = lostBy({ ...proof, check: ({ recovered }) => recovered !== value });
    expect(counterExample.cuts.length).toBe(2);
  }
});

test("a wrapper of the program's own is no hiding place: the insertion stands inside it", () => {
  const { missing, counterExample } = lostBy(
    defineProof({
      name: "wrapped",
      size: 512,
      workload({ mapping, ack }: Work<number>) {
        const put = (at: number, value: number) => {
          mapping.setU64(at, value);
          mapping.fence();
        };
        put(64, 7);
        put(0, 1);
        ack(1);
      },
      check: ({ mapping, acked }) =>
        mapping.u64(0) === 0n ? acked.length === 0 : mapping.u64(64) === 7n,
    }),
  );
  expect(missing).toMatchObject([{ times: 2, after: { site: { function: "put" } } }]);
  const [callers] = counterExample.cuts.flatMap(
    ({ lost }) => lost[0]?.events[0]?.site?.callers ?? [],
  );
  expect(callers?.function).toBe("workload");
});
