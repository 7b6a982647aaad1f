/**
 * Check of extended attributes, in the inode and in blocks of their own: names and values inside,
 * nothing overlapping, hashes right, reference counts as many as references.
 *
 * @module
 */
import { EXT4_EA_INODE_FL, Ext4Inode as DI } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_GOOD_OLD_INODE_SIZE,
} from "../../format/ext-superblock.ts";
import {
  EXT4_XATTR_MAGIC,
  EXT4_XATTR_SIZE_MAX,
  Ext4XattrEntry as XE,
  Ext4XattrHeader as XH,
} from "../../format/ext-xattr.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { type CheckContext, hex } from "./check-context.ts";
import { type CheckedInode } from "./check-inode-record.ts";
import { readInode } from "./check-inode-table.ts";

const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;
const ENTRY = sizeof(XE);

/** What the attributes of an inode cost it, beside their own block: blocks and inodes of values. */
export interface ValueCost {
  readonly blocks: number;
  readonly inodes: number;
}

/** No value lies in an inode of its own. */
export const NO_VALUES: ValueCost = { blocks: 0, inodes: 0 };

/** A run of entries: byte offsets are from `base`, values end at `limit`. */
interface Area {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** First entry. */
  readonly first: number;
  /** What value offsets count from. */
  readonly base: number;
  readonly limit: number;
  readonly inInode: boolean;
  readonly where: string;
}

/** Checks the attributes in the inode itself. @throws EIO */
export function checkInodeAttributes(context: CheckContext, inode: CheckedInode): ValueCost {
  const { bytes, view, extraSize } = inode;
  const start = EXTRA + extraSize;
  if (bytes.length <= EXTRA || extraSize >= bytes.length - EXTRA - 4) return NO_VALUES;
  if (view.getUint32(start, true) !== EXT4_XATTR_MAGIC) return NO_VALUES;
  const first = start + 4;
  const where = inode.where;
  const area = { bytes, view, first, base: first, limit: bytes.length, inInode: true, where };
  return new AreaCheck(context, inode, area, start).run();
}

/** Checks the attribute block of an inode, once for all that share it. @throws EIO */
export function checkAttributeBlock(context: CheckContext, inode: CheckedInode): ValueCost {
  const block = inode.fileAcl;
  if (block === 0) return NO_VALUES;
  const ratio = context.superblock.clusterRatio;
  if (!context.compat(EXT4_FEATURE_COMPAT_EXT_ATTR) || !context.isInside(block)) {
    const rule = context.isInside(block)
      ? "without the ext_attr feature"
      : "outside the filesystem";
    context.suspect(inode, "ext.xattr.block", `attribute block is ${block}, ${rule}`);
    return NO_VALUES;
  }
  const seen = context.attributeBlocks.get(block);
  if (seen !== undefined) {
    context.attributeBlocks.set(block, seen + 1);
    const inodes = context.attributeValueInodes.get(block) ?? 0;
    return { blocks: ratio + (context.attributeValues.get(block) ?? 0), inodes };
  }
  const where = `attribute block ${block} of inode ${inode.ino}`;
  const view = context.read(block, "attribute block");
  const magic = XH.magic.get(view, 0);
  if (magic !== EXT4_XATTR_MAGIC) {
    context.error("ext.xattr.block", where, `magic is ${hex(magic)}, expected 0xea020000`);
  }
  const count = XH.blocks.get(view, 0);
  if (count !== 1) context.error("ext.xattr.block", where, `blocks is ${count}, expected 1`);
  checkBlockChecksum(context, block, view, where);
  context.attributeBlocks.set(block, 1);
  context.claim(block, 1);
  const bytes = new Uint8Array(view.buffer);
  const area = {
    bytes,
    view,
    first: sizeof(XH),
    base: 0,
    limit: bytes.length,
    inInode: false,
    where,
  };
  const { blocks, inodes } = new AreaCheck(context, inode, area, 0).run();
  if (blocks > 0) context.attributeValues.set(block, blocks);
  if (inodes > 0) context.attributeValueInodes.set(block, inodes);
  return { blocks: ratio + blocks, inodes };
}

