/** A disk with a write cache, and what of it a power cut leaves for certain. */
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { RecordedDevice } from "../../../src/block/recorded-device.ts";
import { LogWriter } from "../../../src/block/write-log-writer.ts";
import { MemoryLog } from "../memory-log.ts";
import { durableInLog } from "./promises.ts";

/** A disk with a cache, what of it is durable, and what it holds. */
export class Cached extends RecordedDevice {
  readonly bytes: Uint8Array;
  readonly #log: MemoryLog;
  after: () => void = () => {};

  constructor(name: string, content: Uint8Array) {
    const bytes = new Uint8Array(content.length);
    const log = new MemoryLog();
    super(new RamDisk({ name, bytes }), new LogWriter(log));
    this.bytes = bytes;
    this.#log = log;
    super.write(0, content);
    this.flush();
  }

  override write(...request: Parameters<RecordedDevice["write"]>): void {
    super.write(...request);
    this.after();
  }

  /** Without what is in the cache only. */
  get durable(): Uint8Array {
    return durableInLog(this.#log.open(), this.bytes.length);
  }
}
