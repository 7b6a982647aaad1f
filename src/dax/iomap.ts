/**
 * iomap: the one question that dax asks a filesystem, "what backs this range of the file?". The
 * third waist. A filesystem never touches user bytes; it answers, and dax copies.
 *
 * @module
 */
import type { DaxDevice } from "./dax-device.ts";

/** A run of bytes of a dax device, as a partition or a whole disk sees it. */
export interface DaxRange {
  readonly device: DaxDevice;
  /** Bytes from the start of the device. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** Where bytes come from when there is no dax: any block device. */
export interface ByteStore {
  /** Fills `target` from byte `offset`. @throws EIO */
  readBytes(offset: number, target: Uint8Array): void;
  /** Writes `source` at byte `offset`. @throws EIO, EROFS */
  writeBytes(offset: number, source: Uint8Array): void;
}

/** What is asked: the kernel's IOMAP_* flags as words. */
export type IomapIntent = "read" | "write" | "zero" | "fault" | "report";

/** What backs a range of a file. */
export interface Iomap {
  /** `inline`: the bytes are in `inline`, because the filesystem keeps them among its metadata. */
  readonly type: "hole" | "mapped" | "unwritten" | "inline";
  /** Bytes from the start of the file; at or before the offset that was asked. */
  readonly offset: number;
  /** Bytes; at least 1 and reaching past the offset that was asked. */
  readonly length: number;
  /** `mapped` and `unwritten`: bytes from the start of the filesystem's device. */
  readonly addr: number;
  /** The dax memory of the filesystem's device; undefined where it offers none. */
  readonly range: DaxRange | undefined;
  /** The same device as a block device. */
  readonly store: ByteStore;
  /** `inline` only: byte `i` is byte `offset + i` of the file. */
  readonly inline?: Uint8Array;
  /** The blocks were allocated and zeroed by this very request. */
  readonly fresh?: boolean;
  /** The blocks belong to another file too (reflink). */
  readonly shared?: boolean;
  /** With `fresh`: more of the file has changed than was asked about. */
  readonly spread?: boolean;
  /** The mapping depends on metadata that is not committed: what MAP_SYNC waits for. */
  readonly dirty?: boolean;
}

/** An inode, as dax sees it. */
export interface Iomappable {
  /** Bytes. */
  readonly size: number;
  /**
   * What backs the file at `offset`? May answer for less or more than `length`; never throws for
   * an offset past the end (a hole), EUCLEAN for a mapping that cannot be.
   */
  iomapBegin(offset: number, length: number, intent: IomapIntent): Iomap;
  /** Called once for each `iomapBegin` of a write or zero; `done` bytes were handled. */
  iomapEnd?(map: Iomap, done: number, intent: IomapIntent): void;
}
