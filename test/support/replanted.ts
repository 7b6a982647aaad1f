/**
 * Replanted bugs: what programs on persistent memory get wrong, each a few lines away from a twin
 * that is right. The switch is the argument.
 */
import { crc32c } from "../../src/lib/crc32c.ts";
import {
  type Aftermath,
  type Mapping,
  type Proof,
  type Work,
  defineProof,
} from "../../src/crash/prove.ts";

/** A proof with the bug, or of its twin. */
export type Replanted = (bug: boolean) => Proof<number>;

const RECORD = 64;
const sumOf = (bytes: Uint8Array) => crc32c(0xffffffff, bytes);
const text = (n: number, length: number) => new Uint8Array(length).fill(0x60 + n);

/** All of the promised values are there, each whole; `read` finds value `n` or throws. */
function promisedAreThere(read: (mapping: Mapping, n: number) => Uint8Array) {
  return ({ mapping, acked }: Aftermath<number>): string | undefined => {
    for (const n of acked) {
      const found = read(mapping, n);
      if (found.some((byte) => byte !== 0x60 + n)) return `record ${n} is not what was promised`;
    }
    return undefined;
  };
}

/** Records behind a count: whatever the count speaks of must be whole, promised or not. */
function countedAreWhole(length: number) {
  return ({ mapping, acked }: Aftermath<number>): string | undefined => {
    const count = Number(mapping.u64(0));
    if (count < acked.length) return `${acked.length} promised, ${count} there`;
    for (let n = 1; n <= count; n++) {
      const found = mapping.load(RECORD * n, length);
      if (found.some((byte) => byte !== 0x60 + n)) return `record ${n} of ${count} is torn`;
    }
    return undefined;
  };
}

function counted(
  name: string,
  length: number,
  append: (mapping: Mapping, n: number) => void,
): Proof<number> {
  return defineProof({
    name,
    size: 1024,
    workload({ mapping, ack }: Work<number>) {
      for (let n = 1; n <= 2; n++) {
        append(mapping, n);
        ack(n);
      }
    },
    check: countedAreWhole(length),
  });
}

/** The record is never written back. */
const missingFlush: Replanted = (bug) =>
  counted("missing flush", 24, (mapping, n) => {
    mapping.copyIn(RECORD * n, text(n, 24));
    if (!bug) mapping.flush(RECORD * n, 24);
    mapping.fence();
    mapping.setU64(0, n);
    mapping.persist(0, 8);
  });

/** Record and count are written back in one epoch, in any order. */
const missingFence: Replanted = (bug) =>
  counted("missing fence", 24, (mapping, n) => {
    mapping.copyIn(RECORD * n, text(n, 24));
    mapping.flush(RECORD * n, 24);
    if (!bug) mapping.fence();
    mapping.setU64(0, n);
    mapping.persist(0, 8);
  });

