/**
 * Exports whose clients are recorded.
 *
 * @module
 */
import type { LogWriter } from "../../block/write-log-writer.ts";
import { sizeMark } from "../../block/write-log.ts";
import type { NbdExport } from "../../nbd/export.ts";
import { RecordedStore } from "../../nbd/recorded-store.ts";
import type { NbdStore } from "../../nbd/store.ts";
import { createWriteLog } from "../write-log-file.ts";
import { listenForMarks } from "./mark-socket.ts";

/** The mark behind what an export held when its recording began. */
export const BASE_MARK = "daxkit-base";

const PIECE = 1 << 20;

/** An export that is recorded, and what has to be closed after its server. */
export interface Recording {
  readonly exports: readonly NbdExport[];
  readonly log: LogWriter;
  /** Ends the log. Idempotent. */
  close(): Promise<void>;
}

/** What goes into a log beside what clients do. */
export interface RecordOptions {
  /** Begins with what the export holds. */
  readonly base?: boolean;
  /** A unix socket that takes marks. */
  readonly marks?: string | undefined;
}

/**
 * Records what clients of an export do, behind a mark with its size.
 * @throws as `createWriteLog`; EADDRINUSE, ENOENT or EACCES for the socket
 */
export async function recordExport(
  inner: NbdExport,
  path: string,
  { base = false, marks }: RecordOptions = {},
): Promise<Recording> {
  const file = createWriteLog(path);
  try {
    file.log.mark(sizeMark(inner.store.size));
    if (base) recordBase(inner.store, file.log);
    const socket = marks === undefined ? undefined : await listenForMarks(marks, file.log);
    return {
      exports: [recordedExport(inner, file.log)],
      log: file.log,
      async close() {
        await socket?.close();
        file.close();
      },
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * The export with every write, flush and trim of its clients in a log of writes (dm-log-writes).
 * What the server does for itself, such as the flush when it closes, is not recorded.
 */
export function recordedExport(inner: NbdExport, log: LogWriter): NbdExport {
  const store = new RecordedStore(inner.store, log);
  let clients = 0;
  store.recording = false;
  const attached = (more: number): void => {
    clients += more;
    store.recording = clients > 0;
  };
  return {
    ...inner,
    store,
    onAttach: () => {
      attached(1);
      inner.onAttach?.();
    },
    onDetach: () => {
      attached(-1);
      inner.onDetach?.();
    },
  };
}

/**
 * Begins a log with what the export holds, so that it can be replayed onto an empty disk: writes of
 * all that is not zero, a flush, and {@link BASE_MARK}.
 */
export function recordBase(store: NbdStore, log: LogWriter): void {
  const most = store.size - (store.size % log.sectorSize);
  let at = 0;
  while (at < most) {
    let moved = 0;
    for (const { length, zero } of store.allocation(at, most - at)) {
      const run = Math.min(length, most - at - moved);
      if (!zero) copyRange(store, log, at + moved, run);
      moved += run;
      if (moved >= most - at) break;
    }
    at += moved;
  }
  log.flush();
  log.mark(BASE_MARK);
}

/** Whole sectors around what is there; zeros next to it do no harm. */
function copyRange(store: NbdStore, log: LogWriter, start: number, length: number): void {
  const { sectorSize } = log;
  const from = start - (start % sectorSize);
  const stop = Math.ceil((start + length) / sectorSize) * sectorSize;
  for (let at = from; at < stop; at += PIECE) {
    const bytes = new Uint8Array(Math.min(PIECE, stop - at));
    store.read(at, bytes);
    if (bytes.some((byte) => byte !== 0)) log.write(at, bytes);
  }
}
