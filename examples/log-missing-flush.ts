/**
 * The append-only log with one flush removed: nothing writes the entry back before the commit
 * record speaks of it. On a running machine nobody would ever notice.
 *
 *     daxkit prove examples/log-missing-flush.ts
 */
import type { Mapping } from "daxkit/prove";
import { COUNT, proveLog, slotOf } from "./append-only-log.ts";

function append(mapping: Mapping, entry: number, bytes: Uint8Array): void {
  mapping.copyIn(slotOf(entry), bytes);
  mapping.fence();
  mapping.setU64(COUNT, entry + 1);
  mapping.flush(COUNT, 8);
  mapping.fence();
}

export default proveLog("append-only log, one flush removed", append);
