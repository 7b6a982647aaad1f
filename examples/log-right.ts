/**
 * An append-only log that is right: the entry is durable before the commit record speaks of it, and
 * the commit record is durable before anything is promised.
 *
 *     daxkit prove examples/log-right.ts
 */
import type { Mapping } from "daxkit/prove";
import { COUNT, proveLog, slotOf } from "./append-only-log.ts";

function append(mapping: Mapping, entry: number, bytes: Uint8Array): void {
  mapping.copyIn(slotOf(entry), bytes);
  mapping.flush(slotOf(entry), bytes.length);
  mapping.fence();
  mapping.setU64(COUNT, entry + 1);
  mapping.flush(COUNT, 8);
  mapping.fence();
}

export default proveLog("append-only log", append);
