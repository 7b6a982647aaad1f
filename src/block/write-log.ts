/**
 * Reading a log of writes (dm-log-writes), whoever wrote it. The log is hostile: nothing in it is
 * believed before it was compared with what is there.
 *
 * @module
 */
import {
  LOG_DISCARD_FLAG,
  LOG_FLUSH_FLAG,
  LOG_FUA_FLAG,
  LOG_MARK_FLAG,
  LOG_METADATA_FLAG,
  LogWriteEntry,
  LogWriteSuper,
  WRITE_LOG_MAGIC,
  WRITE_LOG_VERSION,
} from "../format/log-writes.ts";
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { sizeof } from "../lib/struct.ts";
import { decodeUtf8 } from "../lib/utf8.ts";

/** Where a log is read from. */
export interface LogBytes {
  /** For errors. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Fills `target` from byte `offset`; the range is inside. */
  read(offset: number, target: Uint8Array): void;
}

/** One entry; places and lengths are bytes. */
export interface LogEntry {
  /** From 0. */
  readonly index: number;
  /** Byte of the disk. */
  readonly start: number;
  /** Bytes that were written or discarded; 0 for a bare flush or a mark. */
  readonly length: number;
  /** The disk's cache was flushed: before the write, if the entry is one as well. */
  readonly flush: boolean;
  readonly fua: boolean;
  readonly discard: boolean;
  readonly metadata: boolean;
  /** Undefined unless the entry is a mark. */
  readonly mark: string | undefined;
  /** Byte of the log at which the data lie. */
  readonly at: number;
}

/** Bytes of an entry's header, and the least that a sector must hold. */
const HEADER = sizeof(LogWriteEntry);
const MOST_SECTOR = 65_536;
const KNOWN_FLAGS =
  LOG_FLUSH_FLAG | LOG_FUA_FLAG | LOG_DISCARD_FLAG | LOG_MARK_FLAG | LOG_METADATA_FLAG;

/** The mark with which our recordings begin: the log itself does not tell how large the disk is. */
const SIZE_MARK = "daxkit-size";

/** The text of the mark that tells the disk's size, in bytes. */
export function sizeMark(bytes: number): string {
  return `${SIZE_MARK} ${bytes}`;
}

/** Where an entry ends on the disk; for a mark that tells the disk's size, that. Bytes. */
export function reachOfEntry({ index, start, length, mark }: LogEntry): number {
  if (index > 0 || mark === undefined) return start + length;
  const [word, bytes = ""] = mark.split(" ");
  return word === SIZE_MARK && /^\d{1,15}$/u.test(bytes) ? Number(bytes) : 0;
}

/** A log that is read. */
export class WriteLog {
  /** Bytes: the unit in which the log counts. */
  readonly sectorSize: number;
  /** Entries that the superblock tells of. */
  readonly declared: number;
  readonly #bytes: LogBytes;

  /** @throws EINVAL for what is no log or of another version, EUCLEAN for a damaged superblock */
  constructor(bytes: LogBytes) {
    this.#bytes = bytes;
    if (bytes.size < sizeof(LogWriteSuper)) this.#refuse("EINVAL", `${bytes.size} bytes: no log`);
    const view = this.#view(0, sizeof(LogWriteSuper));
    const magic = LogWriteSuper.magic.get(view, 0);
    if (magic !== WRITE_LOG_MAGIC) {
      const seen = `it begins with 0x${magic.toString(16)}, not 0x${WRITE_LOG_MAGIC.toString(16)}`;
      this.#refuse("EINVAL", `no log of writes (dm-log-writes): ${seen}`);
    }
    const version = LogWriteSuper.version.get(view, 0);
    if (version !== WRITE_LOG_VERSION) {
      this.#refuse("EINVAL", `version ${version} of the log is not known; ${WRITE_LOG_VERSION} is`);
    }
    this.sectorSize = LogWriteSuper.sectorsize.get(view, 0);
    const { sectorSize } = this;
    if (sectorSize < 512 || sectorSize > MOST_SECTOR || !Number.isInteger(Math.log2(sectorSize))) {
      const rule = `a power of two from 512 to ${MOST_SECTOR}`;
      this.#refuse("EUCLEAN", `superblock: sectorsize ${sectorSize} is not ${rule}`);
    }
    this.declared = LogWriteSuper.nrEntries.get(view, 0);
  }

