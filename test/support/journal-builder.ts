/** Builds jbd2 journals in memory, of every layout, so that tests can say what a log holds. */
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import {
  JBD2_COMMIT_BLOCK,
  JBD2_CRC32C_CHKSUM,
  JBD2_CRC32_CHKSUM,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_FEATURE_COMPAT_CHECKSUM,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FLAG_ESCAPE,
  JBD2_FLAG_LAST_TAG,
  JBD2_FLAG_SAME_UUID,
  JBD2_MAGIC_NUMBER,
  JBD2_REVOKE_BLOCK,
  JBD2_SUPERBLOCK_V2,
  JournalCommitHeader,
  JournalHeader,
  JournalRevokeHeader,
  JournalSuperblock,
  hasChecksumV2or3,
  journalTagBytes,
} from "../../src/format/jbd2.ts";
import { crc32be } from "../../src/lib/crc32be.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { JournalLog } from "../../src/fs/ext/journal-log.ts";

export interface Layout {
  readonly blockSize?: number;
  /** Blocks of the journal. */
  readonly journalBlocks?: number;
  readonly compat?: number;
  readonly incompat?: number;
  readonly fcBlocks?: number;
  readonly start?: number;
  readonly sequence?: number;
}

/** One transaction: revokes first, as Linux writes them. */
export interface Transaction {
  readonly writes?: readonly (readonly [block: number, bytes: Uint8Array])[];
  readonly revokes?: readonly number[];
  readonly commitSec?: number;
  /** The power went before the commit block. */
  readonly torn?: boolean;
}

/** Blocks of the filesystem in front of the journal; the journal lies behind them, backwards. */
export const HOME_BLOCKS = 512;

const UUID = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

/** A journal on a RAM disk; its blocks lie in reverse order, so that nothing may assume a run. */
export class JournalBuilder {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly blockSize: number;
  readonly journalBlocks: number;
  readonly incompat: number;
  readonly compat: number;
  readonly last: number;
  readonly seed = crc32c(0xffffffff, UUID);
  /** Where the next block of the log goes. */
  head: number;
  sequence: number;
  /** The journal block of every commit. */
  readonly commits: number[] = [];
  readonly #view: DataView;
  #crc = 0xffffffff;

  constructor(layout: Layout = {}) {
    this.blockSize = layout.blockSize ?? 1024;
    this.journalBlocks = layout.journalBlocks ?? 1040;
    this.incompat = layout.incompat ?? 0;
    this.compat = layout.compat ?? 0;
    this.last = this.journalBlocks - (layout.fcBlocks ?? 0);
    this.image = new Uint8Array((HOME_BLOCKS + this.journalBlocks) * this.blockSize);
    this.#view = new DataView(this.image.buffer);
    this.head = layout.start ?? 1;
    this.sequence = layout.sequence ?? 7;
    this.#superblock(layout.fcBlocks ?? 0);
  }

  physical(n: number): number | undefined {
    return n < this.journalBlocks ? HOME_BLOCKS + this.journalBlocks - 1 - n : undefined;
  }

  /** Byte of the image at which journal block `n` starts. */
  at(n: number): number {
    return (this.physical(n) as number) * this.blockSize;
  }

  buffers(): Buffers {
    return new Buffers(new RamDisk({ name: "ram0", bytes: this.image }), this.blockSize);
  }

  open(): JournalLog {
    const physical = (n: number): number | undefined => this.physical(n);
    return new JournalLog(this.buffers(), { blocks: this.journalBlocks, physical });
  }

