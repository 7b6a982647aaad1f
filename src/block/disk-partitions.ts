/**
 * The partitions of one disk as devices, with their names and numbers.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { BlockDevice } from "./block-device.ts";
import { namesOf } from "./device-users.ts";
import type { DeviceNumber, DeviceNumbers } from "./device-numbers.ts";
import { openPartitions, type PartitionTable, readPartitionTable } from "./partition-table.ts";

/** Puts something around a device: failure injection, a log, a counter. */
export type WrapDevice = (device: BlockDevice) => BlockDevice;

/** Where the partitions of a disk get their wrapping and their numbers. */
export interface DiskPartitionsOptions {
  readonly wrap?: WrapDevice;
  readonly numbers?: DeviceNumbers;
  /** The disk's index among its driver's disks: the minors follow from it. */
  readonly index?: number;
}

/** The partitions of a disk, as its table said when it was last read. */
export class DiskPartitions {
  readonly #disk: BlockDevice;
  readonly #options: DiskPartitionsOptions;
  readonly #devices = new Map<number, BlockDevice>();
  readonly #numbers = new Map<number, DeviceNumber>();
  #table: PartitionTable | undefined;
  #notes: readonly string[] = [];
  #error: DaxError | undefined;

  constructor(disk: BlockDevice, options: DiskPartitionsOptions = {}) {
    this.#disk = disk;
    this.#options = options;
  }

  /** By partition number. */
  get devices(): ReadonlyMap<number, BlockDevice> {
    return this.#devices;
  }

  get table(): PartitionTable | undefined {
    return this.#table;
  }

  /** What was wrong with entries that are missing or cut. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** Why the table could not be read, when `scan` found none for that reason. */
  get error(): DaxError | undefined {
    return this.#error;
  }

  /** The device number of a partition; undefined without numbers or partition. */
  number(partition: number): DeviceNumber | undefined {
    return this.#numbers.get(partition);
  }

  /** Reads the table; a bad one leaves the disk without partitions, and `error` says why. */
  scan(): void {
    try {
      this.rescan();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#error = error;
    }
  }

  /**
   * Reads the table anew (BLKRRPART): all devices are made anew.
   * @throws EBUSY naming a filesystem or a mapped device that has some of the disk; EIO, EUCLEAN,
   *   EBADMSG as {@link readPartitionTable}; then there are no partitions
   */
  rescan(): void {
    this.#assertUnused();
    this.clear();
    const table = readPartitionTable(this.#disk);
    if (table === undefined) return;
    const { partitions, notes } = openPartitions(this.#disk, table);
    const { wrap, numbers, index = 0 } = this.#options;
    for (const [key, partition] of partitions) {
      this.#devices.set(key, wrap === undefined ? partition : wrap(partition));
      if (numbers !== undefined) this.#numbers.set(key, numbers.assign(index, key));
    }
    this.#table = table;
    this.#notes = notes;
  }

  #assertUnused(): void {
    const users = this.#disk.users?.() ?? [];
    const holders = users.filter(({ use }) => use !== "raw" && use !== "open");
    if (holders.length === 0) return;
    const detail = `in use by ${namesOf(holders)}; end that first`;
    throw new DaxError("EBUSY", { syscall: "rescan", path: this.#disk.name, detail });
  }

  /** Forgets all partitions and gives their numbers back. */
  clear(): void {
    for (const number of this.#numbers.values()) this.#options.numbers?.release(number);
    this.#numbers.clear();
    this.#devices.clear();
    this.#table = undefined;
    this.#notes = [];
    this.#error = undefined;
  }
}
