/**
 * Where a snapshot keeps chunks of its origin: on a device of its own, with a table in memory only
 * (transient), or on the device as well (persistent, `persistent-store.ts`).
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { DaxError } from "../../lib/errno.ts";

/** Which chunk of the copy-on-write device holds which one of the origin. */
export interface ExceptionStore {
  /** Sectors. */
  readonly chunkSize: number;
  readonly cow: BlockDevice;
  /** By chunk of the origin. */
  readonly exceptions: ReadonlyMap<number, number>;
  /** False when chunks have been lost: the snapshot is of no use any more. */
  readonly valid: boolean;
  /** A free chunk. @throws ENOSPC when there is none */
  allocate(): number;
  /** The chunk holds what it is to hold: from now on, and after a power cut, it counts. */
  commit(old: number, chunk: number): void;
  /** Never again is any of it believed. */
  invalidate(): void;
  /** Sectors: in use, in all, and of these for the table. */
  usage(): string;
  /** The last exceptions that follow each other, as chunks of the origin; 0: there are none. */
  lastRun(): { readonly old: number; readonly chunk: number; readonly count: number };
  /** Forgets so many of the last exceptions. */
  drop(count: number): void;
}

/** Exceptions in memory; a new table begins with none. */
export class TransientStore implements ExceptionStore {
  readonly chunkSize: number;
  readonly cow: BlockDevice;
  readonly exceptions = new Map<number, number>();
  #valid = true;
  #next = 0;

  constructor(cow: BlockDevice, chunkSize: number) {
    this.cow = cow;
    this.chunkSize = chunkSize;
  }

  get valid(): boolean {
    return this.#valid;
  }

  allocate(): number {
    if ((this.#next + 1) * this.chunkSize > this.cow.sectors) refuseFull(this.cow);
    return this.#next++;
  }

  commit(old: number, chunk: number): void {
    this.exceptions.set(old, chunk);
  }

  invalidate(): void {
    this.#valid = false;
  }

  usage(): string {
    return `${this.#next * this.chunkSize}/${this.cow.sectors} 0`;
  }

  lastRun(): { old: number; chunk: number; count: number } {
    return { old: 0, chunk: 0, count: 0 };
  }

  drop(): void {}
}

/** @throws ENOSPC */
export function refuseFull(cow: BlockDevice): never {
  throw new DaxError("ENOSPC", {
    syscall: "write",
    path: cow.name,
    detail: `the copy-on-write device of ${cow.sectors} sectors is full`,
  });
}
