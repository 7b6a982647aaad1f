/**
 * An append-only log in persistent memory, all but its `append`: each of the three programs beside
 * this file has its own. `log-right.ts` is right, the other two forget something.
 *
 * The first cache line holds the commit record, the number of entries. Entry `n` lies in a slot of
 * its own: its length in bytes, then its text.
 */
import { type Mapping, type Proof, type Work, defineProof } from "daxkit/prove";

/** The commit record: one word of eight bytes, which a power cut leaves whole or absent. */
export const COUNT = 0;
const FIRST_SLOT = 64;
const SLOT_BYTES = 64;
const SLOTS = 7;

export function slotOf(entry: number): number {
  return FIRST_SLOT + entry * SLOT_BYTES;
}

/** The bytes of an entry as they lie in its slot. */
export function encodeEntry(text: string): Uint8Array {
  const bytes = new Uint8Array(8 + text.length);
  bytes[0] = text.length;
  for (let i = 0; i < text.length; i++) bytes[8 + i] = text.charCodeAt(i);
  return bytes;
}

/** All entries that the commit record speaks of. */
function readLog(mapping: Mapping): string[] {
  const count = Number(mapping.u64(COUNT));
  if (count > SLOTS) throw new Error(`the log says it has ${count} entries`);
  return Array.from({ length: count }, (_, entry) => {
    const length = mapping.u8(slotOf(entry));
    return String.fromCharCode(...mapping.load(slotOf(entry) + 8, length));
  });
}

const TEXTS = ["power is on", "so far so good", "still here"];

/** A program that appends three lines and promises each; `append` is what is to be proved. */
export function proveLog(
  name: string,
  append: (mapping: Mapping, entry: number, bytes: Uint8Array) => void,
): Proof<string, string[]> {
  return defineProof({
    name,
    size: FIRST_SLOT + SLOTS * SLOT_BYTES,
    workload({ mapping, ack }: Work<string>) {
      for (const [entry, text] of TEXTS.entries()) {
        append(mapping, entry, encodeEntry(text));
        ack(text);
      }
    },
    recover: ({ mapping }) => readLog(mapping),
    check({ acked, recovered }) {
      for (const [entry, text] of recovered.entries()) {
        if (text !== TEXTS[entry]) return `entry ${entry} reads ${JSON.stringify(text)}`;
      }
      const lost = acked[recovered.length];
      return lost === undefined || `${JSON.stringify(lost)} was promised, and is not in the log`;
    },
  });
}
