/**
 * Dax trace events in a file.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { type DaxTraceEvent, traceDaxTo } from "../dax/trace-events.ts";
import { type DaxTraceFormat, daxTraceText } from "../dax/trace-text.ts";
import { PieceBuffer, writeAll } from "./sink.ts";

const LIMIT = 64 * 1024;

/** A file that is being written. */
export interface DaxTraceFile {
  /** Events that were written so far. */
  readonly events: number;
  /** Hears no more, writes the end and closes. Idempotent. @throws what write(2) says */
  close(): void;
}

/**
 * Writes dax trace events to a file from now on: for Perfetto where its name ends in `.json`, as
 * lines of JSON otherwise. An error of the file ends the trace, and `close` throws it.
 * @throws what open(2) says
 */
export function traceDaxToFile(
  path: string,
  format: DaxTraceFormat = path.endsWith(".json") ? "perfetto" : "lines",
): DaxTraceFile {
  const fd = openSync(path, "w");
  const buffer = new PieceBuffer((bytes) => writeAll(fd, bytes), LIMIT);
  const text = daxTraceText(format);
  const start = process.hrtime.bigint();
  let [events, isOpen] = [0, true];
  let failure: unknown;
  const put = (piece: string): void => {
    if (failure !== undefined) return;
    try {
      buffer.write(Buffer.from(piece));
    } catch (error) {
      // Whoever faults is not to hear of the trace's troubles.
      failure = error;
    }
  };
  const stop = traceDaxTo((event: DaxTraceEvent) => {
    events++;
    put(text.event(event, Number(process.hrtime.bigint() - start)));
  });
  return {
    get events() {
      return events;
    },
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      stop();
      put(text.end());
      try {
        if (failure === undefined) buffer.flush();
      } finally {
        closeSync(fd);
      }
      if (failure !== undefined) throw failure;
    },
  };
}
