/**
 * What was done to a disk, in order: the block side of a crash exploration. A recorded log is one
 * such trace (`traceOfLog`), and whoever models a disk makes another.
 *
 * @module
 */
import { type LogEntry, type WriteLog, reachOfEntry } from "../block/write-log.ts";
import { DaxError } from "../lib/errno.ts";

/** Bytes were written; ordinary ones last once a flush has completed. */
export interface BlockWrite {
  readonly kind: "write";
  /** Of 512 bytes. */
  readonly sector: number;
  /** Bytes, whole sectors. */
  readonly length: number;
  readonly data: Uint8Array;
  /** Durable when the write completed. */
  readonly fua: boolean;
  /** Which entry of a log it was. */
  readonly entry?: number;
}

/** A range was discarded: it reads as zeros afterwards. Until a flush it may be as it was. */
export interface BlockDiscard {
  readonly kind: "discard";
  readonly sector: number;
  /** Sectors of 512 bytes. */
  readonly count: number;
  readonly entry?: number;
}

/** The disk's cache was flushed: all that completed before is durable. */
export interface BlockFlush {
  readonly kind: "flush";
  readonly entry?: number;
}

/** Somebody noted this place, or promised something: no state by itself. */
export interface BlockMark {
  readonly kind: "mark";
  readonly label: string;
  readonly entry?: number;
}

/** One thing that was done. */
export type BlockEvent = BlockWrite | BlockDiscard | BlockFlush | BlockMark;

/** What was done to a disk. Events may be walked several times, and are the same each time. */
export interface BlockTrace {
  /** Bytes of the disk. */
  readonly size: number;
  readonly events: Iterable<BlockEvent>;
}

/** How a log becomes a trace. */
export interface LogTraceOptions {
  /** Bytes of the disk; as the log says, or what its entries reach, unless given. */
  readonly size?: number;
  /** Entries from the start; all of them unless given. */
  readonly limit?: number;
  /** What was discarded keeps its contents. */
  readonly ignoreDiscards?: boolean;
}

/** A disk of 1 PiB is as large as any that is replayed; what is written to it is held in memory. */
export const MOST_DISK_BYTES = 2 ** 50;

/** Disks come in pages. */
const PAGE = 4096;

/**
 * The trace of a log. Data are read when they are asked for.
 * @throws EUCLEAN for a log that is damaged (`WriteLog.entries`), or has an entry outside the disk;
 *   EFBIG for a disk of more than 1 PiB
 */
export function traceOfLog(log: WriteLog, options: LogTraceOptions = {}): BlockTrace {
  const { limit = Infinity, ignoreDiscards = false } = options;
  const size = options.size ?? reachOf(log, limit);
  if (size > MOST_DISK_BYTES) {
    const detail = `a disk of ${size} bytes; ${MOST_DISK_BYTES} at most are replayed`;
    throw new DaxError("EFBIG", { syscall: "replay", path: log.name, detail });
  }
  return {
    size,
    events: {
      *[Symbol.iterator]() {
        for (const entry of log.entries(limit)) {
          if (entry.discard && ignoreDiscards) continue;
          checkInside(log, entry, size);
          yield* eventsOf(log, entry);
        }
      },
    },
  };
}

/** Where the last entry ends, in whole pages. */
function reachOf(log: WriteLog, limit: number): number {
  let reach = 0;
  for (const entry of log.entries(limit)) reach = Math.max(reach, reachOfEntry(entry));
  return Math.ceil(reach / PAGE) * PAGE;
}

function checkInside(log: WriteLog, { index, start, length }: LogEntry, size: number): void {
  if (start + length <= size) return;
  throw new DaxError("EUCLEAN", {
    syscall: "replay",
    path: log.name,
    detail: `entry ${index}: bytes ${start}+${length} leave the disk of ${size} bytes`,
  });
}

/** An entry that flushes and writes is two events, in this order (REQ_PREFLUSH of Linux). */
function* eventsOf(log: WriteLog, entry: LogEntry): Generator<BlockEvent, void> {
  const { index, mark, start, length } = entry;
  if (entry.flush) yield { kind: "flush", entry: index };
  if (mark !== undefined) yield { kind: "mark", label: mark, entry: index };
  if (length === 0) return;
  const sector = start / 512;
  if (entry.discard) yield { kind: "discard", sector, count: length / 512, entry: index };
  else yield new LoggedWrite(log, entry);
}

/** A write whose data stay in the log until somebody wants them. */
class LoggedWrite implements BlockWrite {
  readonly kind = "write";
  readonly sector: number;
  readonly length: number;
  readonly fua: boolean;
  readonly entry: number;
  readonly #log: WriteLog;
  readonly #logged: LogEntry;

  constructor(log: WriteLog, logged: LogEntry) {
    this.sector = logged.start / 512;
    this.length = logged.length;
    this.fua = logged.fua;
    this.entry = logged.index;
    this.#log = log;
    this.#logged = logged;
  }

  get data(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    this.#log.read(this.#logged, 0, bytes);
    return bytes;
  }
}
