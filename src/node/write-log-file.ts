/**
 * Logs of writes (dm-log-writes) in files and on block devices.
 *
 * @module
 */
import { constants, fstatSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { type LogBytes, WriteLog } from "../block/write-log.ts";
import { type LogSink, LogWriter, type LogWriterOptions } from "../block/write-log-writer.ts";
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { closeUnlocked, lockExclusively } from "./file-lock.ts";
import { openMediaFile } from "./media-file.ts";
import { typed } from "./system-error.ts";

/** A log that is read, and the file behind it. */
export interface OpenWriteLog {
  readonly log: WriteLog;
  /** Bytes of the file. */
  readonly size: number;
  /** Idempotent. */
  close(): void;
}

/** A log that is written, and the file behind it. */
export interface OpenLogWriter {
  readonly log: LogWriter;
  /** Ends the log and closes the file. Idempotent. @throws what writing the end says */
  close(): void;
}

/** Entries lie one behind the other, and most of what is read are headers. */
const AHEAD = 65_536;

/** Reads pieces of a file; small ones through a buffer. */
class FileBytes implements LogBytes {
  readonly name: string;
  readonly size: number;
  readonly #fd: number;
  readonly #ahead = new Uint8Array(AHEAD);
  #from = 0;
  #filled = 0;

  constructor(name: string, fd: number, size: number) {
    this.name = name;
    this.#fd = fd;
    this.size = size;
  }

  read(offset: number, target: Uint8Array): void {
    if (target.length > AHEAD / 2) {
      this.#fill(offset, target);
      return;
    }
    if (offset < this.#from || offset + target.length > this.#from + this.#filled) {
      this.#filled = 0;
      const length = Math.min(AHEAD, this.size - offset);
      this.#fill(offset, this.#ahead.subarray(0, length));
      this.#from = offset;
      this.#filled = length;
    }
    const at = offset - this.#from;
    target.set(this.#ahead.subarray(at, at + target.length));
  }

  #fill(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const run = typed(this.name, () =>
        readSync(this.#fd, target, done, target.length - done, offset + done),
      );
      if (run === 0) {
        const detail = `it ended at byte ${offset + done}, and had ${this.size} before`;
        throw new DaxError("EIO", { syscall: "read", path: this.name, detail });
      }
      done += run;
    }
  }
}

/** Opens a log. @throws ENOENT, EACCES, EINVAL for what is no file or disk; as {@link WriteLog} */
export function openWriteLog(path: string): OpenWriteLog {
  const { fd, size } = openMediaFile(path, { readOnly: true });
  const close = once(() => closeUnlocked(fd));
  try {
    return { log: new WriteLog(new FileBytes(path, fd, size)), size, close };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Begins a log in a new or empty file, or on a block device, whose contents are lost.
 * @throws EEXIST for a file that holds something, EINVAL for what is neither, EBUSY for a log that
 *   somebody writes, EACCES, ENOSPC
 */
export function createWriteLog(path: string, options: LogWriterOptions = {}): OpenLogWriter {
  const { fd, room } = openForWriting(path);
  const release = once(() => closeUnlocked(fd));
  try {
    const log = new LogWriter(new FileSink(path, fd, room), options);
    const finish = once(() => {
      try {
        log.finish();
      } finally {
        release();
      }
    });
    return { log, close: finish };
  } catch (error) {
    release();
    throw error;
  }
}

/** A descriptor, and how many bytes have room behind it. */
function openForWriting(path: string): { fd: number; room: number } {
  const stat = typed(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stat?.isBlockDevice() === true) {
    const { fd, size } = openMediaFile(path, {});
    return { fd, room: size };
  }
  const { O_CREAT, O_NONBLOCK, O_RDWR } = constants;
  const fd = typed(path, () => openSync(path, O_RDWR | O_CREAT | O_NONBLOCK, 0o666));
  try {
    lockExclusively(fd, path);
    const made = typed(path, () => fstatSync(fd));
    if (!made.isFile()) throw refused("EINVAL", path, "a log is a file or a block device");
    if (made.size === 0) return { fd, room: Number.POSITIVE_INFINITY };
    const detail = `it holds ${made.size} bytes; remove it, or name another file`;
    throw refused("EEXIST", path, detail);
  } catch (error) {
    closeUnlocked(fd);
    throw error;
  }
}

class FileSink implements LogSink {
  readonly #path: string;
  readonly #fd: number;
  readonly #room: number;

  constructor(path: string, fd: number, room: number) {
    this.#path = path;
    this.#fd = fd;
    this.#room = room;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.#room) {
      throw refused("ENOSPC", this.#path, `the log has room for ${this.#room} bytes`);
    }
    for (let done = 0; done < bytes.length;) {
      done += typed(this.#path, () =>
        writeSync(this.#fd, bytes, done, bytes.length - done, offset + done),
      );
    }
  }
}

function refused(code: ErrnoCode, path: string, detail: string): DaxError {
  return new DaxError(code, { syscall: "record", path, detail });
}

function once(body: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    body();
  };
}
