/**
 * The log of a jbd2 journal: its superblock, checked as Linux checks it at mount, and its blocks in
 * log order. Reads only.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import {
  JBD2_CRC32C_CHKSUM,
  JBD2_DEFAULT_FAST_COMMIT_BLOCKS,
  JBD2_FEATURE_COMPAT_CHECKSUM,
  JBD2_FEATURE_INCOMPAT_CSUM_V2,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
  JBD2_KNOWN_INCOMPAT_FEATURES,
  JBD2_MAGIC_NUMBER,
  JBD2_MIN_JOURNAL_BLOCKS,
  JBD2_SUPERBLOCK_V1,
  JBD2_SUPERBLOCK_V2,
  JournalSuperblock,
  hasChecksumV2or3,
} from "../../format/jbd2.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { DaxError, type ErrnoCode } from "../../lib/errno.ts";
import { type Decoded, decode } from "../../lib/struct.ts";
import { TEAR_NOTE_BYTES, isTorn, superblockChecksum } from "./journal-tear.ts";

/** Blocks of a journal at most; mke2fs makes none of more than 10,240,000. */
export const MOST_JOURNAL_BLOCKS = 1 << 24;

/** Where the blocks of a journal lie; a journal file may be fragmented. */
export interface JournalMap {
  /** Blocks of the journal file. */
  readonly blocks: number;
  /** The filesystem block behind journal block `n`; undefined over a hole. */
  physical(n: number): number | undefined;
  /** The same for maps with the same places; absent where that is not known. */
  readonly places?: string;
}

/** The filesystem block behind journal block `n`. @throws EUCLEAN over a hole */
export function physicalBlock(map: JournalMap, n: number): number {
  const block = map.physical(n);
  if (block !== undefined) return block;
  const detail = `journal: block ${n} of the journal file is a hole; run a check`;
  throw new DaxError("EUCLEAN", { syscall: "journal", detail });
}

/** One block of the log, copied out. */
export interface LogBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
}

/** What the log area and the fast-commit area cover, in journal blocks. */
export interface LogArea {
  /** First block of the log. */
  readonly first: number;
  /** The block behind the last one of the log: there the log goes on at `first`. */
  readonly last: number;
  /** First block of the fast-commit area. */
  readonly fcFirst: number;
  /** The last block that fast-commit recovery may ask for; it lies just behind the journal. */
  readonly fcLast: number;
}

/** An opened journal. */
export class JournalLog {
  readonly superblock: Decoded<typeof JournalSuperblock>;
  readonly area: LogArea;
  /** Start of every v2 and v3 checksum. */
  readonly seed: number;
  readonly #buffers: Buffers;
  readonly #map: JournalMap;

  /**
   * Reads and checks the journal's superblock.
   * @throws EUCLEAN or EBADMSG for a damaged one, ENOTSUP for features nobody knows here
   */
  constructor(buffers: Buffers, map: JournalMap) {
    this.#buffers = buffers;
    this.#map = map;
    const block = this.#readPhysical(0);
    this.superblock = withoutV2Fields(decode(JournalSuperblock, block.view));
    this.#checkSuperblock(block);
    this.area = areaOf(this.superblock);
    this.seed = crc32c(0xffffffff, this.superblock.uuid);
  }

  get blockSize(): number {
    return this.#buffers.blockSize;
  }

  get featureIncompat(): number {
    return this.superblock.featureIncompat;
  }

  /** Blocks carry v2 or v3 checksums. */
  get checksummed(): boolean {
    return hasChecksumV2or3(this.superblock.featureIncompat);
  }

  /** Commit blocks carry the CRC-32 of their transaction. */
  get checksumV1(): boolean {
    return (this.superblock.featureCompat & JBD2_FEATURE_COMPAT_CHECKSUM) !== 0;
  }

  /** Blocks of the filesystem, the bound of every tag. */
  get filesystemBlocks(): number {
    return this.#buffers.blocks;
  }

  /** The journal block `count` blocks behind `n`, around the end of the log. */
  after(n: number, count: number): number {
    const { first, last } = this.area;
    const next = n + count;
    return next >= last ? next - (last - first) : next;
  }

  /**
   * Copies journal block `n` out, or its first `length` bytes.
   * @throws EUCLEAN outside the journal or over a hole, EIO
   */
  read(n: number, length?: number): LogBlock {
    if (n >= this.superblock.maxlen) {
      this.fail(
        "EUCLEAN",
        `block ${n} lies behind the journal of ${this.superblock.maxlen} blocks`,
      );
    }
    return this.#readPhysical(n, length);
  }

  /** Refuses the journal. */
  fail(code: ErrnoCode, detail: string): never {
    throw new DaxError(code, {
      syscall: "mount",
      path: this.#buffers.device.name,
      detail:
        `journal: ${detail}; mount with noload to read what is on the media without the ` +
        "journal, or repair it with e2fsck",
    });
  }

