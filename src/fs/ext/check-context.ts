/**
 * What all passes of a check share: the filesystem as far as it can be believed, what was found in
 * use so far, and the findings that nobody has taken yet.
 *
 * @module
 */
import type { Buffers } from "../../block/buffers.ts";
import { type Tracer, silent } from "../../lib/environment.ts";
import { EXT4_EA_INODE_FL, EXT4_ROOT_INO } from "../../format/ext-inode.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { QuotaUsage } from "./check-quota-usage.ts";
import { DirectoryTable, NumberTable, SparseBits, SparseCounts } from "./check-tables.ts";
import { hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import type { Superblock } from "./superblock.ts";

/** Findings about one structure before the rest are only counted. */
const MOST_FINDINGS = 16;
/** The least of them first. */
const GRAVITY: readonly Finding["severity"][] = ["note", "warning", "error"];

/** Findings, collected while a structure is checked and taken after it. */
export class Findings {
  #waiting: Finding[] = [];
  #more = 0;
  /** The gravest of those that are only counted. */
  #gravest: Finding["severity"] = "note";

  /** Something that e2fsck would repair. */
  error(code: string, where: string, text: string): void {
    this.#add({ code, severity: "error", where, text });
  }

  /** Something odd that is no damage. */
  note(code: string, where: string, text: string): void {
    this.#add({ code, severity: "note", where, text });
  }

  warning(code: string, where: string, text: string): void {
    this.#add({ code, severity: "warning", where, text });
  }

  #add(finding: Finding): void {
    if (this.#waiting.length < MOST_FINDINGS) {
      this.#waiting.push(finding);
      return;
    }
    this.#more++;
    const { severity } = finding;
    if (GRAVITY.indexOf(severity) > GRAVITY.indexOf(this.#gravest)) this.#gravest = severity;
  }

  /** Hands over what was found since the last call. */
  *take(): Generator<Finding> {
    if (this.#waiting.length === 0) return;
    const [waiting, more, severity] = [this.#waiting, this.#more, this.#gravest];
    this.#waiting = [];
    this.#more = 0;
    this.#gravest = "note";
    yield* waiting;
    if (more === 0) return;
    const { where } = waiting.at(-1) as Finding;
    yield { code: "ext.more", severity, where, text: `${more} more findings here` };
  }
}

/** What a check is given to work with. */
export interface GivenToCheck {
  readonly raw: DataView;
  readonly dirty: boolean;
  readonly fastCommits: boolean;
  readonly findings: Findings;
  /** Seconds since 1970. */
  readonly now: number;
  /** Hears how far the long passes are: `ext.check` with `pass`, `done` and `total`. */
  readonly trace?: Tracer;
}

/** The state of one check. */
export class CheckContext {
  readonly superblock: Superblock;
  readonly buffers: Buffers;
  readonly findings: Findings;
  readonly trace: Tracer;
  /** The superblock's 1024 bytes as stored (or replayed). */
  readonly raw: DataView;
  /** The journal was replayed, or is to be: the superblock's totals may be stale. */
  readonly dirty: boolean;
  /** Seconds since 1970, by whoever checks. */
  readonly now: number;
  /** Fast commits were replayed, which leave the links of directories as they were. */
  readonly fastCommits: boolean;

  /** Clusters in use, counted from the first data block; one chunk for each group. */
  readonly used: SparseBits;
  /** Clusters that more than one structure claims. */
  readonly shared: SparseBits;
  /** Blocks of superblocks, descriptors, bitmaps and inode tables. */
  readonly metadata: SparseBits;

  /** Inode numbers less one, one chunk for each group. */
  readonly inodesUsed: SparseBits;
  readonly inodesDirectory: SparseBits;
  readonly inodesRegular: SparseBits;
  readonly inodesSymlink: SparseBits;
  /** Inodes that are to be deleted or truncated at the next mount. */
  readonly orphans: SparseBits;
  /** Groups whose inode table cannot be read. */
  readonly tablesLost: SparseBits;

  readonly directories = new DirectoryTable();
  /** Directory entries that lead to each inode number less one. */
  readonly links: SparseCounts;
  /** Inodes that refer to each attribute block. */
  readonly attributeBlocks = new NumberTable();
  /** Blocks that an attribute block's values in inodes of their own cost each of its users. */
  readonly attributeValues = new NumberTable();
  /** How many such inodes there are for each attribute block. */
  readonly attributeValueInodes = new NumberTable();
  /** References to each inode that holds an attribute's value. */
  readonly valueInodes = new NumberTable();
  /** What users, groups and projects use. */
  readonly quota: QuotaUsage;
  /** How each encrypted inode is encrypted. */
  readonly policies = new Map<number, string>();
  largeFiles = 0;
  largeDirectories = 0;

  constructor(superblock: Superblock, buffers: Buffers, given: GivenToCheck) {
    this.superblock = superblock;
    this.buffers = buffers;
    this.raw = given.raw;
    this.dirty = given.dirty;
    this.now = given.now;
    this.fastCommits = given.fastCommits;
    this.findings = given.findings;
    this.trace = given.trace ?? silent;
    const { clustersPerGroup, blocksPerGroup, inodesPerGroup } = superblock;
    this.used = new SparseBits(clustersPerGroup);
    this.shared = new SparseBits(clustersPerGroup);
    this.metadata = new SparseBits(blocksPerGroup);
    this.inodesUsed = new SparseBits(inodesPerGroup);
    this.inodesDirectory = new SparseBits(inodesPerGroup);
    this.inodesRegular = new SparseBits(inodesPerGroup);
    this.inodesSymlink = new SparseBits(inodesPerGroup);
    this.orphans = new SparseBits(inodesPerGroup);
    this.tablesLost = new SparseBits(4096);
    this.quota = new QuotaUsage(superblock);
    this.links = new SparseCounts(inodesPerGroup);
  }

  compat(bits: number): boolean {
    return hasCompat(this.superblock, bits);
  }

  incompat(bits: number): boolean {
    return hasIncompat(this.superblock, bits);
  }

  roCompat(bits: number): boolean {
    return hasRoCompat(this.superblock, bits);
  }

  /** Descriptors and bitmaps carry checksums, and their UNINIT flags mean something. */
  get descriptorsChecked(): boolean {
    return this.superblock.metadataCsum || this.superblock.gdtCsum;
  }

  error(code: string, where: string, text: string): void {
    this.findings.error(code, where, text);
  }

  /**
   * A field that Linux trips over when it opens the file: an error where an entry of a directory
   * leads to it; odd in an inode that only the filesystem itself uses.
   */
  suspect(
    inode: { readonly ino: number; readonly flags: number },
    code: string,
    text: string,
  ): void {
    const where = `inode ${inode.ino}`;
    if (this.#isHidden(inode)) this.findings.warning(code, where, text);
    else this.findings.error(code, where, text);
  }

  #isHidden({ ino, flags }: { readonly ino: number; readonly flags: number }): boolean {
    const { firstIno, usrQuotaInum, grpQuotaInum, prjQuotaInum, orphanFileInum } = this.superblock;
    if (ino === EXT4_ROOT_INO) return false;
    const own = [usrQuotaInum, grpQuotaInum, prjQuotaInum, orphanFileInum].includes(ino);
    return own || ino < firstIno || (flags & EXT4_EA_INODE_FL) !== 0;
  }

  /** Whether files may own `count` blocks from `block`. */
  isInside(block: number, count = 1): boolean {
    const { firstDataBlock, blocks } = this.superblock;
    return block !== 0 && block >= firstDataBlock && count > 0 && block + count <= blocks;
  }

  /** A private copy of a block. @throws EIO, EUCLEAN outside the device */
  read(block: number, what: string): DataView<ArrayBuffer> {
    const bytes = new Uint8Array(this.buffers.blockSize);
    this.buffers.read(block, bytes, what);
    return new DataView(bytes.buffer);
  }

  /** The cluster of a block, counted from the first data block. */
  clusterOf(block: number): number {
    const { firstDataBlock, clusterRatio } = this.superblock;
    return Math.floor((block - firstDataBlock) / clusterRatio);
  }

  /** Claims the clusters of `count` blocks from `block`; true when all of them were free. */
  claim(block: number, count: number): boolean {
    const first = this.clusterOf(block);
    const last = this.clusterOf(block + count - 1);
    let alone = true;
    this.used.addRange(first, last - first + 1, (cluster) => {
      this.shared.add(cluster);
      alone = false;
    });
    return alone;
  }

  /** Whether the number is one that an inode can have. */
  isInode(ino: number): boolean {
    return ino >= 1 && ino <= this.superblock.inodes;
  }
}

/** Hexadecimal, as messages show checksums and flags. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
