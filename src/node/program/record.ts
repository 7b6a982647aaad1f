/**
 * What a program did, as it is handed from the process that ran it to the one that proves it: its
 * calls on the volume and its promises, in their order, and what it did around the volume.
 *
 * @module
 */
import { deserialize, serialize } from "node:v8";
import { DaxError } from "../../lib/errno.ts";
import type { CallSite } from "../../lib/call-site.ts";

/** A call on the volume. */
export interface CallEntry {
  readonly kind: "call";
  /** Its name in `node:fs`, without its flavour. */
  readonly name: string;
  /** Paths in them are absolute. */
  readonly args: readonly unknown[];
  readonly site?: CallSite | undefined;
  /** The error that it ended with; null where that is not known. */
  readonly code?: string | null | undefined;
  /** The descriptor that `open` gave. */
  readonly fd?: number | undefined;
}

/** A promise. */
export interface AckEntry {
  readonly kind: "ack";
  readonly label: unknown;
  readonly site?: CallSite | undefined;
}

/** Ways around the volume. */
export type Bypass = "outside" | "addon" | "process" | "thread" | "builtin";

/** Something that a volume does not see. */
export interface BypassEntry {
  readonly kind: "bypass";
  readonly bypass: Bypass;
  /** The path, the command, the module. */
  readonly what: string;
  readonly site?: CallSite | undefined;
}

/** From here on it is what the program did when something failed. */
export interface FaultEntry {
  readonly kind: "fault";
  /** See `faultName`. */
  readonly name: string;
}

/** One thing that a program did. */
export type Entry = CallEntry | AckEntry | BypassEntry | FaultEntry;

const LENGTH_BYTES = 4;
/** Bytes of a record that are read. */
const MOST_BYTES = 2 ** 28;

/** An entry as bytes. */
export function encodeEntry(entry: Entry): Buffer {
  const body = serialize(entry);
  const head = Buffer.alloc(LENGTH_BYTES);
  head.writeUInt32LE(body.length);
  return Buffer.concat([head, body]);
}

/** The entries of a record. @throws EINVAL for what is none, EFBIG for what is too long */
export function decodeEntries(bytes: Buffer): Entry[] {
  if (bytes.length > MOST_BYTES) {
    const detail = `the program wrote ${bytes.length} bytes of calls; ${MOST_BYTES} are looked at`;
    throw new DaxError("EFBIG", { detail });
  }
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = at + LENGTH_BYTES <= bytes.length ? bytes.readUInt32LE(at) : Infinity;
    const start = at + LENGTH_BYTES;
    if (start + length > bytes.length) throw broken(at);
    try {
      entries.push(deserialize(bytes.subarray(start, start + length)) as Entry);
    } catch {
      throw broken(at);
    }
    at = start + length;
  }
  return entries;
}

function broken(at: number): DaxError {
  const detail = `the record of a program is cut off or damaged at byte ${at}; run it again`;
  return new DaxError("EINVAL", { detail });
}