  /** Recomputes the superblock's checksum, after it was changed by hand. */
  sealSuperblock(): void {
    if (!hasChecksumV2or3(this.incompat)) return;
    const at = this.at(0);
    JournalSuperblock.checksum.set(this.#view, at, 0);
    const sum = crc32c(0xffffffff, this.image.subarray(at, at + 1024));
    JournalSuperblock.checksum.set(this.#view, at, sum);
  }

  add(transaction: Transaction): this {
    const { writes = [], revokes = [] } = transaction;
    this.#crc = 0xffffffff;
    this.#revokes(revokes);
    const each = this.#tagsPerBlock();
    for (let i = 0; i < writes.length; i += each) this.#descriptor(writes.slice(i, i + each));
    if (transaction.torn !== true) this.#commit(transaction.commitSec ?? 1000 + this.sequence);
    this.sequence = (this.sequence + 1) >>> 0;
    return this;
  }

  #superblock(fcBlocks: number): void {
    const [view, at, s] = [this.#view, this.at(0), JournalSuperblock];
    s.magic.set(view, at, JBD2_MAGIC_NUMBER);
    s.blocktype.set(view, at, JBD2_SUPERBLOCK_V2);
    s.blocksize.set(view, at, this.blockSize);
    s.maxlen.set(view, at, this.journalBlocks);
    s.first.set(view, at, 1);
    s.sequence.set(view, at, this.sequence);
    s.start.set(view, at, this.head);
    s.featureCompat.set(view, at, this.compat);
    s.featureIncompat.set(view, at, this.incompat);
    s.uuid.set(view, at, UUID);
    s.nrUsers.set(view, at, 1);
    if (hasChecksumV2or3(this.incompat)) s.checksumType.set(view, at, JBD2_CRC32C_CHKSUM);
    s.numFcBlks.set(view, at, fcBlocks);
    this.sealSuperblock();
  }

  #next(): number {
    const at = this.at(this.head);
    this.head = this.head + 1 >= this.last ? 1 : this.head + 1;
    return at;
  }

  #header(at: number, blocktype: number): void {
    this.image.fill(0, at, at + this.blockSize);
    JournalHeader.magic.set(this.#view, at, JBD2_MAGIC_NUMBER);
    JournalHeader.blocktype.set(this.#view, at, blocktype);
    JournalHeader.sequence.set(this.#view, at, this.sequence);
  }

  #tail(at: number): void {
    if (!hasChecksumV2or3(this.incompat)) return;
    const end = at + this.blockSize;
    this.#view.setUint32(end - 4, crc32c(this.seed, this.image.subarray(at, end)));
  }

  #tagsPerBlock(): number {
    const tail = hasChecksumV2or3(this.incompat) ? 4 : 0;
    return Math.floor((this.blockSize - 12 - tail - 16) / journalTagBytes(this.incompat));
  }

  #revokes(revokes: readonly number[]): void {
    const wide = (this.incompat & JBD2_FEATURE_INCOMPAT_64BIT) !== 0;
    const size = wide ? 8 : 4;
    const each = Math.floor((this.blockSize - 16 - 4) / size);
    for (let i = 0; i < revokes.length; i += each) {
      const some = revokes.slice(i, i + each);
      const at = this.#next();
      this.#header(at, JBD2_REVOKE_BLOCK);
      JournalRevokeHeader.count.set(this.#view, at, 16 + some.length * size);
      for (const [k, block] of some.entries()) {
        this.#view.setUint32(at + 16 + k * size + (wide ? 4 : 0), block);
      }
      this.#tail(at);
    }
  }

  #descriptor(writes: readonly (readonly [number, Uint8Array])[]): void {
    const at = this.#next();
    this.#header(at, JBD2_DESCRIPTOR_BLOCK);
    const size = journalTagBytes(this.incompat);
    let tagAt = at + 12;
    const copies: number[] = [];
    for (const [i, [block, bytes]] of writes.entries()) {
      const copyAt = this.#next();
      copies.push(copyAt);
      this.image.set(bytes, copyAt);
      let flags = i > 0 ? JBD2_FLAG_SAME_UUID : 0;
      if (i === writes.length - 1) flags |= JBD2_FLAG_LAST_TAG;
      if (this.#view.getUint32(copyAt) === JBD2_MAGIC_NUMBER) {
        this.#view.setUint32(copyAt, 0);
        flags |= JBD2_FLAG_ESCAPE;
      }
      this.#tag(tagAt, block, flags, this.image.subarray(copyAt, copyAt + this.blockSize));
      tagAt += size + (i > 0 ? 0 : 16);
    }
    this.#tail(at);
    for (const from of [at, ...copies]) {
      this.#crc = crc32be(this.#crc, this.image.subarray(from, from + this.blockSize));
    }
  }

  #tag(at: number, block: number, flags: number, bytes: Uint8Array): void {
    const view = this.#view;
    const word = new DataView(new ArrayBuffer(4));
    word.setUint32(0, this.sequence);
    const sum = crc32c(crc32c(this.seed, new Uint8Array(word.buffer)), bytes);
    view.setUint32(at, block);
    if (this.incompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) {
      view.setUint32(at + 4, flags);
      view.setUint32(at + 12, sum);
      return;
    }
    if (hasChecksumV2or3(this.incompat)) view.setUint16(at + 4, sum & 0xffff);
    view.setUint16(at + 6, flags);
  }

  #commit(sec: number): void {
    this.commits.push(this.head);
    const at = this.#next();
    this.#header(at, JBD2_COMMIT_BLOCK);
    JournalCommitHeader.commitSec.set(this.#view, at, sec);
    if (this.compat & JBD2_FEATURE_COMPAT_CHECKSUM) {
      JournalCommitHeader.chksumType.set(this.#view, at, JBD2_CRC32_CHKSUM);
      JournalCommitHeader.chksumSize.set(this.#view, at, 4);
      JournalCommitHeader.chksum.set(this.#view, at, this.#crc);
    }
    if (hasChecksumV2or3(this.incompat)) {
      const sum = crc32c(this.seed, this.image.subarray(at, at + this.blockSize));
      JournalCommitHeader.chksum.set(this.#view, at, sum);
    }
  }
}
