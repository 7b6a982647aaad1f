/** A log of writes in memory: both what writes go to and what they are read from. */
import type { LogBytes } from "../../src/block/write-log.ts";
import { WriteLog } from "../../src/block/write-log.ts";
import type { LogSink } from "../../src/block/write-log-writer.ts";
import { DaxError } from "../../src/lib/errno.ts";

/** See the module. */
export class MemoryLog implements LogSink {
  /** What is there so far; longer than that behind the scenes. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Writes fail. */
  full = false;
  #room = new Uint8Array(1 << 16);

  static of(bytes: Uint8Array): MemoryLog {
    const log = new MemoryLog();
    log.bytes = bytes;
    return log;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (this.full) throw new DaxError("ENOSPC", { syscall: "write", path: "log" });
    if (offset > this.bytes.length) throw new Error(`a hole before ${offset}`);
    const size = Math.max(this.bytes.length, offset + bytes.length);
    if (size > this.#room.length) {
      const room = new Uint8Array(size * 2);
      room.set(this.bytes);
      this.#room = room;
    }
    this.#room.set(bytes, offset);
    this.bytes = this.#room.subarray(0, size);
  }

  open(): WriteLog {
    const { bytes } = this;
    const source: LogBytes = {
      name: "log",
      size: bytes.length,
      read(offset, target) {
        if (offset + target.length > bytes.length) throw new Error("a read beyond the log");
        target.set(bytes.subarray(offset, offset + target.length));
      },
    };
    return new WriteLog(source);
  }
}