  /** For errors. */
  get name(): string {
    return this.#bytes.name;
  }

  /**
   * Every entry in order, or the first `most`; the data stay where they are.
   * @throws EUCLEAN for an entry that is cut off, or that says what no entry can
   */
  *entries(most = Infinity): Generator<LogEntry, void> {
    let at = this.sectorSize;
    const count = Math.min(this.declared, most);
    for (let index = 0; index < count; index++) {
      const entry = this.#entry(index, at);
      yield entry;
      at = entry.at + (entry.discard ? 0 : entry.length);
    }
  }

  /** Copies data of an entry: from its byte `from` on, as much as `target` takes. */
  read(entry: LogEntry, from: number, target: Uint8Array): void {
    this.#bytes.read(entry.at + from, target);
  }

  #entry(index: number, at: number): LogEntry {
    const { sectorSize } = this;
    if (at + sectorSize > this.#bytes.size) this.#truncated(index, at, "its header");
    const view = this.#view(at, HEADER);
    const flags = LogWriteEntry.flags.get(view, 0);
    const start = LogWriteEntry.sector.get(view, 0) * sectorSize;
    const length = LogWriteEntry.nrSectors.get(view, 0) * sectorSize;
    const text = LogWriteEntry.dataLen.get(view, 0);
    const wrong = wrongWith(flags, start, length);
    if (wrong !== undefined) this.#refuse("EUCLEAN", `entry ${index} at byte ${at}: ${wrong}`);
    const isMark = (flags & LOG_MARK_FLAG) !== 0;
    if (text > (isMark ? sectorSize - HEADER : 0)) {
      this.#refuse("EUCLEAN", `entry ${index} at byte ${at}: ${text} bytes of text have no room`);
    }
    const discard = (flags & LOG_DISCARD_FLAG) !== 0;
    const data = at + sectorSize;
    if (!discard && length > this.#bytes.size - data) {
      this.#truncated(index, at, `its ${length} bytes of data`);
    }
    return {
      index,
      start,
      length,
      flush: (flags & LOG_FLUSH_FLAG) !== 0,
      fua: (flags & LOG_FUA_FLAG) !== 0,
      discard,
      metadata: (flags & LOG_METADATA_FLAG) !== 0,
      mark: isMark ? this.#text(at + HEADER, text) : undefined,
      at: data,
    };
  }

  /** As C reads it: to the first zero byte. */
  #text(at: number, length: number): string {
    const bytes = new Uint8Array(length);
    this.#bytes.read(at, bytes);
    const zero = bytes.indexOf(0);
    return decodeUtf8(zero === -1 ? bytes : bytes.subarray(0, zero));
  }

  #view(at: number, length: number): DataView<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    this.#bytes.read(at, bytes);
    return new DataView(bytes.buffer);
  }

  #truncated(index: number, at: number, what: string): never {
    const told = `the superblock tells of ${this.declared} entries`;
    const detail = `entry ${index} at byte ${at}: ${what} is cut off after ${this.#bytes.size}`;
    this.#refuse("EUCLEAN", `${detail}; ${told}, use the first ${index} with '--limit'`);
  }

  #refuse(code: ErrnoCode, detail: string): never {
    throw new DaxError(code, { syscall: "replay", path: this.#bytes.name, detail });
  }
}

function wrongWith(flags: number, start: number, length: number): string | undefined {
  if (flags > KNOWN_FLAGS) return `flags 0x${flags.toString(16)} are not known`;
  if (!Number.isSafeInteger(start + length)) return "its sectors are beyond 2^53 bytes";
  if ((flags & LOG_MARK_FLAG) !== 0) return length > 0 ? "a mark with sectors" : undefined;
  if (length === 0 && (flags & (LOG_FLUSH_FLAG | LOG_FUA_FLAG)) === 0) {
    return "neither sectors nor a flush nor a mark; is the log overwritten or full of holes?";
  }
  return undefined;
}
