/**
 * A jbd2 journal at work: handles join one running transaction, a commit puts it into the log, and
 * a checkpoint brings what was committed to its place when the log is full, and at the end.
 *
 * Metadata reaches its place only after its commit. Until then readers of the same `Buffers` see
 * the private copies, and the media hold what the last checkpoint left.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_REVOKE,
  JBD2_SUPERBLOCK_V2,
} from "../../format/jbd2.ts";
import {
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
} from "../../format/ext-superblock.ts";
import type { Environment, Timespec } from "../../lib/environment.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { type Features, hasIncompat, hasRoCompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import { sequenceAfter } from "./journal-blocks.ts";
import { Checkpoints } from "./journal-checkpoint.ts";
import { commitToLog } from "./journal-commit.ts";
import { JournalLog, type JournalMap } from "./journal-log.ts";
import { LogSpace } from "./journal-space.ts";
import { type JournalFeatures, JournalSuperblockWriter } from "./journal-superblock.ts";
import { MetadataCommits, WAITING_BYTES } from "./metadata-commits.ts";
import type { Transaction } from "./transaction.ts";

/** What the mount does at the turns of a journal's life. */
export interface JournalHooks {
  /**
   * Called before the log holds anything that a crash would have to replay. The filesystem has to
   * say here that it needs recovery (`writeRecoverFlag`), or the log is ignored; the commit makes
   * what it writes durable.
   */
  beforeFirstCommit?(): void;
  /** Called when `close` has emptied the log, durably: recovery is not needed any more. */
  afterClean?(): void;
  /** Called once when the device failed: the mount turns read-only. */
  onAbort?(error: DaxError): void;
}

/** How a journal is opened for writing. */
export interface JournalOptions {
  readonly environment: Pick<Environment, "clock" | "trace">;
  readonly hooks?: JournalHooks;
  /** Set before anything is written; the journal keeps its own unless given. */
  readonly features?: JournalFeatures;
  /** Committed bytes that wait in memory for their checkpoint, at most; 32 MiB unless given. */
  readonly waitingBytes?: number;
  /** A transaction may take all of the log, for somebody who makes only one. */
  readonly wholeLog?: boolean;
}

/** A log must have room for four transactions of one block. */
const FEWEST_BLOCKS = 16;
/** What the kernel writes for an aborted journal. */
const EIO = -5;

/** The features that Linux gives the journal of a filesystem: the layout of its tags follows it. */
export function journalFeaturesFor(superblock: Features): JournalFeatures {
  const wide = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_64BIT);
  const checksums = hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
  return {
    featureCompat: 0,
    featureIncompat:
      JBD2_FEATURE_INCOMPAT_REVOKE |
      (wide ? JBD2_FEATURE_INCOMPAT_64BIT : 0) |
      (checksums ? JBD2_FEATURE_INCOMPAT_CSUM_V3 : 0),
  };
}

/** The journal inside a filesystem, for writing. One at a time. */
export class Journal extends MetadataCommits {
  readonly mostCredits: number;
  readonly #map: JournalMap;
  readonly #options: JournalOptions;
  readonly #log: JournalLog;
  readonly #superblock: JournalSuperblockWriter;
  readonly #space: LogSpace;
  readonly #checkpoints: Checkpoints;
  #sequence: number;
  #lastTime: Timespec = { sec: 0, nsec: 0 };
  /** Whether the log has held something that was not there when it was opened. */
  #dirty = false;

