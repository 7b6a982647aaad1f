/**
 * What a log of writes holds, counted, and where in it something is.
 *
 * @module
 */
import { type LogEntry, reachOfEntry } from "../../block/write-log.ts";
import type { ReplayAt, StopPlan } from "../../crash/block-stops.ts";
import { openWriteLog } from "../write-log-file.ts";

/** Counts of a log. */
export interface LogSummary {
  readonly sectorSize: number;
  readonly entries: number;
  readonly writes: number;
  readonly flushes: number;
  readonly fua: number;
  readonly discards: number;
  /** Bytes that were written. */
  readonly written: number;
  /** Where the last write or discard ends: bytes of the disk. */
  readonly reach: number;
  readonly marks: readonly { readonly entry: number; readonly mark: string }[];
}

/** Reads the headers of a log. @throws as `openWriteLog` and `WriteLog.entries` */
export function summarizeLog(path: string, limit?: number): LogSummary {
  const opened = openWriteLog(path);
  const sum = { entries: 0, writes: 0, flushes: 0, fua: 0, discards: 0, written: 0, reach: 0 };
  const marks: { entry: number; mark: string }[] = [];
  try {
    for (const entry of opened.log.entries(limit)) {
      const { index, length, mark } = entry;
      sum.entries++;
      if (entry.flush) sum.flushes++;
      if (entry.fua) sum.fua++;
      if (mark !== undefined) marks.push({ entry: index, mark });
      sum.reach = Math.max(sum.reach, reachOfEntry(entry));
      if (entry.discard) sum.discards++;
      else if (length > 0) {
        sum.writes++;
        sum.written += length;
      }
    }
    return { sectorSize: opened.log.sectorSize, ...sum, marks };
  } finally {
    opened.close();
  }
}

/** The first entry from where the plan starts that is what is asked for, if there is one. */
export function findEntry(path: string, plan: StopPlan, limit?: number): number | undefined {
  const { startEntry = 0, startMark, endMark } = plan;
  const opened = openWriteLog(path);
  try {
    let started = startMark === undefined;
    for (const entry of opened.log.entries(limit)) {
      if (started && entry.index >= startEntry) {
        if (endMark === undefined ? is(entry, plan.at) : entry.mark === endMark) return entry.index;
      }
      if (entry.mark !== undefined && entry.mark === startMark) started = true;
    }
    return undefined;
  } finally {
    opened.close();
  }
}

function is(entry: LogEntry, kinds: readonly ReplayAt[]): boolean {
  return kinds.some((kind) => {
    if (kind === "entry") return true;
    return kind === "mark" ? entry.mark !== undefined : entry[kind];
  });
}
