/**
 * Dax trace events in a file.
 *
 * @module
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import { type DaxTraceEvent, traceDaxTo } from "../dax/trace-events.ts";
import { type DaxTraceFormat, daxTraceText } from "../dax/trace-text.ts";
import { DaxError } from "../lib/errno.ts";
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
 * @throws what open(2) says; EEXIST for a file that holds something else, which stays as it is
 */
export function traceDaxToFile(
  path: string,
  format: DaxTraceFormat = path.endsWith(".json") ? "perfetto" : "lines",
): DaxTraceFile {
  const fd = openTrace(path);
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

/** How traces begin, in either format. */
const HEADS = ['{"ns":', '{"displayTimeU'];

/** A trace of earlier is written over, and nothing else is: an image is soon named by mistake. */
function openTrace(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o666);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return fd;
    const head = Buffer.alloc(14);
    const text = head.toString("latin1", 0, readSync(fd, head, 0, head.length, 0));
    if (stats.size > 0 && !HEADS.some((each) => text.startsWith(each))) {
      const detail = "it holds something that is no trace; remove it, or name another file";
      throw new DaxError("EEXIST", { syscall: "open", path, detail });
    }
    ftruncateSync(fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
