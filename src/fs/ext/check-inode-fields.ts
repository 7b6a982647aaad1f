/**
 * Rules about single fields of an inode in use.
 *
 * @module
 */
import {
  EXT4_APPEND_FL,
  EXT4_CASEFOLD_FL,
  EXT4_ENCRYPT_FL,
  EXT4_EXTENTS_FL,
  EXT4_IMAGIC_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_N_BLOCKS,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4Inode as DI,
  Ext4InodeExtra as DX,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_IMAGIC_INODES,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_GOOD_OLD_INODE_SIZE,
  EXT4_OS_HURD,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { sizeof } from "../../lib/struct.ts";
import type { CheckContext } from "./check-context.ts";
import { extentHeaderProblem } from "./check-extents.ts";
import { inlineValue } from "./check-inline.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { I_BLOCK_SIZE } from "./inode-record.ts";

/** Flags against the features of the filesystem, and against each other. */
export function checkFlags(context: CheckContext, inode: CheckedInode): void {
  const report = (text: string): void => context.error("ext.inode.flags", inode.where, text);
  if (inode.has(EXT4_CASEFOLD_FL)) {
    if (!inode.isDirectory) report("casefold is set, but it is no directory");
    else if (!context.incompat(EXT4_FEATURE_INCOMPAT_CASEFOLD)) {
      report("casefold is set, but the filesystem lacks that feature");
    }
  }
  if (inode.has(EXT4_INLINE_DATA_FL)) checkInlineFlag(context, inode, report);
  const header = extentHeaderProblem(inode.view, DI.block.offset, I_BLOCK_SIZE) === undefined;
  const extents = context.incompat(EXT4_FEATURE_INCOMPAT_EXTENTS);
  if (inode.has(EXT4_EXTENTS_FL)) {
    if (!extents) report("it has extents, but the filesystem lacks that feature");
    return;
  }
  if (extents && header && (inode.isRegular || inode.isDirectory)) {
    report("it holds an extent tree, but the flag for extents is not set");
  }
}

function checkInlineFlag(
  context: CheckContext,
  inode: CheckedInode,
  report: (text: string) => void,
): void {
  if (inode.has(EXT4_EXTENTS_FL)) report("inline data and extents are both set");
  if (inode.ino < context.superblock.firstIno) return;
  if (!context.incompat(EXT4_FEATURE_INCOMPAT_INLINE_DATA)) {
    report("it has inline data, but the filesystem lacks that feature");
  } else if (inlineValue(inode) === undefined) {
    report("it has inline data, but the attribute system.data is missing");
  }
}

/** Fields that Linux keeps at zero, or that need a feature. */
export function checkFields(context: CheckContext, inode: CheckedInode): void {
  const { view } = inode;
  const report = (text: string): void => context.suspect(inode, "ext.inode.field", text);
  const faddr = DI.obsoFaddr.get(view, 0);
  if (faddr !== 0) report(`faddr is ${faddr}, expected 0`);
  const large = context.incompat(EXT4_FEATURE_INCOMPAT_LARGEDIR);
  if (inode.isDirectory && inode.sizeHigh !== 0 && !large) {
    report(`size_high of a directory is ${inode.sizeHigh}, expected 0 without large_dir`);
  }
  if (inode.has(EXT4_IMAGIC_FL) && !context.compat(EXT4_FEATURE_COMPAT_IMAGIC_INODES)) {
    report("the imagic flag is set, but the filesystem lacks that feature");
  }
  if (SB.creatorOs.get(context.raw, 0) === EXT4_OS_HURD) return;
  const aclHigh = DI.fileAclHigh.get(view, 0);
  if (aclHigh !== 0 && !context.incompat(EXT4_FEATURE_INCOMPAT_64BIT)) {
    report(`file_acl_high is ${aclHigh}, expected 0 without 64bit`);
  }
  const blocksHigh = DI.blocksHigh.get(view, 0);
  if (blocksHigh !== 0 && !context.roCompat(EXT4_FEATURE_RO_COMPAT_HUGE_FILE)) {
    report(`blocks_high is ${blocksHigh}, expected 0 without huge_file`);
  }
}

/** Whether the part behind the first 128 bytes can be believed. */
export function checkExtraSize(context: CheckContext, inode: CheckedInode): boolean {
  const { extraSize } = inode;
  const most = inode.bytes.length - EXT4_GOOD_OLD_INODE_SIZE;
  if (extraSize === 0) return most > 0;
  if (extraSize >= 4 && extraSize <= most && extraSize % 4 === 0) return true;
  const text = `extra_isize is ${extraSize}, expected 0 or a multiple of 4 up to ${most}`;
  context.error("ext.inode.extra", inode.where, text);
  return false;
}

/** Until the year 2242 a date from 2310 on is one before 1970 that an old Linux wrote wrongly. */
const LATEST_PLAUSIBLE = 2 * 2 ** 32;
const EPOCH_BITS = 3;

/** Times of an inode that has room for them. */
export function checkExtraTimes(context: CheckContext, inode: CheckedInode): void {
  const { view, extraSize } = inode;
  const most = inode.bytes.length - EXT4_GOOD_OLD_INODE_SIZE;
  if (extraSize >= most - 4 || context.now >= LATEST_PLAUSIBLE) return;
  const extra = EXT4_GOOD_OLD_INODE_SIZE;
  const times = [
    ["atime", DI.atime.get(view, 0), DX.atimeExtra],
    ["ctime", DI.ctime.get(view, 0), DX.ctimeExtra],
    ["mtime", DI.mtime.get(view, 0), DX.mtimeExtra],
    ["crtime", DX.crtime.get(view, extra), DX.crtimeExtra],
  ] as const;
  for (const [name, seconds, field] of times) {
    if (seconds < 2 ** 31 || (field.get(view, extra) & EPOCH_BITS) !== EPOCH_BITS) continue;
    const text = `${name} is after 2310, as old kernels wrote dates before 1970`;
    context.error("ext.inode.time", inode.where, text);
  }
}

/** What is neither a regular file nor a directory. @throws EIO */
export function checkKind(context: CheckContext, inode: CheckedInode): void {
  if (inode.isSymlink) {
    const wrong = symlinkProblem(context, inode);
    if (wrong !== undefined) context.error("ext.symlink", inode.where, wrong);
  } else if (inode.isSpecial) checkSpecialFile(context, inode);
  else {
    const text = `mode is 0${inode.mode.toString(8)}, which is no known type of file`;
    context.error("ext.inode.mode", inode.where, text);
    return;
  }
  if (inode.has(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL)) {
    const text = "immutable or append-only is set, expected only on files and directories";
    context.error("ext.inode.flags", inode.where, text);
  }
}

function checkSpecialFile(context: CheckContext, inode: CheckedInode): void {
  const report = (text: string): void => context.error("ext.special", inode.where, text);
  if (inode.has(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL | EXT4_INDEX_FL)) {
    report("a device, pipe or socket has extents, inline data or an index");
  }
  if (inode.size !== 0) report(`size is ${inode.size}, expected 0 for a device, pipe or socket`);
  if (!inode.has(EXT4_IMMUTABLE_FL | EXT4_APPEND_FL)) return;
  for (let i = 4; i < EXT4_N_BLOCKS; i++) {
    if (inode.blockWord(i) !== 0) report(`word ${i} of its block map is not 0`);
  }
}

function symlinkProblem(context: CheckContext, inode: CheckedInode): string | undefined {
  const { size } = inode;
  if (size === 0) return "size is 0, expected the length of a target";
  if (inode.sizeHigh !== 0) return `size is ${size}, longer than any target`;
  if (inode.has(EXT4_INDEX_FL)) return "the flag for a hash index is set on a symbolic link";
  if (inode.has(EXT4_INLINE_DATA_FL)) {
    if (inode.has(EXT4_EXTENTS_FL)) return "its target is inline and in extents";
    const value = inlineValue(inode);
    if (value === undefined) return "its target is inline, but system.data is missing";
    const found = I_BLOCK_SIZE + value.length;
    return size === found ? undefined : `size is ${size}, expected ${found}`;
  }
  if (inode.isFastSymlink) {
    if (inode.has(EXT4_EXTENTS_FL)) return "its target is in the inode, but extents are set";
    return targetProblem(inode, inode.blockBytes());
  }
  const block = targetBlock(context, inode);
  if (block === undefined) return "its target is not in exactly one block";
  const view = context.read(block, "target of a symbolic link");
  return targetProblem(inode, new Uint8Array(view.buffer));
}

/** The one block that holds a target; undefined when the map is anything else. */
function targetBlock(context: CheckContext, inode: CheckedInode): number | undefined {
  const { view } = inode;
  let block = inode.blockWord(0);
  if (inode.has(EXT4_EXTENTS_FL)) {
    const base = DI.block.offset;
    if (extentHeaderProblem(view, base, I_BLOCK_SIZE) !== undefined) return undefined;
    const { entries, depth } = Ext4ExtentHeader;
    if (entries.get(view, base) !== 1 || depth.get(view, base) !== 0) return undefined;
    const at = base + sizeof(Ext4ExtentHeader);
    if (Ext4Extent.block.get(view, at) !== 0 || Ext4Extent.len.get(view, at) !== 1) {
      return undefined;
    }
    block = Ext4Extent.startLo.get(view, at) + Ext4Extent.startHi.get(view, at) * 2 ** 32;
  } else {
    for (let i = 1; i < EXT4_N_BLOCKS; i++) if (inode.blockWord(i) !== 0) return undefined;
  }
  return context.isInside(block) ? block : undefined;
}

function targetProblem(inode: CheckedInode, bytes: Uint8Array): string | undefined {
  if (inode.has(EXT4_ENCRYPT_FL)) return undefined;
  const end = bytes.indexOf(0);
  if (end === -1) return "its target has no end";
  return end === inode.size ? undefined : `size is ${inode.size}, but its target has ${end} bytes`;
}
