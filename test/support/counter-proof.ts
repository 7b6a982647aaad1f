/** A proof that is right, to be changed in one place. */
import { defineProof } from "../../src/crash/prove.ts";

export const counter = defineProof<number, undefined>({
  name: "counter",
  size: 256,
  workload({ mapping, ack }) {
    for (let n = 1; n <= 3; n++) {
      mapping.setU64(0, n);
      mapping.persist(0, 8);
      ack(n);
    }
  },
  check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length),
});
