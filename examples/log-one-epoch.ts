/**
 * The append-only log with the entry and its commit record in one epoch: both are flushed, but only
 * a fence between them would make one durable before the other.
 *
 *     daxkit prove examples/log-one-epoch.ts
 */
import type { Mapping } from "daxkit/prove";
import { COUNT, proveLog, slotOf } from "./append-only-log.ts";

function append(mapping: Mapping, entry: number, bytes: Uint8Array): void {
  mapping.copyIn(slotOf(entry), bytes);
  mapping.flush(slotOf(entry), bytes.length);
  mapping.setU64(COUNT, entry + 1);
  mapping.flush(COUNT, 8);
  mapping.fence();
}

export default proveLog("append-only log, entry and commit record in one epoch", append);
