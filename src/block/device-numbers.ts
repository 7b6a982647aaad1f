/**
 * Device numbers of disks and partitions: the arithmetic of Linux 4.1's pmem (sixteen minors for
 * each disk, the rest in the extended major) and of today's (everything in the extended major).
 *
 * @module
 */
import { Bitmap } from "../lib/bitmap.ts";
import { DaxError } from "../lib/errno.ts";
import { DISK_MAX_PARTS } from "./partition-table.ts";

/** The major in which minors are handed out one by one. */
export const BLOCK_EXT_MAJOR = 259;
/** Minors of a disk of Linux 4.1's pmem, the disk itself included. */
export const PMEM_MINORS = 16;
/** The first dynamic major that Linux hands out: they count downwards. */
const DYNAMIC_MAJOR = 254;
/** Minors have twenty bits. */
const MINORS = 1 << 20;

/** What `ls -l /dev` shows. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** Which kernel's habits a driver follows. */
export type KernelProfile = "v4.1" | "modern";

/** The numbers of all disks of a machine. */
export class DeviceNumbers {
  readonly profile: KernelProfile;
  /** The major of the driver; `v4.1` only. */
  readonly major: number;
  readonly #extended = new Bitmap(MINORS);

  constructor(profile: KernelProfile, major: number = DYNAMIC_MAJOR) {
    this.profile = profile;
    this.major = major;
  }

  /**
   * The number of a disk (partition 0) or partition. Whoever has one from the extended major gives
   * it back with `release`.
   * @throws EINVAL for a partition past 255, EBUSY when no minor is free
   */
  assign(disk: number, partition: number): DeviceNumber {
    if (!(partition >= 0 && partition < DISK_MAX_PARTS && Number.isInteger(partition))) {
      throw new DaxError("EINVAL", {
        detail: `partition ${partition}: a disk has numbers 0 to ${DISK_MAX_PARTS - 1}`,
      });
    }
    const minor = PMEM_MINORS * disk + partition;
    if (this.profile === "v4.1" && partition < PMEM_MINORS && minor < MINORS) {
      return { major: this.major, minor };
    }
    const free = this.#extended.nextClear();
    if (free === -1) throw new DaxError("EBUSY", { detail: `all ${MINORS} minors are in use` });
    this.#extended.set(free);
    return { major: BLOCK_EXT_MAJOR, minor: free };
  }

  /** Gives a number back; those of the driver's own major are arithmetic and never run out. */
  release({ major, minor }: DeviceNumber): void {
    if (major === BLOCK_EXT_MAJOR) this.#extended.clear(minor);
  }
}
