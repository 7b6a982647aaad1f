/**
 * The disk that a log is replayed onto, in memory.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import type { WriteLog } from "../../block/write-log.ts";
import { BlockFrontier, type BlockModel } from "../../crash/block-frontier.ts";
import { BlockImage, NOTED_BYTES } from "../../crash/block-image.ts";
import { DiskMap } from "../../crash/disk-map.ts";
import { type BlockTrace, MOST_DISK_BYTES, traceOfLog } from "../../crash/block-trace.ts";
import { createPmem } from "../../drivers/pmem.ts";
import { DaxError } from "../../lib/errno.ts";
import { HeldMedia } from "../../media/held-media.ts";
import type { ByteRange } from "../../media/media.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import { closeUnlocked } from "../file-lock.ts";
import { openMediaFile } from "../media-file.ts";
import { FileSource } from "../image/whole-copy.ts";
import { openWriteLog } from "../write-log-file.ts";
import type { ReplaySource } from "./settings.ts";

/** A log, opened, and its disk before the first entry. */
export interface ReplayDisk {
  readonly trace: BlockTrace;
  readonly media: ModelledMedia;
  /** The disk as a device that is read; what the recorder sees is what is loaded. */
  readonly device: BlockDevice;
  readonly frontier: BlockFrontier;
  /** Entries that the log tells of. */
  readonly entries: number;
  /** Bytes of the log's sectors. */
  readonly sectorSize: number;
  close(): void;
}

const READ_BYTES = 1 << 20;
/** Disks up to here are held whole: recovery may write anywhere. */
const MOST_WHOLE_BYTES = 0xffff_f000;

/**
 * Opens a log and makes its disk. Memory for what is not zero, for the requests since the last
 * flush if `tracking`, and 20 bytes for each KiB of the disk; of one of 4 GiB and more, for each
 * KiB in pieces of 64 KiB that anything is written to, 4 GiB at most.
 * @throws as `openWriteLog` and `traceOfLog`; EINVAL for a size that is none, EFBIG for more than
 *   is held
 */
export function openReplayDisk(
  source: ReplaySource,
  model: BlockModel,
  tracking: boolean,
): ReplayDisk {
  const opened = openWriteLog(source.log);
  const base = source.base === undefined ? undefined : new FileSource(source.base);
  try {
    const { limit } = source;
    const trace = traceFor(opened.log, source);
    // A log without a write still has a disk.
    const map = mapFor(Math.max(NOTED_BYTES, trace.size), opened.log, limit, base);
    const media = new ModelledMedia(Math.max(NOTED_BYTES, map.held));
    const image = new BlockImage(media.recorder.image);
    if (base !== undefined) readBase(base, image, map);
    return {
      trace,
      media,
      device: deviceOn(media, map),
      frontier: new BlockFrontier(image, model, tracking, map),
      entries: Math.min(opened.log.declared, limit ?? Infinity),
      sectorSize: opened.log.sectorSize,
      close: () => opened.close(),
    };
  } catch (error) {
    opened.close();
    throw error;
  } finally {
    base?.close();
  }
}

function mapFor(
  size: number,
  log: WriteLog,
  limit: number | undefined,
  base: FileSource | undefined,
): DiskMap {
  if (size <= MOST_WHOLE_BYTES) return DiskMap.whole(size);
  return DiskMap.of(size, rangesOf(size, log, limit, base));
}

/** What the base holds, and what the log writes. */
function* rangesOf(
  size: number,
  log: WriteLog,
  limit: number | undefined,
  base: FileSource | undefined,
): Generator<ByteRange, void> {
  if (base !== undefined) {
    for (const { at, bytes } of pagesOf(base, size)) yield { start: at, length: bytes.length };
  }
  for (const { start, length, discard } of log.entries(limit)) {
    if (length > 0 && !discard) yield { start, length };
  }
}

function deviceOn(media: ModelledMedia, map: DiskMap): BlockDevice {
  const of = map.isWhole ? media : new HeldMedia(map, media.recorder);
  const length = map.size;
  const range = { media: of, name: "disk", start: 0, length, physicalStart: 0, readOnly: true };
  return createPmem(range).disk;
}

/** The trace of a log on the disk that the source names. @throws as {@link openReplayDisk} */
export function traceFor(log: WriteLog, source: ReplaySource): BlockTrace {
  const { limit, ignoreDiscards } = source;
  const size = source.size ?? sizeOfBase(source.base);
  checkSize(size, source.log);
  return traceOfLog(log, {
    ...(size === undefined ? {} : { size }),
    ...(limit === undefined ? {} : { limit }),
    ...(ignoreDiscards === undefined ? {} : { ignoreDiscards }),
  });
}

function checkSize(size: number | undefined, path: string): void {
  if (size === undefined || size > MOST_DISK_BYTES) return;
  if (size > 0 && size % NOTED_BYTES === 0) return;
  const detail = `a disk of ${size} bytes; give a multiple of ${NOTED_BYTES}`;
  throw new DaxError("EINVAL", { syscall: "replay", path, detail });
}

function sizeOfBase(path: string | undefined): number | undefined {
  if (path === undefined) return undefined;
  const { fd, size } = openMediaFile(path, { readOnly: true });
  closeUnlocked(fd);
  return Math.ceil(size / NOTED_BYTES) * NOTED_BYTES;
}

function readBase(base: FileSource, image: BlockImage, map: DiskMap): void {
  for (const { at, bytes } of pagesOf(base, map.size)) {
    const whole = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
    whole.set(bytes);
    const { start } = map.heldIn(at, whole.length);
    image.put(start, whole.length, whole);
  }
}

/** Pages of a base that are not zero, and lie on the disk; the last may be short. */
function* pagesOf(
  base: FileSource,
  size: number,
): Generator<{ readonly at: number; readonly bytes: Uint8Array }, void> {
  const piece = new Uint8Array(READ_BYTES);
  for (const { start, length, zero } of base.runs()) {
    if (zero) continue;
    // Data may begin inside a page where holes are finer than that.
    const from = Math.floor(start / NOTED_BYTES) * NOTED_BYTES;
    const stop = Math.min(size, base.size, start + length);
    for (let at = from; at < stop; at += READ_BYTES) {
      const bytes = piece.subarray(0, Math.min(READ_BYTES, stop - at));
      base.read(at, bytes);
      yield* pagesIn(at, bytes);
    }
  }
}

/** Zeros are there already, and would take memory. */
function* pagesIn(
  at: number,
  bytes: Uint8Array,
): Generator<{ readonly at: number; readonly bytes: Uint8Array }, void> {
  for (let done = 0; done < bytes.length; done += NOTED_BYTES) {
    const page = bytes.subarray(done, done + NOTED_BYTES);
    if (page.some((byte) => byte !== 0)) yield { at: at + done, bytes: page };
  }
}
