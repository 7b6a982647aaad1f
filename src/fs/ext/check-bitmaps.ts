/**
 * Check of the bitmaps against what was found in use, and of the counts of what is free.
 *
 * @module
 */
import { EXT4_BG_BLOCK_UNINIT, EXT4_BG_INODE_UNINIT } from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { type CheckContext, hex } from "./check-context.ts";
import type { StoredGroup } from "./groups.ts";
import { readDescriptor } from "./check-groups.ts";
import { groupLength, groupStart } from "./geometry.ts";
import { initialBlockBitmap } from "./initial-bitmap.ts";

/** Totals over all groups. */
interface Totals {
  freeClusters: number;
  freeInodes: number;
}

/** Compares each group's bitmaps and counts, then the superblock's totals. @throws EIO */
export function* checkBitmaps(context: CheckContext): Generator<Finding> {
  const totals = { freeClusters: 0, freeInodes: 0 };
  for (let group = 0; group < context.superblock.groups; group++) {
    if (group % 64 === 0) {
      const total = context.superblock.groups;
      context.trace.event("ext.check", { pass: "bitmaps", done: group, total });
    }
    const descriptor = readDescriptor(context, group);
    new BlockBitmap(context, descriptor).check(totals);
    new InodeBitmap(context, descriptor).check(totals);
    yield* context.findings.take();
  }
  checkTotals(context, totals);
  yield* context.findings.take();
}

/** Linux brings the totals up to date only when it unmounts: after a crash they are old. */
function checkTotals(context: CheckContext, totals: Totals): void {
  if (context.dirty) return;
  const { freeBlocks, freeInodes, clusterRatio } = context.superblock;
  const counted = totals.freeClusters * clusterRatio;
  const report = (field: string, found: number, expected: number): void => {
    if (found === expected) return;
    context.error("ext.super.free", "superblock", `${field} is ${found}, expected ${expected}`);
  };
  report("free_blocks_count", freeBlocks, counted);
  report("free_inodes_count", freeInodes, totals.freeInodes);
}

/** A bitmap of one group. */
abstract class GroupBitmap {
  protected readonly context: CheckContext;
  protected readonly descriptor: StoredGroup;
  /** Bits that stand for something, and the bits that the checksum covers. */
  protected abstract readonly bits: number;
  protected abstract readonly covered: number;
  protected abstract readonly what: string;
  protected abstract readonly place: number;
  protected abstract readonly checksum: number;
  protected abstract readonly uninit: boolean;

  constructor(context: CheckContext, descriptor: StoredGroup) {
    this.context = context;
    this.descriptor = descriptor;
  }

  /** What bit 0 stands for. */
  protected abstract numberOf(bit: number): number;
  /** The bitmap of a group that has none on the media. */
  protected abstract initial(): Uint8Array;
  /** What was found in use. */
  protected abstract found(): Uint8Array | undefined;

  /** Compares; answers how many bits of the stored bitmap are clear. */
  protected compare(): number {
    const stored = this.#stored();
    if (stored === undefined) return 0;
    const found = this.found() ?? new Uint8Array(Math.ceil(this.bits / 8));
    this.#compareBits(stored, found);
    if (!this.uninit) {
      this.#checkPadding(stored);
      this.#checkChecksum(stored);
    }
    return this.bits - countBits(stored, this.bits);
  }

  protected get where(): string {
    return `group ${this.descriptor.group} ${this.what} bitmap`;
  }

