/**
 * The log that the kernel's dm-log-writes made (fixtures/dm), and what it would be had the kernel
 * asked the disk for no order.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  LOG_FLUSH_FLAG,
  LOG_FUA_FLAG,
  LOG_MARK_FLAG,
  LogWriteEntry,
} from "../../src/format/log-writes.ts";
import { MemoryLog } from "./memory-log.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/dm");

/** Without the zeros behind the last entry. */
const LOG_BYTES = 4_645_376;

/** The log, whole. */
export function kernelLog(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(readFileSync(join(FOLDER, "log.img.gz")))).slice(0, LOG_BYTES);
}

/** The disk that the kernel had in the end. */
export function kernelDisk(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(readFileSync(join(FOLDER, "log-dev.img.gz"))));
}

/** The log as it would be if nothing behind the mark `mkfs-done` had been flushed. */
export function logWithoutBarriers(): Uint8Array<ArrayBuffer> {
  const bytes = kernelLog();
  const view = new DataView(bytes.buffer);
  let started = false;
  for (const entry of MemoryLog.of(bytes).open().entries()) {
    const at = entry.at - 512;
    const flags = LogWriteEntry.flags.get(view, at);
    started ||= entry.mark !== undefined;
    if (!started || entry.mark !== undefined) continue;
    const rest = flags & ~(LOG_FLUSH_FLAG | LOG_FUA_FLAG);
    // An entry has to say something: a bare flush becomes a mark without a name.
    LogWriteEntry.flags.set(view, at, entry.length === 0 ? LOG_MARK_FLAG : rest);
    if (entry.length === 0) LogWriteEntry.sector.set(view, at, 0);
  }
  return bytes;
}