  /**
   * Opens a clean journal. Nothing is written before the first commit, unless features change.
   * @throws EUCLEAN, EBADMSG, ENOTSUP as `JournalLog`; EBUSY for a log that was not replayed,
   *   EINVAL for one that is too short, EIO, EROFS
   */
  constructor(buffers: Buffers, map: JournalMap, options: JournalOptions) {
    super(buffers, options.environment.clock);
    this.#map = map;
    this.#options = options;
    this.#log = openClean(buffers, map, options.features);
    this.#superblock = new JournalSuperblockWriter(buffers, map, this.#log);
    this.#space = new LogSpace(this.#log, this.#log.area.first, options.wholeLog);
    this.#checkpoints = new Checkpoints(buffers);
    let most = this.#space.most;
    while (this.#space.blocksFor(most, most) > this.#space.most) most--;
    this.mostCredits = most;
    // A number that was used may still stand in the log; the one in a clean superblock as well.
    this.#sequence = sequenceAfter(this.#superblock.sequence);
  }

  /** The errno that an earlier mount left when its journal was aborted, negative; 0: none. */
  get recordedErrno(): number {
    return this.#superblock.errno | 0;
  }

  /** Forgets {@link recordedErrno}, when the filesystem has taken note. @throws EIO, EROFS */
  clearErrno(): void {
    this.guarded(() => this.#superblock.setErrno(0));
  }

  /** Blocks that committed transactions still have to bring to their places. */
  get waiting(): number {
    return this.#checkpoints.waiting;
  }

  get #waitingBytes(): number {
    return this.#options.waitingBytes ?? WAITING_BYTES;
  }

  start(copies: number, revokes = copies): Handle {
    this.assertUsable();
    if (this.#space.blocksFor(copies, revokes) > this.#space.most) this.#refuse(copies, revokes);
    if (!this.#fits(copies, revokes)) {
      // Handles that are open hold the transaction; beside them there is no waiting here.
      if ((this.running?.handles ?? 0) > 0) this.#refuse(copies, revokes);
      this.commit();
    }
    this.#makeRoom(copies, revokes);
    return this.join(copies, revokes);
  }

  override commit(): void {
    super.commit();
    if (this.#checkpoints.waiting * this.buffers.blockSize > this.#waitingBytes) this.checkpoint();
  }

  /** Writes everything that was committed to its place, and empties the log. @throws EIO, EROFS */
  checkpoint(): void {
    this.assertUsable();
    this.#checkpoint(this.#checkpoints.transactions);
  }

  needsRevoke(block: number): boolean {
    return this.#checkpoints.holds(block);
  }

  extend(copies: number, revokes: number): boolean {
    if (!this.#fits(copies, revokes)) return false;
    this.#makeRoom(copies, revokes);
    return true;
  }

  /** Blocks of the log that the running transaction may take, with so much more in it. */
  #needed(copies: number, revokes: number): number {
    const running = this.running;
    if (running === undefined) return this.#space.blocksFor(copies, revokes);
    return this.#space.blocksFor(
      running.copies.size + running.pledgedCopies + copies,
      running.revoked.size + running.pledgedRevokes + revokes,
    );
  }

  #fits(copies: number, revokes: number): boolean {
    if (this.#needed(copies, revokes) > this.#space.most) return false;
    const held = this.running?.copies.size ?? 0;
    return held === 0 || (held + copies) * this.buffers.blockSize <= this.#waitingBytes;
  }

  /** A transaction starts only when the log has room for all of it: a commit cannot get stuck. */
  #makeRoom(copies: number, revokes: number): void {
    const needed = this.#needed(copies, revokes);
    if (this.#space.free >= needed) return;
    // Half of the log at a time: each checkpoint waits for the device, however little it writes.
    const wanted = Math.max(needed, Math.floor(this.#space.capacity / 2));
    let [count, free] = [0, this.#space.free];
    for (const { length } of this.#checkpoints.transactionsInOrder()) {
      if (free >= wanted) break;
      free += length;
      count++;
    }
    this.#checkpoint(count);
  }

  protected write(running: Transaction): void {
    if (running.isEmpty) {
      if (running.beforeCommit.length > 0) this.buffers.device.flush();
      return;
    }
    if (this.#superblock.start === 0) this.#startLog();
    const { clock, trace } = this.#options.environment;
    const { head: start, free } = this.#space;
    const target = { buffers: this.buffers, log: this.#log, map: this.#map, space: this.#space };
    this.#lastTime = later(this.#lastTime, clock.now());
    commitToLog(target, running, this.#sequence, this.#lastTime);
    const length = free - this.#space.free;
    this.#checkpoints.add(running, { sequence: this.#sequence, start, length });
    trace.event("ext.commit", { sequence: this.#sequence, blocks: length });
    this.#sequence = sequenceAfter(this.#sequence);
  }

  /** The log is about to hold something; this has to be durable with its first transaction. */
  #startLog(): void {
    if (!this.#dirty) this.#options.hooks?.beforeFirstCommit?.();
    this.#dirty = true;
    this.#superblock.startLog(this.#sequence, this.#space.head);
  }

  #checkpoint(count: number): void {
    if (count > 0) this.guarded(() => this.#checkpointNow(count));
  }

  #checkpointNow(count: number): void {
    this.#checkpoints.write(count);
    const next = this.#checkpoints.transactionsInOrder()[count];
    this.#superblock.setTail(next?.sequence ?? this.#sequence, next?.start ?? this.#space.head);
    this.#space.release(this.#checkpoints.retire(count, this.running));
    const { trace } = this.#options.environment;
    trace.event("ext.checkpoint", { transactions: count, free: this.#space.free });
  }

  protected finish(): void {
    this.commit();
    this.guarded(() => {
      const { transactions } = this.#checkpoints;
      this.#checkpoints.write(transactions);
      if (this.#superblock.start !== 0) this.#superblock.setTail(this.#sequence, 0);
      this.#space.release(this.#checkpoints.retire(transactions, undefined));
    });
    if (this.#dirty) this.#options.hooks?.afterClean?.();
    this.#dirty = false;
  }

  protected ended(error: DaxError): void {
    try {
      this.#superblock.setErrno(EIO);
    } catch (second) {
      // The device fails altogether: then nothing can be noted on it.
      if (!isDaxError(second)) throw second;
    }
    this.#options.environment.trace.event("ext.abort", { code: error.code });
    this.#options.hooks?.onAbort?.(error);
  }

  protected refusal({ message }: DaxError): DaxError {
    const detail = `the journal was aborted: ${message}; unmount, and run a check`;
    return new DaxError("EROFS", { syscall: "journal", detail });
  }

  #refuse(copies: number, revokes: number): never {
    const detail =
      `an operation wants to change ${copies} blocks and free ${revokes}, a transaction takes ` +
      `${this.#space.most} blocks of the log; make the journal larger`;
    throw new DaxError("ENOSPC", { syscall: "journal", detail });
  }
}

function openClean(
  buffers: Buffers,
  map: JournalMap,
  features: JournalFeatures | undefined,
): JournalLog {
  const log = new JournalLog(buffers, map);
  const { start, blocktype } = log.superblock;
  if (start !== 0) {
    const detail = `the log was not replayed: it starts at block ${start}; recover it first`;
    throw new DaxError("EBUSY", { syscall: "journal", detail });
  }
  const blocks = log.area.last - log.area.first;
  if (blocks < FEWEST_BLOCKS) {
    const detail = `a log of ${blocks} blocks is too short to write; at least ${FEWEST_BLOCKS}`;
    throw new DaxError("EINVAL", { syscall: "journal", detail });
  }
  if (features === undefined || blocktype !== JBD2_SUPERBLOCK_V2) return log;
  new JournalSuperblockWriter(buffers, map, log).setFeatures(features);
  return new JournalLog(buffers, map);
}

/** Commit times never go back: an older one would be taken for the leftover of an earlier lap. */
function later(a: Timespec, b: Timespec): Timespec {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec) ? a : b;
}
