/**
 * Block devices: sectors of 512 bytes, over dax memory or plain RAM.
 *
 * @module
 */
import type { ByteStore, DaxRange } from "../dax/iomap.ts";
import type { Memo } from "../lib/memo.ts";
import type { DeviceFreeze } from "./device-freeze.ts";
import type { DeviceUse, SectorRange } from "./device-users.ts";

/** Bytes in a sector, always, whatever the logical block size. */
export const SECTOR_SIZE = 512;

/** Sizes that requests should respect, in bytes. */
export interface QueueLimits {
  readonly logicalBlockSize: number;
  readonly physicalBlockSize: number;
}

/** How somebody who has a device in use is made to stand still. */
export interface Standstill {
  /** Nothing of his changes until `thaw`. Nests. @throws EBUSY, EIO: then he goes on */
  freeze(how: { readonly by: "device" }): void;
  /** The opposite. @throws EIO */
  thaw(by: "device"): void;
}

/** Who has a device in use: a mounted filesystem, a table, a raw mapping, a client. */
export interface DeviceUser {
  /** For the EBUSY of others: `ext4 on pmem0p1, mounted at /a`. */
  readonly name: string;
  readonly use: DeviceUse;
  /** What he calls himself in his own EBUSY: `mkfs`. It follows from `use` unless given. */
  readonly syscall?: string;
  /**
   * How it is made to stand still, for a device that is about to; undefined where nothing is ever
   * written.
   */
  readonly freezing?: Standstill | undefined;
  /** Tables: who uses what they make of the device. */
  above?(): readonly DeviceUser[];
}

/**
 * A disk, a partition or a stacked device.
 *
 * `read`, `write`, `discard` and `writeZeroes` take whole sectors: a length that is not a multiple
 * of 512 is EINVAL, a range that leaves the device (or overflows) EIO with nothing transferred.
 */
export interface BlockDevice extends ByteStore {
  /** Kernel-style: `pmem0`, `pmem0p1`, `ram0`. */
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  /** The dax memory behind this device; undefined when it has none or is not page-aligned. */
  readonly dax: DaxRange | undefined;
  /**
   * Metadata must be read by request even though there is dax: devices that fail or record requests
   * set it. `Buffers` obeys.
   */
  readonly metadataBySector?: boolean;
  /** Remembers looks at it; absent but where the same programs run on it again and again. */
  readonly memo?: Memo | undefined;
  /** @throws EIO over poison, past the end, or injected */
  read(sector: number, target: Uint8Array): void;
  /** `fua`: durable when it returns. @throws EIO, EROFS */
  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void;
  /** Zeroes whole sectors, as a write of zeros would. @throws EIO, EROFS */
  writeZeroes(sector: number, sectors: number): void;
  /** @throws ENOTSUP where the device knows no discard */
  discard(sector: number, sectors: number): void;
  /** Everything written before is durable when it returns. */
  flush(): void;
  /** Whether it stands still, and how to make it; absent where it cannot, or others do that. */
  readonly freezing?: DeviceFreeze | undefined;
  /**
   * Somebody uses the device, or a run of its sectors, until the returned function is called; that
   * may be called again. Absent where nobody has to know.
   * @throws EBUSY naming who is there already and cannot be beside him
   */
  hold?(user: DeviceUser, range?: SectorRange): () => void;
  /** Who uses it, or some of a run of its sectors; absent as `hold`. */
  users?(range?: SectorRange): readonly DeviceUser[];
}