  #readPhysical(n: number, length = this.#buffers.blockSize): LogBlock {
    const block = this.#map.physical(n);
    if (block === undefined) this.fail("EUCLEAN", `block ${n} of the journal file is a hole`);
    const bytes = new Uint8Array(length);
    this.#buffers.read(block, bytes, "journal block");
    return { bytes, view: new DataView(bytes.buffer) };
  }

  #checkSuperblock(block: LogBlock): void {
    const s = this.superblock;
    if (s.magic !== JBD2_MAGIC_NUMBER) {
      this.fail("EUCLEAN", `superblock: magic is 0x${hex(s.magic)}, not c03b3998`);
    }
    if (s.blocktype !== JBD2_SUPERBLOCK_V1 && s.blocktype !== JBD2_SUPERBLOCK_V2) {
      this.fail("EUCLEAN", `superblock: blocktype is ${s.blocktype}, not 3 or 4`);
    }
    if (s.blocksize !== this.blockSize) {
      this.fail("EUCLEAN", `superblock: blocksize is ${s.blocksize}, not ${this.blockSize}`);
    }
    this.#checkFeatures();
    const most = Math.min(this.#map.blocks, this.#buffers.blocks);
    if (s.maxlen > most || s.maxlen === 0) {
      this.fail("EUCLEAN", `superblock: maxlen is ${s.maxlen}, the file has ${most}`);
    }
    if (s.maxlen > MOST_JOURNAL_BLOCKS) {
      this.fail("ENOTSUP", `superblock: maxlen is ${s.maxlen}, more than ${MOST_JOURNAL_BLOCKS}`);
    }
    if (s.first === 0 || s.first >= s.maxlen) {
      this.fail("EUCLEAN", `superblock: first is ${s.first}, not within 1 to ${s.maxlen - 1}`);
    }
    if (this.checksummed) this.#checkChecksum(block);
    const { first, last } = areaOf(s);
    if (s.start !== 0 && (s.start < first || s.start >= last)) {
      this.fail("EUCLEAN", `superblock: start is ${s.start}, not within ${first} to ${last - 1}`);
    }
  }

  #checkFeatures(): void {
    const { featureIncompat, featureRoCompat, checksumType } = this.superblock;
    const unknown = featureIncompat & ~JBD2_KNOWN_INCOMPAT_FEATURES;
    if (unknown !== 0 || featureRoCompat !== 0) {
      const which =
        unknown === 0 ? `ro_compat 0x${hex(featureRoCompat)}` : `incompat 0x${hex(unknown)}`;
      this.fail("ENOTSUP", `superblock: unknown features ${which}`);
    }
    const both = JBD2_FEATURE_INCOMPAT_CSUM_V2 | JBD2_FEATURE_INCOMPAT_CSUM_V3;
    if ((featureIncompat & both) === both) {
      this.fail("EUCLEAN", "superblock: checksum v2 and v3 exclude each other, both are set");
    }
    if (this.checksumV1 && this.checksummed) {
      this.fail("EUCLEAN", "superblock: checksum v1 excludes v2 and v3, both are set");
    }
    if (this.checksummed && checksumType !== JBD2_CRC32C_CHKSUM) {
      this.fail("EUCLEAN", `superblock: checksum_type is ${checksumType}, not 4 (crc32c)`);
    }
  }

  #checkChecksum(block: LogBlock): void {
    const expected = superblockChecksum(block.bytes);
    const found = this.superblock.checksum;
    if (found === expected || this.#wasTorn(block)) return;
    this.fail("EBADMSG", `superblock: checksum is ${hex(found)}, not ${hex(expected)}`);
  }

  /** Whether the log says that the superblock was changed when power went. */
  #wasTorn(block: LogBlock): boolean {
    const { first, last } = areaOf(this.superblock);
    const note = new DataView(new ArrayBuffer(TEAR_NOTE_BYTES));
    for (let n = first; n < last; n++) {
      const physical = this.#map.physical(n);
      if (physical === undefined) continue;
      this.#buffers.read(physical, new Uint8Array(note.buffer), "journal block");
      if (isTorn(block, note)) return true;
    }
    return false;
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}

/** A v1 superblock ends after `errno`: what lies behind it is no feature word. */
function withoutV2Fields(
  superblock: Decoded<typeof JournalSuperblock>,
): Decoded<typeof JournalSuperblock> {
  if (superblock.blocktype === JBD2_SUPERBLOCK_V2) return superblock;
  return { ...superblock, featureCompat: 0, featureIncompat: 0, featureRoCompat: 0 };
}

/**
 * The log takes all of the journal, or what the fast-commit area leaves of it; that area counts
 * only beside a log of at least JBD2_MIN_JOURNAL_BLOCKS, and the block between both is unused.
 */
function areaOf(superblock: Decoded<typeof JournalSuperblock>): LogArea {
  const { first, maxlen, featureIncompat, numFcBlks } = superblock;
  if ((featureIncompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT) === 0) {
    return { first, last: maxlen, fcFirst: maxlen + 1, fcLast: maxlen };
  }
  const fcBlocks = numFcBlks === 0 ? JBD2_DEFAULT_FAST_COMMIT_BLOCKS : numFcBlks;
  const last = maxlen - fcBlocks >= JBD2_MIN_JOURNAL_BLOCKS ? maxlen - fcBlocks : maxlen;
  return { first, last, fcFirst: last + 1, fcLast: maxlen };
}
