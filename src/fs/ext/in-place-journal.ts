/**
 * Metadata without a journal, as ext2 has it: the same handles, and a commit writes to the places
 * themselves. A power cut may leave some of it; e2fsck puts that in order, and one thing it may
 * rely on: nothing on the media points to a new block that was not written.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import { DaxError, assert, isDaxError } from "../../lib/errno.ts";
import type { Environment } from "../../lib/environment.ts";
import { Handle, type MetadataJournal } from "./handle.ts";
import { type JournaledBlock, Transaction, isOlder } from "./transaction.ts";

/** How metadata is written in place. */
export interface InPlaceOptions {
  readonly environment: Pick<Environment, "clock">;
  /** Bytes of changed blocks that wait in memory, at most; 32 MiB unless given. */
  readonly waitingBytes?: number;
  /** Called once when the device failed: the mount turns read-only. */
  onAbort?(error: DaxError): void;
}

const WAITING_BYTES = 32 << 20;

/** What takes the place of a journal where there is none. */
export class InPlaceJournal implements MetadataJournal {
  readonly mostCredits: number;
  readonly #buffers: Buffers;
  readonly #options: InPlaceOptions;
  #running: Transaction | undefined;
  #committed = 0;
  #error: DaxError | undefined;
  #open = true;

  constructor(buffers: Buffers, options: InPlaceOptions) {
    this.#buffers = buffers;
    this.#options = options;
    this.mostCredits = Math.floor((options.waitingBytes ?? WAITING_BYTES) / buffers.blockSize);
  }

  get error(): DaxError | undefined {
    return this.#error;
  }

  get committed(): number {
    return this.#committed;
  }

  start(copies: number, revokes = copies): Handle {
    this.assertUsable();
    const running = this.#running;
    const waiting = running?.copies.size ?? 0;
    if (running?.handles === 0 && waiting > 0 && waiting + copies > this.mostCredits) this.commit();
    const { clock } = this.#options.environment;
    this.#running ??= new Transaction(this.#buffers, this.#committed + 1, clock.now());
    return new Handle(this.#running, this, copies, revokes);
  }

  commit(): void {
    this.assertUsable();
    const running = this.#running;
    if (running === undefined) return;
    assert(running.handles === 0, "a commit while a handle is open");
    try {
      for (const seal of running.seals) seal();
      for (const write of running.beforeCommit) write();
      this.#write(running);
    } catch (error) {
      if (isDaxError(error)) this.#abort(error);
      throw error;
    }
    this.#running = undefined;
    for (const block of running.copies.keys()) this.#buffers.dropOverlay(block);
    this.#committed = running.number;
    for (const done of running.committed) done();
  }

  commitThrough(transaction: number): void {
    this.assertUsable();
    if (transaction > this.#committed) this.commit();
  }

  commitOlderThan(seconds: number): void {
    this.assertUsable();
    const running = this.#running;
    if (running === undefined || running.handles > 0) return;
    if (isOlder(running.begun, this.#options.environment.clock.now(), seconds)) this.commit();
  }

  abort(reason: DaxError): void {
    if (this.#error === undefined) this.#abort(reason);
  }

  close(): void {
    if (!this.#open) return;
    if (this.#error === undefined) this.commit();
    this.#open = false;
  }

  assertUsable(): void {
    assert(this.#open, "closed");
    if (this.#error === undefined) return;
    const detail = `metadata could not be written: ${this.#error.message}; unmount, run a check`;
    throw new DaxError("EROFS", { syscall: "write", detail });
  }

  needsRevoke(): boolean {
    return false;
  }

  extend(): boolean {
    return true;
  }

  stopped({ handles, sync }: Transaction): void {
    if (sync && handles === 0 && this.#error === undefined) this.commit();
  }

  /** New blocks and file data first: what points to them follows when they are durable. */
  #write({ copies, created, beforeCommit }: Transaction): void {
    const all = [...copies.values()];
    for (const copy of all) if (created.has(copy.block)) this.#put(copy);
    if (created.size > 0 || beforeCommit.length > 0) this.#buffers.device.flush();
    const changed = all.filter(({ block }) => !created.has(block));
    for (const copy of changed) this.#put(copy);
    if (changed.length > 0) this.#buffers.device.flush();
  }

  #put({ block, bytes }: JournaledBlock): void {
    this.#buffers.write(block, bytes);
  }

  #abort(error: DaxError): void {
    this.#error = error;
    this.#running = undefined;
    this.#options.onAbort?.(error);
  }
}
