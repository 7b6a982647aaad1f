/**
 * Files and block devices as exports.
 *
 * @module
 */
import { basename } from "node:path";
import { SECTOR_SIZE } from "../../block/block-device.ts";
import { openPartition } from "../../block/partition-table.ts";
import { createPmem } from "../../drivers/pmem.ts";
import { DaxError } from "../../lib/errno.ts";
import { DirtyMap } from "../../nbd/dirty-map.ts";
import type { NbdExport } from "../../nbd/export.ts";
import { MediaStore } from "../../nbd/media-store.ts";
import { SliceStore } from "../../nbd/slice-store.ts";
import type { NbdStore } from "../../nbd/store.ts";
import { BufferedFileMedia } from "../file-backing.ts";
import { openFileMedia } from "../file-media.ts";
import type { FileMedia } from "../media-file.ts";
import { FileStore } from "./file-store.ts";
import { shareStore } from "./mapped-store.ts";

/** Which part of a file is exported, and how. */
export interface OpenExportOptions {
  /** The file's base name unless given. */
  readonly name?: string;
  readonly description?: string;
  readonly readOnly?: boolean;
  /** Exports this partition only; not together with `offset`. */
  readonly partition?: number;
  /** Exports what lies from this byte on. */
  readonly offset?: number;
  /** Bytes from `offset` on; all of them unless given. */
  readonly length?: number;
}

/** An export with the file behind it. */
export interface OpenExport {
  readonly export: NbdExport;
  readonly media: FileMedia;
  /** Closes the file; only after the server that serves it was closed. Idempotent. */
  close(): void;
}

/**
 * Opens a file or block device to be served; others that would write to it are locked out.
 * @throws as `openFileMedia`; EINVAL for a part that is not inside, ENXIO for a partition that is
 *   not there
 */
export function openExport(path: string, options: OpenExportOptions = {}): OpenExport {
  const { readOnly = false, description } = options;
  const media = openFileMedia(path, { readOnly });
  try {
    const part = partOf(media, path, options);
    const whole = part.length === media.size;
    const { store, release } = storeOf(media);
    return {
      export: {
        name: options.name ?? basename(path),
        ...(description === undefined ? {} : { description }),
        store: whole ? store : new SliceStore(store, part),
        ...(readOnly ? {} : { dirty: new DirtyMap(part.length) }),
      },
      media,
      close() {
        release();
        media.close();
      },
    };
  } catch (error) {
    media.close();
    throw error;
  }
}

/** By the pages of the file where it is mapped; by calls where it is not. */
function storeOf(media: FileMedia): { store: NbdStore; release: () => void } {
  const shared = shareStore(media);
  if (shared !== undefined) return { store: shared.store, release: () => shared.release() };
  const store =
    media instanceof BufferedFileMedia ? new FileStore(media.lend()) : new MediaStore(media);
  return { store, release: () => {} };
}

interface Part {
  readonly start: number;
  readonly length: number;
}

function partOf(media: FileMedia, path: string, options: OpenExportOptions): Part {
  const { partition, offset = 0, length } = options;
  if (partition !== undefined) {
    if (options.offset !== undefined || length !== undefined) {
      throw refused(path, "give a partition or an offset, not both");
    }
    return partitionOf(media, path, partition);
  }
  const part = { start: offset, length: length ?? media.size - offset };
  if (offset >= 0 && part.length > 0 && offset + part.length <= media.size) return part;
  const range = length === undefined ? `offset ${offset} is` : `bytes ${offset}+${length} are`;
  throw refused(path, `${range} not inside its ${media.size} bytes`);
}

function partitionOf(media: FileMedia, path: string, index: number): Part {
  const { size: length } = media;
  const range = { media, name: "pmem0", start: 0, length, physicalStart: 0, readOnly: true };
  const pmem = createPmem(range);
  try {
    const { start, sectors } = openPartition(pmem.disk, index);
    return { start: start * SECTOR_SIZE, length: sectors * SECTOR_SIZE };
  } catch (error) {
    throw error instanceof DaxError ? error.at({ path }) : error;
  } finally {
    pmem.remove();
  }
}

function refused(path: string, detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "export", path, detail });
}
