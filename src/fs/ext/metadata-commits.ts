/**
 * The life of metadata that is changed in transactions, with a log or without one: handles join the
 * one that is running, a commit makes it durable, and a device that fails ends it all.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import type { Environment } from "../../lib/environment.ts";
import { type DaxError, assert, isDaxError } from "../../lib/errno.ts";
import { Handle, type HandleOwner, type MetadataJournal } from "./handle.ts";
import { Transaction, isOlder } from "./transaction.ts";

/** Bytes of blocks that may wait in memory, unless told. */
export const WAITING_BYTES = 32 << 20;

/** What commits have in common; where they write is up to `write`. */
export abstract class MetadataCommits implements MetadataJournal, HandleOwner {
  abstract readonly mostCredits: number;
  protected readonly buffers: Buffers;
  protected running: Transaction | undefined;
  /** Whether each transaction is committed as soon as no handle is open on it. */
  commitSteps = false;
  readonly #clock: Environment["clock"];
  #committed = 0;
  #closed = false;
  #busy = false;
  #error: DaxError | undefined;

  constructor(buffers: Buffers, clock: Environment["clock"]) {
    this.buffers = buffers;
    this.#clock = clock;
  }

  /** The error that ended it. */
  get error(): DaxError | undefined {
    return this.#error;
  }

  get committed(): number {
    return this.#committed;
  }

  get newest(): number {
    return this.running?.number ?? this.#committed;
  }

  abstract start(copies: number, revokes?: number): Handle;
  abstract needsRevoke(block: number): boolean;
  abstract extend(copies: number, revokes: number): boolean;

  /** Makes a transaction durable; what it seals, and its file data, were written before. */
  protected abstract write(running: Transaction): void;
  /** Commits, and leaves everything in its place. */
  protected abstract finish(): void;
  /** The end has come; `error` says why. */
  protected abstract ended(error: DaxError): void;
  /** What a caller is told from then on. */
  protected abstract refusal(error: DaxError): DaxError;

  commit(): void {
    this.assertUsable();
    const { running } = this;
    if (running === undefined) return;
    assert(running.handles === 0, "a commit while a handle is open");
    this.guarded(() => {
      for (const seal of running.seals) seal();
      for (const write of running.beforeCommit) write();
      this.write(running);
    });
    this.running = undefined;
    this.#committed = running.number;
    for (const done of running.committed) done();
  }

  commitThrough(transaction: number): void {
    this.assertUsable();
    if (transaction > this.#committed) this.commit();
  }

  commitOlderThan(seconds: number): void {
    this.assertUsable();
    const { running } = this;
    if (running === undefined || running.handles > 0) return;
    if (isOlder(running.begun, this.#clock.now(), seconds)) this.commit();
  }

  abort(reason: DaxError): void {
    if (this.#error === undefined) this.#end(reason);
  }

  settle(): void {
    this.assertUsable();
    this.finish();
  }

  close(): void {
    if (this.#closed) return;
    if (this.#error === undefined) this.finish();
    this.#closed = true;
  }

  assertUsable(): void {
    assert(!this.#busy, "a commit is under way, and what it calls wants to change more");
    assert(!this.#closed, "closed");
    if (this.#error !== undefined) throw this.refusal(this.#error);
  }

  stopped({ handles, sync }: Transaction): void {
    if ((sync || this.commitSteps) && handles === 0 && this.#error === undefined) this.commit();
  }

  /** A handle on the running transaction, which is begun unless there is one. */
  protected join(copies: number, revokes: number): Handle {
    this.running ??= new Transaction(this.buffers, this.#committed + 1, this.#clock.now());
    return new Handle(this.running, this, copies, revokes);
  }

  /** Runs `body`; when the device fails in it, that is the end. */
  protected guarded(body: () => void): void {
    this.#busy = true;
    try {
      body();
    } catch (error) {
      if (isDaxError(error)) this.#end(error);
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #end(error: DaxError): void {
    this.#error = error;
    this.running = undefined;
    this.ended(error);
  }
}