function checkBlockChecksum(
  context: CheckContext,
  block: number,
  view: DataView<ArrayBuffer>,
  where: string,
): void {
  const { metadataCsum, checksumSeed } = context.superblock;
  if (!metadataCsum) return;
  const stored = XH.checksum.get(view, 0);
  const number = new DataView(new ArrayBuffer(8));
  number.setUint32(0, block >>> 0, true);
  number.setUint32(4, Math.floor(block / 2 ** 32), true);
  const bytes = new Uint8Array(view.buffer).slice();
  bytes.fill(0, XH.checksum.offset, XH.checksum.offset + 4);
  const computed = crc32c(crc32c(checksumSeed, new Uint8Array(number.buffer)), bytes);
  if (stored === computed) return;
  const text = `checksum is ${hex(stored)}, expected ${hex(computed)}`;
  context.error("ext.xattr.checksum", where, text);
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** Bytes that are taken, so that no two things are in one place. */
class Taken {
  readonly #taken: Uint8Array;

  constructor(size: number) {
    this.#taken = new Uint8Array(size);
  }

  /** Takes a run; false when it leaves the area or part of it was taken. */
  take(start: number, length: number): boolean {
    if (start < 0 || start + length > this.#taken.length) return false;
    for (let i = start; i < start + length; i++) if (this.#taken[i] !== 0) return false;
    this.#taken.fill(1, start, start + length);
    return true;
  }
}

class AreaCheck {
  readonly #context: CheckContext;
  readonly #inode: CheckedInode;
  readonly #area: Area;
  readonly #taken: Taken;
  #blocks = 0;
  #inodes = 0;

  /** The area's own header starts at `header`. */
  constructor(context: CheckContext, inode: CheckedInode, area: Area, header: number) {
    this.#context = context;
    this.#inode = inode;
    this.#area = area;
    this.#taken = new Taken(area.limit);
    this.#taken.take(header, area.first - header);
  }

  run(): ValueCost {
    const { view, first, limit } = this.#area;
    let at = first;
    while (at + 4 <= limit && view.getUint32(at, true) !== 0) {
      if (at + ENTRY > limit) {
        this.#report("attribute entry", `at byte ${at} leaves the area`);
        return this.#cost;
      }
      const length = ENTRY + padded(XE.nameLen.get(view, at));
      const wrong = this.#entry(at, length);
      if (wrong !== undefined) {
        this.#report(`attribute entry at byte ${at}`, wrong);
        return this.#cost;
      }
      at += length;
    }
    if (!this.#taken.take(at, 4)) this.#report("attribute list", "has no room for its end");
    return this.#cost;
  }

  get #cost(): ValueCost {
    return { blocks: this.#blocks, inodes: this.#inodes };
  }

  #report(what: string, text: string): void {
    this.#context.error("ext.xattr.entry", this.#area.where, `${what} ${text}`);
  }

  /** Checks one entry; answers what is wrong with it. */
  #entry(at: number, length: number): string | undefined {
    const { view, inInode } = this.#area;
    if (!this.#taken.take(at, length)) return "overlaps another or leaves the area";
    const index = XE.nameIndex.get(view, at);
    if (index === 0 && !inInode) return "has name index 0";
    if (XE.valueInum.get(view, at) !== 0) return this.#valueInode(at);
    const size = XE.valueSize.get(view, at);
    const offset = this.#area.base + XE.valueOffs.get(view, at);
    if (size > EXT4_XATTR_SIZE_MAX || offset + size > this.#area.limit) {
      return `has ${size} bytes of value at byte ${offset}, which leaves the area`;
    }
    if (size > 0 && !this.#taken.take(offset, padded(size))) {
      return `has its value at byte ${offset}, where something else is`;
    }
    return this.#hashProblem(at, offset, size);
  }

  #hashProblem(at: number, offset: number, size: number): string | undefined {
    const { bytes, view, inInode } = this.#area;
    const stored = XE.hash.get(view, at);
    if (stored === 0 && inInode) return undefined;
    const name = bytes.subarray(at + ENTRY, at + ENTRY + XE.nameLen.get(view, at));
    const words: number[] = [];
    for (let i = 0; i < padded(size); i += 4) words.push(view.getUint32(offset + i, true));
    return hashHolds(name, words, stored) ? undefined : `has hash ${hex(stored)}, which is wrong`;
  }

  /** A value in an inode of its own. */
  #valueInode(at: number): string | undefined {
    const { bytes, view } = this.#area;
    const ino = XE.valueInum.get(view, at);
    const context = this.#context;
    const { firstIno, clusterSize, clusterRatio } = context.superblock;
    const holder = ino >= firstIno && context.isInode(ino) ? readInode(context, ino) : undefined;
    if (holder === undefined) return `has its value in inode ${ino}, which cannot hold one`;
    const name = bytes.subarray(at + ENTRY, at + ENTRY + XE.nameLen.get(view, at));
    // The inode that holds a value keeps the value's hash in its access time.
    const hash = DI.atime.get(holder.view, 0);
    const stored = XE.hash.get(view, at);
    context.valueInodes.set(ino, (context.valueInodes.get(ino) ?? 0) + 1);
    if (!hashHolds(name, [hash], stored)) {
      const old = DI.mtime.get(holder.view, 0) === this.#inode.ino;
      if (!old || holder.generation !== this.#inode.generation) {
        return `has hash ${hex(stored)}, which does not match inode ${ino}`;
      }
    } else {
      const size = XE.valueSize.get(view, at);
      this.#blocks += Math.ceil(size / clusterSize) * clusterRatio;
    }
    this.#inodes++;
    if (!holder.has(EXT4_EA_INODE_FL)) return `has its value in inode ${ino} without that flag`;
    return undefined;
  }
}

/** Old writers took the bytes of a name as signed; both are accepted. */
function hashHolds(name: Uint8Array, words: readonly number[], stored: number): boolean {
  return [false, true].some((signed) => attributeHash(name, words, signed) === stored);
}

function attributeHash(name: Uint8Array, words: readonly number[], signed: boolean): number {
  let hash = 0;
  for (const byte of name) {
    hash = (hash << 5) ^ (hash >>> 27) ^ (signed ? (byte << 24) >> 24 : byte);
  }
  for (const word of words) hash = (hash << 16) ^ (hash >>> 16) ^ word;
  return hash >>> 0;
}

/** Checks how often each attribute block says it is used. @throws EIO */
export function* checkAttributeReferences(context: CheckContext): Generator<Finding> {
  for (const [block, references] of context.attributeBlocks.entries()) {
    const view = context.read(block, "attribute block");
    const stored = XH.refcount.get(view, 0);
    if (stored === references) continue;
    const text = `reference count is ${stored}, expected ${references}`;
    context.error("ext.xattr.refcount", `attribute block ${block}`, text);
    yield* context.findings.take();
  }
}
