/** Replanted bugs: trust in what does not survive, and recoveries that lose. */
import { defineProof, type Work } from "../../src/crash/prove.ts";
import { promisedAreThere, type Replanted, text } from "./replanted-proofs.ts";

/** Everything is in the caches, which this machine does not keep. */
export const trustsTheBattery: Replanted = (bug) =>
  defineProof({
    name: "caches trusted where no battery is",
    size: 256,
    domain: bug ? "adr" : "eadr",
    workload({ mapping, ack }: Work<number>) {
      mapping.store(64, text(1, 16));
      ack(1);
    },
    check: promisedAreThere((mapping) => mapping.load(64, 16)),
  });

/** The index is battery-backed and always arrives; the record behind it need not. */
export const halfABattery: Replanted = (bug) =>
  defineProof({
    name: "half a battery",
    size: 512,
    domains: [
      { start: 0, length: 256, domain: "eadr" },
      { start: 256, length: 256, domain: "adr" },
    ],
    workload({ mapping, ack }: Work<number>) {
      mapping.store(256, text(1, 16));
      if (!bug) mapping.persist(256, 16);
      mapping.setU64(0, 256);
      ack(1);
    },
    check({ mapping, acked }) {
      const at = Number(mapping.u64(0));
      if (at === 0) return acked.length === 0;
      return mapping.load(at, 16).every((byte) => byte === 0x61);
    },
  });

/** The list of free places lives where nothing survives. */
export const trustsVolatile: Replanted = (bug) =>
  defineProof({
    name: "a cursor in volatile memory",
    size: 512,
    domains: [
      { start: 0, length: 64, domain: bug ? "volatile" : "adr" },
      { start: 64, length: 448, domain: "adr" },
    ],
    workload({ mapping, ack }: Work<number>) {
      mapping.store(128, text(1, 16));
      mapping.persist(128, 16);
      mapping.setU64(0, 128);
      mapping.persist(0, 8);
      ack(1);
    },
    check: promisedAreThere((mapping) => mapping.load(Number(mapping.u64(0)), 16)),
  });

/** The undo record is dropped before what it protects is durable. */
export const undoDroppedEarly: Replanted = (bug) =>
  defineProof({
    name: "undo record dropped early",
    size: 512,
    setup: ({ mapping }) => mapping.store(128, text(1, 24)),
    workload({ mapping, ack }: Work<number>) {
      mapping.store(72, mapping.load(128, 24));
      mapping.persist(72, 24);
      mapping.setU64(64, 1);
      mapping.persist(64, 8);
      mapping.store(128, text(2, 24));
      if (!bug) mapping.persist(128, 24);
      mapping.setU64(64, 0);
      mapping.persist(64, 8);
      if (bug) mapping.persist(128, 24);
      ack(2);
    },
    recover({ mapping }) {
      if (mapping.u64(64) === 0n) return;
      mapping.store(128, mapping.load(72, 24));
      mapping.persist(128, 24);
      mapping.setU64(64, 0);
      mapping.persist(64, 8);
    },
    check({ mapping, acked }) {
      const found = mapping.load(128, 24);
      if (found.some((byte) => byte !== found[0])) return "half old, half new";
      return acked.length === 0 || found[0] === 0x62;
    },
  });

/** Recovery says it is done before what it wrote is durable; a second power cut tells. */
export const recoveryForgetsFlush: Replanted = (bug) =>
  defineProof({
    name: "recovery forgets a flush",
    size: 512,
    workload({ mapping }: Work<number>) {
      mapping.setU64(72, 7);
      mapping.persist(72, 8);
      mapping.setU64(64, 1);
      mapping.persist(64, 8);
    },
    recover({ mapping }) {
      if (mapping.u64(64) !== 1n) return;
      mapping.setU64(128, mapping.u64(72));
      if (!bug) mapping.flush(128, 8);
      mapping.fence();
      mapping.setU64(64, 2);
      mapping.persist(64, 8);
    },
    check({ mapping }) {
      return mapping.u64(64) !== 2n || mapping.u64(128) === 7n;
    },
  });

/** Recovery adds what it should set: twice interrupted, twice added. */
export const recoveryNotIdempotent: Replanted = (bug) =>
  defineProof({
    name: "recovery is not idempotent",
    size: 512,
    setup: ({ mapping }) => mapping.setU64(128, 100),
    workload({ mapping }: Work<number>) {
      mapping.setU64(72, bug ? 5 : 105);
      mapping.persist(72, 8);
      mapping.setU64(64, 1);
      mapping.persist(64, 8);
    },
    recover({ mapping }) {
      if (mapping.u64(64) !== 1n) return;
      const value = mapping.u64(72);
      mapping.setU64(128, bug ? mapping.u64(128) + value : value);
      mapping.persist(128, 8);
      mapping.setU64(64, 0);
      mapping.persist(64, 8);
    },
    check: ({ mapping }) => [100n, 105n].includes(mapping.u64(128)),
  });
