/** What replanted bugs are made of: records, and checks of them. */
import {
  type Aftermath,
  defineProof,
  type Mapping,
  type Proof,
  type Work,
} from "../../src/crash/prove.ts";
import { crc32c } from "../../src/lib/crc32c.ts";

/** A proof with the bug, or of its twin. */
export type Replanted = (bug: boolean) => Proof<number>;

export const RECORD = 64;
export const sumOf = (bytes: Uint8Array) => crc32c(0xffffffff, bytes);
export const text = (n: number, length: number) => new Uint8Array(length).fill(0x60 + n);

/** All of the promised values are there, each whole; `read` finds value `n` or throws. */
export function promisedAreThere(read: (mapping: Mapping, n: number) => Uint8Array) {
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

export function counted(
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
