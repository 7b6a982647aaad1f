/** Replanted bugs: what speaks of data is durable before the data, or only half. */
import { type Aftermath, defineProof, type Work } from "../../src/crash/prove.ts";
import { counted, RECORD, type Replanted, sumOf, text } from "./replanted-proofs.ts";

/** The count speaks of a record that comes only then. */
export const commitBeforePayload: Replanted = (bug) =>
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
export const tornIndex: Replanted = (bug) =>
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
export const sizeBeforeData: Replanted = (bug) =>
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
export const checksumLess: Replanted = (bug) => {
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

/** The node is linked into the list before it is one. */
export const headBeforeNode: Replanted = (bug) =>
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
