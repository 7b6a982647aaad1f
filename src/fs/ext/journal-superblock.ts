/**
 * The superblock of a jbd2 journal, written: where the log starts, the error that ended it, and the
 * features. One word of eight bytes changes at a time, which memory and sectors leave whole.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  JBD2_CRC32C_CHKSUM,
  JBD2_SUPERBLOCK_V2,
  JournalSuperblock,
  hasChecksumV2or3,
} from "../../format/jbd2.ts";
import { assert } from "../../lib/errno.ts";
import { type JournalLog, type JournalMap, physicalBlock } from "./journal-log.ts";
import { WORD_BYTES, encodeTearNote, superblockChecksum } from "./journal-tear.ts";

/** The two words of features that decide how a log is written. */
export interface JournalFeatures {
  readonly featureCompat: number;
  readonly featureIncompat: number;
}

/** Writes the superblock of one journal; whoever opened the journal has checked it. */
export class JournalSuperblockWriter {
  readonly #buffers: Buffers;
  readonly #log: JournalLog;
  readonly #map: JournalMap;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;

  /** @throws EIO */
  constructor(buffers: Buffers, map: JournalMap, log: JournalLog) {
    this.#buffers = buffers;
    this.#log = log;
    this.#map = map;
    const { bytes, view } = log.read(0);
    this.#bytes = bytes;
    this.#view = view;
  }

  /** The first transaction that a crash would replay. */
  get sequence(): number {
    return JournalSuperblock.sequence.get(this.#view, 0);
  }

  /** Where it starts, in journal blocks; 0: a crash replays nothing. */
  get start(): number {
    return JournalSuperblock.start.get(this.#view, 0);
  }

  /** What an aborted journal left; 0: none. */
  get errno(): number {
    return JournalSuperblock.errno.get(this.#view, 0);
  }

  /**
   * Moves the start of the log, durably, after what was written to the device before is durable.
   * @throws EIO, EROFS
   */
  setTail(sequence: number, start: number): void {
    this.#change(JournalSuperblock.sequence.offset, [sequence, start], { barrier: true });
  }

  /**
   * The log gets its first transaction, at `start`. Durable with the next flush; until then it may
   * as well be empty. @throws EIO, EROFS
   */
  startLog(sequence: number, start: number): void {
    this.#change(JournalSuperblock.sequence.offset, [sequence, start], { lazy: true });
  }

  /** Says why the journal was aborted: a negative errno, or 0. @throws EIO, EROFS */
  setErrno(errno: number): void {
    const compat = JournalSuperblock.featureCompat.get(this.#view, 0);
    this.#change(JournalSuperblock.errno.offset, [errno >>> 0, compat]);
  }

  /**
   * Sets both words of features; the log has to be clean, as they say how it is read. A superblock
   * of version 1 has no room for them. Whoever holds the log opens it anew. @throws EIO, EROFS
   */
  setFeatures({ featureCompat, featureIncompat }: JournalFeatures): void {
    assert(this.start === 0, "features of a log that holds transactions");
    assert(this.#log.superblock.blocktype === JBD2_SUPERBLOCK_V2, "features of a v1 superblock");
    const { errno, featureRoCompat } = this.#log.superblock;
    const { errno: compatWord, featureIncompat: incompatWord } = JournalSuperblock;
    if (featureCompat !== this.#log.superblock.featureCompat) {
      this.#change(compatWord.offset, [errno, featureCompat]);
    }
    if (featureIncompat === this.#log.superblock.featureIncompat) return;
    const word: Pair = [featureIncompat, featureRoCompat];
    if (hasChecksumV2or3(featureIncompat) && !this.#log.checksummed) this.#prepareChecksum(word);
    this.#change(incompatWord.offset, word);
  }

  /** The checksum of the superblock to come is there before anything says that it is one. */
  #prepareChecksum(word: Pair): void {
    const { checksumType, checksum, featureIncompat } = JournalSuperblock;
    checksumType.set(this.#view, 0, JBD2_CRC32C_CHKSUM);
    const coming = this.#bytes.slice();
    coming.set(wordOf(word), featureIncompat.offset);
    checksum.set(this.#view, 0, superblockChecksum(coming));
    this.#write(true);
  }

  /** One flush at most comes before the change: for the note about it, or as a barrier. */
  #change(offset: number, pair: Pair, how: { barrier?: boolean; lazy?: boolean } = {}): void {
    const { checksummed, blockSize } = this.#log;
    const [before, after] = [this.#bytes.slice(offset, offset + WORD_BYTES), wordOf(pair)];
    if (checksummed) {
      this.#mend();
      const note = encodeTearNote(blockSize, { offset, before, after });
      this.#buffers.write(physicalBlock(this.#map, this.#freeBlock()), note);
    }
    if (checksummed || how.barrier === true) this.#buffers.device.flush();
    this.#bytes.set(after, offset);
    if (checksummed) {
      JournalSuperblock.checksum.set(this.#view, 0, superblockChecksum(this.#bytes));
    }
    this.#write(how.lazy !== true);
  }

  /**
   * A superblock that was torn is believed because of the note about it. The checksum comes first,
   * by itself and durably, before another note takes that one's place.
   */
  #mend(): void {
    const checksum = superblockChecksum(this.#bytes);
    if (JournalSuperblock.checksum.get(this.#view, 0) === checksum) return;
    JournalSuperblock.checksum.set(this.#view, 0, checksum);
    this.#write(true);
  }

  /** The block before the tail never holds anything: `LogSpace` keeps it back. */
  #freeBlock(): number {
    const { first, last } = this.#log.area;
    return this.start <= first ? last - 1 : this.start - 1;
  }

  /** The words that change lie in the first sector, and a disk writes a sector as a whole. */
  #write(fua: boolean): void {
    const { logicalBlockSize } = this.#buffers.device.limits;
    const length = Math.min(logicalBlockSize, this.#log.blockSize);
    this.#buffers.write(physicalBlock(this.#map, 0), this.#bytes.subarray(0, length), { fua });
  }
}

/** Two big-endian words of 32 bits that share a word of eight bytes. */
type Pair = readonly [first: number, second: number];

function wordOf([first, second]: Pair): Uint8Array {
  const view = new DataView(new ArrayBuffer(WORD_BYTES));
  view.setUint32(0, first);
  view.setUint32(4, second);
  return new Uint8Array(view.buffer);
}