  /** A bitmap is counted as it is stored, even where it is wrong. */
  #stored(): Uint8Array | undefined {
    if (this.uninit) return this.initial();
    // A place outside was reported with the descriptor.
    if (!this.context.isInside(this.place)) return undefined;
    return new Uint8Array(this.context.read(this.place, `${this.what} bitmap`).buffer);
  }

  #compareBits(stored: Uint8Array, found: Uint8Array): void {
    let [first, count, missing, excess] = [-1, 0, 0, 0];
    for (let byte = 0; byte * 8 < this.bits; byte++) {
      const differs = (stored[byte] as number) ^ (found[byte] as number);
      if (differs === 0) continue;
      for (let bit = byte * 8; bit < Math.min(byte * 8 + 8, this.bits); bit++) {
        if ((differs & (1 << (bit & 7))) === 0) continue;
        if (first < 0) first = bit;
        count++;
        if (((found[byte] as number) & (1 << (bit & 7))) === 0) excess++;
        else missing++;
      }
    }
    if (count === 0) return;
    const flagged = this.uninit ? " (flagged uninitialised)" : "";
    const text =
      `${missing} in use are marked free and ${excess} unused are marked in use${flagged}, ` +
      `the first is ${this.numberOf(first)}`;
    this.context.error(`ext.bitmap.${this.what}`, this.where, text);
  }

  /** Bits behind the last one are set. */
  #checkPadding(stored: Uint8Array): void {
    const end = stored.length * 8;
    for (let bit = this.bits; bit < end;) {
      const byte = stored[bit >> 3] as number;
      if ((bit & 7) === 0 && byte === 0xff) {
        bit += 8;
        continue;
      }
      if ((byte & (1 << (bit & 7))) === 0) {
        const text = `bit ${bit} behind the group's end is clear, expected set`;
        this.context.error(`ext.bitmap.${this.what}-padding`, this.where, text);
        return;
      }
      bit++;
    }
  }

  #checkChecksum(stored: Uint8Array): void {
    const { metadataCsum, checksumSeed, descSize } = this.context.superblock;
    if (!metadataCsum) return;
    const crc = crc32c(checksumSeed, stored.subarray(0, this.covered / 8));
    const computed = descSize >= 64 ? crc : crc & 0xffff;
    if (this.checksum === computed) return;
    const text = `checksum is ${hex(this.checksum)}, expected ${hex(computed)}`;
    this.context.error(`ext.bitmap.${this.what}-checksum`, this.where, text);
  }

  /** A count in the descriptor against what was counted. */
  protected checkCount(field: string, found: number, expected: number): void {
    if (found === expected) return;
    const where = `group ${this.descriptor.group} descriptor`;
    this.context.error("ext.group.free", where, `${field} is ${found}, expected ${expected}`);
  }
}

function countBits(bytes: Uint8Array, bits: number): number {
  let count = 0;
  for (let byte = 0; byte * 8 < bits; byte++) {
    const left = bits - byte * 8;
    const value = (bytes[byte] as number) & (left >= 8 ? 0xff : (1 << left) - 1);
    count += ones[value] as number;
  }
  return count;
}

const ones = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let value = byte; value !== 0; value &= value - 1) count++;
  return count;
});

class BlockBitmap extends GroupBitmap {
  protected readonly what = "block";
  protected readonly bits: number;
  protected readonly covered: number;
  protected readonly place: number;
  protected readonly checksum: number;
  protected readonly uninit: boolean;
  readonly #start: number;

  constructor(context: CheckContext, descriptor: StoredGroup) {
    super(context, descriptor);
    const { superblock } = context;
    this.#start = groupStart(superblock, descriptor.group);
    this.bits = Math.ceil(groupLength(superblock, descriptor.group) / superblock.clusterRatio);
    this.covered = superblock.clustersPerGroup;
    this.place = descriptor.blockBitmap;
    this.checksum = descriptor.blockBitmapCsum;
    this.uninit = context.descriptorsChecked && (descriptor.flags & EXT4_BG_BLOCK_UNINIT) !== 0;
  }

  check(totals: Totals): void {
    const free = this.compare();
    this.checkCount("free_blocks_count", this.descriptor.freeClusters, free);
    totals.freeClusters += free;
  }

  protected numberOf(bit: number): number {
    return this.#start + bit * this.context.superblock.clusterRatio;
  }

  protected found(): Uint8Array | undefined {
    return this.context.used.chunkBits(this.descriptor.group);
  }

  protected initial(): Uint8Array {
    return initialBlockBitmap(this.context.superblock, this.descriptor);
  }
}

class InodeBitmap extends GroupBitmap {
  protected readonly what = "inode";
  protected readonly bits: number;
  protected readonly covered: number;
  protected readonly place: number;
  protected readonly checksum: number;
  protected readonly uninit: boolean;

  constructor(context: CheckContext, descriptor: StoredGroup) {
    super(context, descriptor);
    this.bits = context.superblock.inodesPerGroup;
    this.covered = context.superblock.inodesPerGroup;
    this.place = descriptor.inodeBitmap;
    this.checksum = descriptor.inodeBitmapCsum;
    this.uninit = context.descriptorsChecked && (descriptor.flags & EXT4_BG_INODE_UNINIT) !== 0;
  }

  check(totals: Totals): void {
    const free = this.compare();
    this.checkCount("free_inodes_count", this.descriptor.freeInodes, free);
    totals.freeInodes += free;
    const directories = this.context.inodesDirectory.chunkBits(this.descriptor.group);
    const used = directories === undefined ? 0 : countBits(directories, this.bits);
    this.checkCount("used_dirs_count", this.descriptor.usedDirs, used);
  }

  protected numberOf(bit: number): number {
    return this.descriptor.group * this.bits + bit + 1;
  }

  protected found(): Uint8Array | undefined {
    return this.context.inodesUsed.chunkBits(this.descriptor.group);
  }

  protected initial(): Uint8Array {
    return new Uint8Array(this.context.superblock.blockSize);
  }
}
