/**
 * Metadata without a journal, as ext2 has it: the same handles, and a commit writes to the places
 * themselves. A power cut may leave some of it; e2fsck puts that in order, and one thing it may
 * rely on: nothing on the media points to a new block that was not written.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import type { Buffers } from "../../block/buffers.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import type { Environment } from "../../lib/environment.ts";
import type { Handle } from "./handle.ts";
import { MetadataCommits, WAITING_BYTES } from "./metadata-commits.ts";
import type { JournaledBlock, Transaction } from "./transaction.ts";

/** How metadata is written in place. */
export interface InPlaceOptions {
  readonly environment: Pick<Environment, "clock">;
  /** Bytes of changed blocks that wait in memory, at most; 32 MiB unless given. */
  readonly waitingBytes?: number;
  /** Called once when the device failed: the mount turns read-only. */
  onAbort?(error: DaxError): void;
}

/** An inode's record, and where in its block it lies. */
export interface PlacedRecord {
  readonly block: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** What takes the place of a journal where there is none. */
export class InPlaceJournal extends MetadataCommits {
  readonly mostCredits: number;
  readonly #options: InPlaceOptions;

  constructor(buffers: Buffers, options: InPlaceOptions) {
    super(buffers, options.environment.clock);
    this.#options = options;
    this.mostCredits = Math.floor((options.waitingBytes ?? WAITING_BYTES) / buffers.blockSize);
  }

  start(copies: number, revokes = copies): Handle {
    this.assertUsable();
    const { running } = this;
    const waiting = running?.copies.size ?? 0;
    if (running?.handles === 0 && waiting > 0 && waiting + copies > this.mostCredits) this.commit();
    return this.join(copies, revokes);
  }

  needsRevoke(): boolean {
    return false;
  }

  extend(): boolean {
    return true;
  }

  /** New blocks and file data first: what points to them follows when they are durable. */
  protected write({ copies, created, beforeCommit }: Transaction): void {
    const all = [...copies.values()];
    for (const copy of all) if (created.has(copy.block)) this.#put(copy);
    if (created.size > 0 || beforeCommit.length > 0) this.buffers.device.flush();
    const changed = all.filter(({ block }) => !created.has(block));
    for (const copy of changed) this.#put(copy);
    if (changed.length > 0) this.buffers.device.flush();
    for (const block of copies.keys()) this.buffers.dropOverlay(block);
  }

  /**
   * Writes some of what waits, and one record of the inode tables, in no order; all of it waits on.
   * Durable with the next flush. No handle may be open. @throws as `commit`
   */
  writeOnly(isWanted: (block: number) => boolean, record: PlacedRecord): void {
    this.assertUsable();
    const { running } = this;
    if (running === undefined) return;
    assert(running.handles === 0, "a sync while a handle is open");
    const wanted = [...running.copies.values()].filter(({ block }) => isWanted(block));
    this.guarded(() => {
      for (const copy of wanted) this.#put(copy);
      this.#putRecord(record);
    });
  }

  protected finish(): void {
    this.commit();
  }

  protected ended(error: DaxError): void {
    this.#options.onAbort?.(error);
  }

  protected refusal({ message }: DaxError): DaxError {
    const detail = `metadata could not be written: ${message}; unmount, run a check`;
    return new DaxError("EROFS", { syscall: "write", detail });
  }

  /** The records beside it stay as they are on the device. */
  #putRecord({ block, at, bytes }: PlacedRecord): void {
    const { device, blockSize } = this.buffers;
    const whole = new Uint8Array(blockSize);
    device.read((block * blockSize) / SECTOR_SIZE, whole);
    whole.set(bytes, at);
    this.buffers.write(block, whole);
  }

  #put({ block, bytes }: JournaledBlock): void {
    this.buffers.write(block, bytes);
  }
}
