/**
 * Check of the quota files: what each user, group and project uses, against what was counted.
 *
 * @module
 */
import {
  QT_BLKSIZE,
  QT_TREEDEPTH,
  QT_TREEOFF,
  QtDiskDqdbheader,
  V2DiskDqheader,
  V2_INITQMAGICS,
  V2_VERSION_R1,
  V2r1DiskDqblk as DQ,
} from "../../format/quota.ts";
import { sizeof } from "../../lib/struct.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { type CheckContext, hex } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { readInode } from "./check-inode-table.ts";
import { type MapVisitor, walkMap } from "./check-map.ts";
import type { Usage } from "./check-quota-usage.ts";
import { NumberTable, SparseBits } from "./check-tables.ts";

const NAMES = ["user", "group", "project"] as const;
const LARGEST_FILE = 2 ** 31;
const REFERENCES = QT_BLKSIZE / 4;
const ENTRIES = Math.floor((QT_BLKSIZE - sizeof(QtDiskDqdbheader)) / sizeof(DQ));

/** Compares every quota file with what was counted. @throws EIO */
export function* checkQuota(context: CheckContext): Generator<Finding> {
  for (const [kind, name] of NAMES.entries()) {
    const inum = context.quota.inumOf(kind);
    if (inum === 0 || !context.isInode(inum)) continue;
    const inode = readInode(context, inum);
    if (inode === undefined || !inode.isRegular || inode.links === 0) {
      const text = "the quota file is no regular file";
      context.error("ext.quota.file", `${name} quota (inode ${inum})`, text);
    } else new QuotaFile(context, inode, kind).check();
    yield* context.findings.take();
  }
}

class QuotaFile {
  readonly #context: CheckContext;
  readonly #kind: number;
  readonly #inode: CheckedInode;
  readonly #where: string;
  readonly #blocks: QuotaBlocks;
  /** Blocks of the tree that were read. */
  readonly #read = new SparseBits(8192);
  /** Those of them that hold references. */
  readonly #nodes = new SparseBits(8192);
  readonly #seen = new NumberTable();
  #total = 0;

  constructor(context: CheckContext, inode: CheckedInode, kind: number) {
    this.#context = context;
    this.#kind = kind;
    this.#inode = inode;
    this.#where = `${NAMES[kind]} quota (inode ${inode.ino})`;
    this.#blocks = new QuotaBlocks(context, inode);
  }

  check(): void {
    const header = this.#blocks.get(0);
    const magic = header === undefined ? 0 : V2DiskDqheader.magic.get(header, 0);
    const version = header === undefined ? 0 : V2DiskDqheader.version.get(header, 0);
    if (header === undefined || magic !== V2_INITQMAGICS[this.#kind] || version !== V2_VERSION_R1) {
      const expected = hex(V2_INITQMAGICS[this.#kind] as number);
      this.#report("file", `magic is ${hex(magic)} and version ${version}, expected ${expected}`);
      return;
    }
    this.#total = V2DiskDqheader.blocks.get(header, 0);
    if (!this.#isPlausible(header)) return;
    this.#tree(QT_TREEOFF, 0);
    this.#checkMissing();
  }

  /** What the header says of the file's blocks, against its size. */
  #isPlausible(header: DataView): boolean {
    const { size } = this.#inode;
    const most = Math.ceil(size / QT_BLKSIZE);
    const free = [V2DiskDqheader.freeBlk, V2DiskDqheader.freeEntry].map((f) => f.get(header, 0));
    const listed = free.every((block) => block < this.#total);
    if (size <= LARGEST_FILE && this.#total <= most && listed) return true;
    const text = `it says ${this.#total} blocks and that ${free.join(" and ")} are free`;
    this.#report("file", `${text}, in ${size} bytes`);
    return false;
  }

  #report(what: string, text: string): void {
    this.#context.error(`ext.quota.${what}`, this.#where, text);
  }

  #tree(block: number, depth: number): void {
    if (this.#read.has(block)) {
      this.#report("file", `more than one reference leads to block ${block} of its tree`);
      return;
    }
    const view = this.#next(block);
    if (view === undefined) return;
    this.#nodes.add(block);
    for (let i = 0; i < REFERENCES; i++) {
      const below = view.getUint32(i * 4, true);
      if (below === 0) continue;
      if (depth + 1 < QT_TREEDEPTH) this.#tree(below, depth + 1);
      else this.#entries(below);
    }
  }

  /** A block of the file, read once at most. */
  #next(block: number): DataView | undefined {
    if (block >= this.#total) {
      this.#report("file", `it refers to block ${block} of ${this.#total}`);
      return undefined;
    }
    if (!this.#read.add(block)) return undefined;
    const view = this.#blocks.get(block);
    if (view === undefined) this.#report("file", `block ${block} is a hole`);
    return view;
  }

  #entries(block: number): void {
    if (this.#nodes.has(block)) {
      this.#report("file", `block ${block} of its tree is referred to as one of entries`);
      return;
    }
    // Several references lead to one block of entries.
    if (this.#read.has(block)) return;
    const view = this.#next(block);
    if (view === undefined) return;
    for (let i = 0; i < ENTRIES; i++) {
      const at = sizeof(QtDiskDqdbheader) + i * sizeof(DQ);
      if (!isUnused(view, at)) this.#entry(view, at);
    }
  }

  #entry(view: DataView, at: number): void {
    const usage = this.#context.quota.kinds[this.#kind] as Usage;
    const id = DQ.id.get(view, at);
    this.#seen.set(id + 1, 1);
    const [space, inodes] = [DQ.curspace.get(view, at), DQ.curinodes.get(view, at)];
    const countedSpace = usage.space.get(id + 1) ?? 0;
    const countedInodes = usage.inodes.get(id + 1) ?? 0;
    if (space === countedSpace && inodes === countedInodes) return;
    const text = `id ${id} uses ${space} bytes and ${inodes} inodes`;
    this.#report("usage", `${text}, expected ${countedSpace} and ${countedInodes}`);
  }

  #checkMissing(): void {
    const usage = this.#context.quota.kinds[this.#kind] as Usage;
    for (const [key] of usage.inodes.entries()) {
      if (this.#seen.get(key) === undefined) this.#report("usage", `id ${key - 1} is missing`);
    }
  }
}

function isUnused(view: DataView, at: number): boolean {
  for (let i = 0; i < sizeof(DQ); i += 4) if (view.getUint32(at + i, true) !== 0) return false;
  return true;
}

/** The 1 KiB blocks of a quota file. */
class QuotaBlocks {
  readonly #context: CheckContext;
  readonly #runs: { logical: number; block: number; count: number }[] = [];

  constructor(context: CheckContext, inode: CheckedInode) {
    this.#context = context;
    const walked = new SparseBits(context.superblock.blocksPerGroup);
    const visitor: MapVisitor = {
      node: (block) => walked.add(block),
      data: (logical, block, count, unwritten) => {
        if (!unwritten) this.#runs.push({ logical, block, count });
      },
      // The walk over all inodes has reported these.
      problem: () => {},
    };
    if (inode.hasBlocks) walkMap(context, inode, visitor);
  }

  get(n: number): DataView | undefined {
    const perBlock = this.#context.superblock.blockSize / QT_BLKSIZE;
    const logical = Math.floor(n / perBlock);
    const run = this.#runs.find(
      (one) => logical >= one.logical && logical < one.logical + one.count,
    );
    if (run === undefined) return undefined;
    const view = this.#context.read(run.block + logical - run.logical, "quota file");
    return new DataView(view.buffer, (n % perBlock) * QT_BLKSIZE, QT_BLKSIZE);
  }
}
