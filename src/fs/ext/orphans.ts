/**
 * Orphans: inodes that the next mount has to delete (no links are left, but somebody has them open)
 * or to cut to their size (a truncation takes several transactions). They are chained: the
 * superblock names the first, and the word for the time of deletion of each names the next. With
 * the feature `orphan_file` they are listed there instead, as long as there is room.
 *
 * @module
 */
import { EXT4_FEATURE_COMPAT_ORPHAN_FILE } from "../../format/ext-superblock.ts";
import { type DaxError, assert, isDaxError } from "../../lib/errno.ts";
import { corrupt } from "./corruption.ts";
import { hasCompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import { dtimeOf, setDtime, storeRecord } from "./inode-writer.ts";
import { OrphanFile } from "./orphan-file.ts";
import type { SuperblockWriter } from "./superblock-writer.ts";
import type { Volume } from "./volume.ts";

/** Credits that `add` and `remove` take: the superblock, two inodes, a block of the file. */
export const ORPHAN_CREDITS = 3;

/** What an earlier mount left to do. */
export interface LeftOrphans {
  readonly records: readonly InodeRecord[];
  /** Why there may be more that cannot be found. */
  readonly problem: DaxError | undefined;
}

/** An inode of the chain; `before` is the one that names it, 0 for the superblock. */
interface Link {
  readonly record: InodeRecord;
  before: number;
  next: number;
}

/** The orphans of a mounted filesystem. */
export class Orphans {
  readonly #volume: Volume;
  readonly #superblock: SuperblockWriter;
  readonly #chain = new Map<number, Link>();
  readonly #file: OrphanFile | undefined;
  #first = 0;

  /** Reads the orphan file. @throws EUCLEAN, EBADMSG, EIO */
  constructor(volume: Volume, superblock: SuperblockWriter) {
    this.#volume = volume;
    this.#superblock = superblock;
    const listed = hasCompat(volume.superblock, EXT4_FEATURE_COMPAT_ORPHAN_FILE);
    this.#file = listed ? new OrphanFile(volume) : undefined;
  }

  /** Inodes that are orphans. */
  get count(): number {
    return this.#chain.size + (this.#file?.count ?? 0);
  }

  /** Whether the orphan file names one. */
  get inFile(): boolean {
    return (this.#file?.count ?? 0) > 0;
  }

  has(ino: number): boolean {
    return this.#chain.has(ino) || this.#file?.has(ino) === true;
  }

  /**
   * The orphans that the media hold. To be called once, after recovery and before the first `add`;
   * each is to be deleted or cut, and then removed. @throws EIO
   */
  load(): LeftOrphans {
    const records: InodeRecord[] = [];
    try {
      this.#loadChain(records);
      for (const ino of this.#file?.inos ?? []) records.push(this.#read(ino, "orphan file"));
      return { records, problem: undefined };
    } catch (error) {
      if (!isDaxError(error, "EUCLEAN", "EBADMSG")) throw error;
      return { records, problem: error };
    }
  }

  /** Where the chain cannot go on it ends. */
  #loadChain(records: InodeRecord[]): void {
    let last: Link | undefined;
    for (let ino = this.#volume.superblock.lastOrphan; ino !== 0;) {
      const before = last?.record.ino ?? 0;
      const record = this.#read(ino, before === 0 ? "superblock" : `inode ${before}`);
      if (last === undefined) this.#first = ino;
      else last.next = ino;
      last = { record, before, next: 0 };
      this.#chain.set(ino, last);
      records.push(record);
      ino = dtimeOf(record);
    }
  }

  /**
   * Makes an inode an orphan. `record` is the one that everybody uses: the chain lives in it, and
   * all of it is stored. Does nothing for one that is. Takes {@link ORPHAN_CREDITS}.
   * @throws EIO, EROFS
   */
  add(handle: Handle, record: InodeRecord): void {
    const { ino } = record;
    if (this.has(ino) || this.#file?.add(handle, ino) === true) return;
    const next = this.#first;
    setDtime(record, next);
    storeRecord(this.#volume, handle, record);
    this.#superblock.setLastOrphan(handle, ino);
    const follower = this.#chain.get(next);
    if (follower !== undefined) follower.before = ino;
    this.#chain.set(ino, { record, before: 0, next });
    this.#first = ino;
  }

  /**
   * An inode is no orphan any more. Its time of deletion is 0 then, which is stored too: one that
   * was deleted gets a real time afterwards. Takes {@link ORPHAN_CREDITS}. @throws EIO, EROFS
   */
  remove(handle: Handle, record: InodeRecord): void {
    const { ino } = record;
    this.#file?.remove(handle, ino);
    const link = this.#chain.get(ino);
    if (link === undefined) return;
    const { before, next } = link;
    if (before === 0) this.#setFirst(handle, next);
    else this.#setNext(handle, before, next);
    const follower = this.#chain.get(next);
    if (follower !== undefined) follower.before = before;
    this.#chain.delete(ino);
    setDtime(record, 0);
    storeRecord(this.#volume, handle, record);
  }

  /** Stores that the chain ends where {@link load} found it broken. @throws EIO, EROFS */
  cut(handle: Handle): void {
    for (const [ino, { next }] of this.#chain) if (next === 0) this.#setNext(handle, ino, 0);
    if (this.#chain.size === 0) this.#setFirst(handle, 0);
  }

  #setFirst(handle: Handle, ino: number): void {
    this.#superblock.setLastOrphan(handle, ino);
    this.#first = ino;
  }

  #setNext(handle: Handle, ino: number, next: number): void {
    const link = this.#chain.get(ino);
    assert(link !== undefined, () => `orphan ${ino} is gone from its chain`);
    setDtime(link.record, next);
    storeRecord(this.#volume, handle, link.record);
    link.next = next;
  }

  #read(ino: number, from: string): InodeRecord {
    const { firstIno, inodes } = this.#volume.superblock;
    if (ino < firstIno || ino > inodes) {
      throw corrupt(from, "next orphan", ino, `not from ${firstIno} to ${inodes}`);
    }
    if (this.#chain.has(ino)) throw corrupt(from, "next orphan", ino, "it is in the chain already");
    return this.#volume.record(ino);
  }
}