/** A record over two lines, of which the flush covers one. */
const wrongRange: Replanted = (bug) =>
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
const firstLegOnly: Replanted = (bug) => {
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

/** The count speaks of a record that comes only then. */
const commitBeforePayload: Replanted = (bug) =>
  counted("commit before payload", 16, (mapping, n) => {
    const commit = () => {
      mapping.setU64(0, n);
      mapping.persist(0, 8);
    };
    if (bug) commit();
    mapping.copyIn(RECORD * n, text(n, 16));
    mapping.persist(RECORD * n, 16);
    if (!bug) commit();
  });

/** An index of two words that belong together, changed in place. */
const tornIndex: Replanted = (bug) =>
  defineProof({
    name: "index wider than an atom",
    size: 256,
    setup({ mapping }) {
      mapping.setU64(0, 1);
      mapping.setU64(8, 1);
      mapping.setU64(64, 1);
      mapping.setU64(72, 1);
    },
    workload({ mapping, ack }: Work<number>) {
      if (bug) {
        mapping.setU64(0, 2);
        mapping.setU64(8, 2);
        mapping.persist(0, 16);
      } else {
        // The other copy, then the word that says which one counts.
        mapping.setU64(64, 2);
        mapping.setU64(72, 2);
        mapping.persist(64, 16);
        mapping.setU64(128, 1);
        mapping.persist(128, 8);
      }
      ack(2);
    },
    check({ mapping, acked }) {
      const at = mapping.u64(128) === 1n ? 64 : 0;
      const [first, second] = [mapping.u64(at), mapping.u64(at + 8)];
      if (first !== second) return `the index is half ${first}, half ${second}`;
      return acked.length === 0 || first === 2n;
    },
  });

/** A file grows: its size is durable before what is in it. */
const sizeBeforeData: Replanted = (bug) =>
  defineProof({
    name: "size before data",
    size: 512,
    workload({ mapping, ack }: Work<number>) {
      mapping.copyIn(64, text(1, 40));
      if (!bug) mapping.persist(64, 40);
      mapping.setU32(0, 40);
      mapping.persist(0, 4);
      if (bug) mapping.persist(64, 40);
      ack(1);
    },
    check({ mapping, acked }) {
      const size = mapping.u32(0);
      if (size < acked.length * 40) return "the file is shorter than it was promised";
      return mapping.load(64, size).every((byte) => byte === 0x61);
    },
  });

/** Records that count as soon as their length is not zero; nothing says that they are whole. */
const checksumLess: Replanted = (bug) => {
  return defineProof({
    name: "record without checksum",
    size: 512,
    torn: "atoms",
    workload({ mapping, ack }: Work<number>) {
      for (let n = 1; n <= 2; n++) {
        const record = new Uint8Array(32);
        record.set(text(n, 24), 8);
        record[0] = 24;
        new DataView(record.buffer).setUint32(4, sumOf(record.subarray(8)), true);
        mapping.copyIn(RECORD * n, record);
        mapping.persist(RECORD * n, 32);
        ack(n);
      }
    },
    recover({ mapping }) {
      const records: Uint8Array[] = [];
      for (let at = RECORD; at < 512; at += RECORD) {
        const length = mapping.u8(at);
        const bytes = mapping.load(at + 8, length);
        if (length === 0 || (!bug && mapping.u32(at + 4) !== sumOf(bytes))) break;
        records.push(bytes);
      }
      return records;
    },
    check({ acked, recovered }: Aftermath<number>) {
      const records = recovered as Uint8Array[];
      for (const [i, record] of records.entries()) {
        if (record.some((byte) => byte !== 0x61 + i)) return `record ${i + 1} is torn`;
      }
      return records.length >= acked.length;
    },
  });
};

/** Promised first, written back afterwards. */
const flushAfterAck: Replanted = (bug) =>
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
const flushBeforeStore: Replanted = (bug) =>
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
const copyWithoutFence: Replanted = (bug) =>
  counted("non-temporal copy without a fence", 48, (mapping, n) => {
    mapping.copyNonTemporal(RECORD * n, text(n, 48));
    if (!bug) mapping.fence();
    mapping.setU64(0, n);
    mapping.persist(0, 8);
  });

/** The node is linked into the list before it is one. */
const headBeforeNode: Replanted = (bug) =>
  defineProof({
    name: "head before node",
    size: 512,
    workload({ mapping, ack }: Work<number>) {
      let head = 0;
      for (let n = 1; n <= 2; n++) {
        const node = RECORD * n;
        mapping.setU64(node, head);
        mapping.setU64(node + 8, 1000 + n);
        mapping.flush(node, 16);
        if (!bug) mapping.fence();
        mapping.setU64(0, node);
        mapping.persist(0, 8);
        head = node;
        ack(n);
      }
    },
    check({ mapping, acked }) {
      let length = 0;
      for (let at = Number(mapping.u64(0)); at !== 0; at = Number(mapping.u64(at))) {
        if (mapping.u64(at + 8) < 1000n) return `node ${at} is none`;
        length++;
      }
      return length >= acked.length;
    },
  });

/** Everything is in the caches, which this machine does not keep. */
const trustsTheBattery: Replanted = (bug) =>
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
const halfABattery: Replanted = (bug) =>
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
const trustsVolatile: Replanted = (bug) =>
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
const undoDroppedEarly: Replanted = (bug) =>
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
const recoveryForgetsFlush: Replanted = (bug) =>
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
const recoveryNotIdempotent: Replanted = (bug) =>
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

/** The corpus, by name. */
export const replanted = {
  missingFlush,
  missingFence,
  wrongRange,
  firstLegOnly,
  commitBeforePayload,
  tornIndex,
  sizeBeforeData,
  checksumLess,
  flushAfterAck,
  flushBeforeStore,
  copyWithoutFence,
  headBeforeNode,
  trustsTheBattery,
  halfABattery,
  trustsVolatile,
  undoDroppedEarly,
  recoveryForgetsFlush,
  recoveryNotIdempotent,
} satisfies Record<string, Replanted>;
