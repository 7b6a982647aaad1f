/**
 * Where the bytes of a mapping are: its page table. It is asked anew whenever the file was cut or
 * its blocks have moved, and it keeps the devices that it leads to from ending.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { type FileRun, lastRunAt, runsOf } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";

/** The runs of one range of a file. */
export class MappedSpans {
  readonly #inode: Inode;
  readonly #offset: number;
  readonly #length: number;
  readonly #devices = new Set<DaxDevice>();
  #runs: readonly FileRun[] = [];
  /** What the inode said of its mapping when the runs were made. */
  #generation: number | undefined;
  /** Bytes that the runs hold. */
  #covered = 0;

  /** @throws EUCLEAN, ENXIO */
  constructor(inode: Inode, offset: number, length: number) {
    this.#inode = inode;
    this.#offset = offset;
    this.#length = length;
    this.#translate();
  }

  /** In order and without gaps, to the end of the page that the file ends in. */
  get runs(): readonly FileRun[] {
    return this.#runs;
  }

  /** All that were ever led to. */
  get devices(): ReadonlySet<DaxDevice> {
    return this.#devices;
  }

  /** Whether the runs are others than before. @throws EUCLEAN, ENXIO */
  refresh(): boolean {
    const same = this.#generation === this.#inode.mapGeneration;
    if (same && (this.#covered === this.#length || this.#wanted() <= this.#covered)) return false;
    this.#translate();
    return true;
  }

  /** The index of the run that holds a byte of the file. */
  indexOf(offset: number): number {
    return Math.max(0, lastRunAt(this.#runs, offset));
  }

  /** Lets the devices go. */
  leave(): void {
    for (const device of this.#devices) device.exit();
    this.#devices.clear();
  }

  /** The page that the file ends in is mapped as a whole, and past it there is nothing. */
  #wanted(): number {
    const last = Math.ceil(this.#inode.size / PAGE_SIZE) * PAGE_SIZE;
    return Math.max(0, Math.min(this.#length, last - this.#offset));
  }

  #translate(): void {
    const inode = this.#inode;
    this.#generation = inode.mapGeneration;
    const length = this.#wanted();
    this.#runs = length > 0 ? [...runsOf(inode, this.#offset, length)] : [];
    this.#covered = length;
    for (const { device } of this.#runs) {
      if (device === undefined || this.#devices.has(device)) continue;
      device.enter();
      this.#devices.add(device);
    }
  }
}
