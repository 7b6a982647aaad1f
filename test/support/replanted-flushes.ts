/** Replanted bugs: a write-back or a fence is missing, or not where it should be. */
import { defineProof, type Mapping, type Work } from "../../src/crash/prove.ts";
import { counted, promisedAreThere, RECORD, type Replanted, text } from "./replanted-proofs.ts";

/** The record is never written back. */
export const missingFlush: Replanted = (bug) =>
  counted("missing flush", 24, (mapping, n) => {
    mapping.copyIn(RECORD * n, text(n, 24));
    if (!bug) mapping.flush(RECORD * n, 24);
    mapping.fence();
    mapping.setU64(0, n);
    mapping.persist(0, 8);
  });

/** Record and count are written back in one epoch, in any order. */
export const missingFence: Replanted = (bug) =>
  counted("missing fence", 24, (mapping, n) => {
    mapping.copyIn(RECORD * n, text(n, 24));
    mapping.flush(RECORD * n, 24);
    if (!bug) mapping.fence();
    mapping.setU64(0, n);
    mapping.persist(0, 8);
  });

/** A record over two lines, of which the flush covers one. */
export const wrongRange: Replanted = (bug) =>
  defineProof({
    name: "flush of the wrong range",
    size: 512,
    workload({ mapping, ack }: Work<number>) {
      mapping.store(120, text(1, 16));
      mapping.persist(120, bug ? 8 : 16);
      ack(1);
    },
    check: promisedAreThere((mapping) => mapping.load(120, 16)),
  });

/** Two legs hold the halves of each record; only the first is ever flushed. */
export const firstLegOnly: Replanted = (bug) => {
  const LEG = 1024;
  const flush = (mapping: Mapping, offset: number, length: number) => {
    mapping.flush(offset, length);
    if (!bug) mapping.flush(LEG + offset, length);
  };
  return defineProof({
    name: "flush of the first leg only",
    size: 2 * LEG,
    domains: [
      { start: 0, length: LEG, domain: "adr" },
      { start: LEG, length: LEG, domain: "adr" },
    ],
    workload({ mapping, ack }: Work<number>) {
      for (let n = 1; n <= 2; n++) {
        mapping.copyIn(RECORD * n, text(n, 16));
        mapping.copyIn(LEG + RECORD * n, text(n, 16));
        flush(mapping, RECORD * n, 16);
        mapping.fence();
        ack(n);
      }
    },
    check: promisedAreThere((mapping, n) => {
      const whole = new Uint8Array(32);
      whole.set(mapping.load(RECORD * n, 16));
      whole.set(mapping.load(LEG + RECORD * n, 16), 16);
      return whole;
    }),
  });
};

/** Promised first, written back afterwards. */
export const flushAfterAck: Replanted = (bug) =>
  defineProof({
    name: "flush after ack",
    size: 256,
    workload({ mapping, ack }: Work<number>) {
      mapping.store(64, text(1, 8));
      if (bug) ack(1);
      mapping.persist(64, 8);
      if (!bug) ack(1);
    },
    check: promisedAreThere((mapping) => mapping.load(64, 8)),
  });

/** The write-back comes before the store that it was meant for. */
export const flushBeforeStore: Replanted = (bug) =>
  defineProof({
    name: "flush before store",
    size: 256,
    workload({ mapping, ack }: Work<number>) {
      if (bug) mapping.flush(64, 8);
      mapping.store(64, text(1, 8));
      if (!bug) mapping.flush(64, 8);
      mapping.fence();
      ack(1);
    },
    check: promisedAreThere((mapping) => mapping.load(64, 8)),
  });

/** A non-temporal copy goes around the cache, and is durable no earlier than the next fence. */
export const copyWithoutFence: Replanted = (bug) =>
  counted("non-temporal copy without a fence", 48, (mapping, n) => {
    mapping.copyNonTemporal(RECORD * n, text(n, 48));
    if (!bug) mapping.fence();
    mapping.setU64(0, n);
    mapping.persist(0, 8);
  });
