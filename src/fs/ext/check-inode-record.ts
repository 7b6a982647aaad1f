/**
 * An inode as a check sees it: its numbers, none of them believed, and whether its checksum holds.
 *
 * @module
 */
import {
  EXT4_EXTENTS_FL,
  EXT4_HUGE_FILE_FL,
  EXT4_INLINE_DATA_FL,
  Ext4Inode as DI,
  Ext4InodeExtra as DX,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_GOOD_OLD_INODE_SIZE,
} from "../../format/ext-superblock.ts";
import { crc32c, crc32cLe32 } from "../../lib/crc32c.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../../vfs/modes.ts";
import type { CheckContext } from "./check-context.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";

const EXTRA = EXT4_GOOD_OLD_INODE_SIZE;
const HIGH = EXTRA + DX.checksumHi.offset;
const TWO_32 = 2 ** 32;

/** One inode, copied off its table. */
export class CheckedInode {
  readonly ino: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly mode: number;
  readonly links: number;
  readonly flags: number;
  readonly generation: number;
  readonly dtime: number;
  /** Where the checksums of this inode's blocks start. */
  readonly seed: number;
  readonly #context: CheckContext;

  constructor(context: CheckContext, ino: number, bytes: Uint8Array<ArrayBuffer>) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#context = context;
    this.ino = ino;
    this.bytes = bytes;
    this.view = view;
    this.mode = DI.mode.get(view, 0);
    this.links = DI.linksCount.get(view, 0);
    this.flags = DI.flags.get(view, 0);
    this.generation = DI.generation.get(view, 0);
    this.dtime = DI.dtime.get(view, 0);
    const { checksumSeed } = context.superblock;
    this.seed = crc32cLe32(crc32cLe32(checksumSeed, ino), this.generation);
  }

  get where(): string {
    return `inode ${this.ino}`;
  }

  get type(): number {
    return this.mode & S_IFMT;
  }

  get isDirectory(): boolean {
    return this.type === S_IFDIR;
  }

  get isRegular(): boolean {
    return this.type === S_IFREG;
  }

  get isSymlink(): boolean {
    return this.type === S_IFLNK;
  }

  /** A device, a pipe or a socket: nothing that has blocks. */
  get isSpecial(): boolean {
    const { type } = this;
    return type === S_IFCHR || type === S_IFBLK || type === S_IFIFO || type === S_IFSOCK;
  }

  has(bits: number): boolean {
    return (this.flags & bits) !== 0;
  }

  get size(): number {
    return DI.sizeLo.get(this.view, 0) + this.sizeHigh * TWO_32;
  }

  /** 32-bit owner and group. */
  get uid(): number {
    return DI.uid.get(this.view, 0) + DI.uidHigh.get(this.view, 0) * 0x1_0000;
  }

  get gid(): number {
    return DI.gid.get(this.view, 0) + DI.gidHigh.get(this.view, 0) * 0x1_0000;
  }

  /** The project, 0 where the inode has no room for one. */
  get projectId(): number {
    const { offset, size } = DX.projid;
    return this.extraSize >= offset + size ? DX.projid.get(this.view, EXTRA) : 0;
  }

  get sizeHigh(): number {
    return DI.sizeHigh.get(this.view, 0);
  }

  /** A word of the block map. */
  blockWord(index: number): number {
    return this.view.getUint32(DI.block.offset + index * 4, true);
  }

  /** The 60 bytes of the block map, target or inline data. */
  blockBytes(): Uint8Array {
    return this.bytes.subarray(DI.block.offset, DI.block.offset + I_BLOCK_SIZE);
  }

  /** What `i_blocks` says, in the units that it counts. */
  get blockCount(): number {
    const low = DI.blocksLo.get(this.view, 0);
    if (!this.#context.roCompat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) return low;
    return low + DI.blocksHigh.get(this.view, 0) * TWO_32;
  }

  /** Whether `i_blocks` counts blocks of the filesystem instead of sectors. */
  get isHuge(): boolean {
    return this.#context.roCompat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE) && this.has(EXT4_HUGE_FILE_FL);
  }

  /** The attribute block; 0 for none. */
  get fileAcl(): number {
    const low = DI.fileAclLo.get(this.view, 0);
    if (!this.#context.incompat(EXT4_FEATURE_INCOMPAT_64BIT)) return low;
    return low + DI.fileAclHigh.get(this.view, 0) * TWO_32;
  }

  /** What `extra_isize` says, 0 where the inode has no room for it. */
  get extraSize(): number {
    return this.bytes.length > EXTRA ? DX.extraIsize.get(this.view, EXTRA) : 0;
  }

  get hasInlineData(): boolean {
    return (
      this.has(EXT4_INLINE_DATA_FL) && this.#context.incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA)
    );
  }

  get hasExtents(): boolean {
    return this.has(EXT4_EXTENTS_FL) && this.#context.incompat(EXT4_FEATURE_INCOMPAT_EXTENTS);
  }

  /** A symbolic link whose target lies in the block map. */
  get isFastSymlink(): boolean {
    return this.isSymlink && this.size > 0 && this.size < I_BLOCK_SIZE;
  }

  /** Whether the block map holds block numbers, and no device number, target or inline data. */
  get hasBlocks(): boolean {
    if (this.has(EXT4_INLINE_DATA_FL)) return false;
    if (!this.isSymlink) return this.isRegular || this.isDirectory;
    if (this.fileAcl === 0) return DI.blocksLo.get(this.view, 0) !== 0;
    if (this.size >= I_BLOCK_SIZE) return true;
    return this.size > 4 && this.blockWord(1) === 0;
  }

  /** Whether the checksum holds; true without metadata_csum and for an inode of zeros. */
  get checksumHolds(): boolean {
    if (!this.#context.superblock.metadataCsum) return true;
    const { stored, computed } = this.checksums();
    return stored === computed || (stored === 0 && this.bytes.every((byte) => byte === 0));
  }

  /** The stored checksum and the one of the bytes. */
  checksums(): { stored: number; computed: number } {
    const { bytes, view } = this;
    const wide = bytes.length > EXTRA && this.extraSize >= DX.checksumHi.offset + 2;
    const low = DI.checksumLo.get(view, 0);
    const stored = wide ? low + DX.checksumHi.get(view, EXTRA) * 0x1_0000 : low;
    const copy = Uint8Array.from(bytes);
    copy.fill(0, DI.checksumLo.offset, DI.checksumLo.offset + 2);
    if (wide) copy.fill(0, HIGH, HIGH + 2);
    const crc = crc32c(this.seed, copy);
    return { stored, computed: wide ? crc : crc & 0xffff };
  }
}
