/**
 * Check of what leads where: every directory hangs below the root once, every inode has as many
 * links as entries lead to it.
 *
 * @module
 */
import {
  EXT4_BAD_INO,
  EXT4_EA_INODE_FL,
  EXT4_IMAGIC_FL,
  EXT4_INDEX_FL,
  EXT4_ROOT_INO,
  Ext4Inode as DI,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import type { CheckContext } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { allInodes } from "./check-inode-table.ts";
import { SparseBits } from "./check-tables.ts";

/** Links that a directory may have before its count stops at 1. */
const EXT4_LINK_MAX = 65000;

/** Checks that each directory leads up to the root, and that its `..` agrees. */
export function* checkConnections(context: CheckContext): Generator<Finding> {
  const { directories } = context;
  const settled = new SparseBits(4096);
  for (let index = 0; index < directories.size; index++) {
    climb(context, index, settled);
    const [parent, dotdot] = [directories.parent(index), directories.dotdot(index)];
    if (parent !== 0 && dotdot !== 0 && parent !== dotdot) {
      const where = `inode ${directories.ino(index)}`;
      const text = `.. leads to inode ${dotdot}, but the directory is in ${parent}`;
      context.error("ext.directory.dotdot", where, text);
    }
    yield* context.findings.take();
  }
}

/** Follows parents up to the root or to a directory that was settled before. */
function climb(context: CheckContext, start: number, settled: SparseBits): void {
  const { directories, orphans } = context;
  const path: number[] = [];
  const onPath = new Set<number>();
  let index = start;
  while (!settled.has(index)) {
    const ino = directories.ino(index);
    settled.add(index);
    path.push(index);
    onPath.add(index);
    if (ino === EXT4_ROOT_INO) return;
    const parent = directories.parent(index);
    const next = parent === 0 ? -1 : directories.find(parent);
    if (next < 0) {
      if (orphans.has(ino - 1)) return;
      context.error("ext.directory.unconnected", `inode ${ino}`, "no entry leads to the directory");
      return;
    }
    if (onPath.has(next)) {
      const text = `the directory is inside itself, by way of inode ${parent}`;
      context.error("ext.directory.unconnected", `inode ${ino}`, text);
      return;
    }
    index = next;
  }
}

/** Checks the link count of every inode in use. */
export function* checkLinks(context: CheckContext): Generator<Finding> {
  for (const inode of allInodes(context)) {
    if (isCounted(context, inode)) checkCount(context, inode);
    yield* context.findings.take();
  }
}

function isCounted(context: CheckContext, inode: CheckedInode): boolean {
  const { ino } = inode;
  const { firstIno, prjQuotaInum } = context.superblock;
  if (ino === EXT4_BAD_INO || (ino > EXT4_ROOT_INO && ino < firstIno)) return false;
  if (ino === prjQuotaInum || ino === SB.orphanFileInum.get(context.raw, 0)) return false;
  if (inode.has(EXT4_IMAGIC_FL) || context.orphans.has(ino - 1)) return false;
  return context.inodesUsed.has(ino - 1);
}

function checkCount(context: CheckContext, inode: CheckedInode): void {
  const counted = countedLinks(context, inode);
  const report = (text: string): void => context.error("ext.links", inode.where, text);
  if (counted === 0) {
    report(`it is in use and has ${inode.links} links, but no entry leads to it`);
    return;
  }
  const isDirectory = context.inodesDirectory.has(inode.ino - 1);
  if (isDirectory && counted > EXT4_LINK_MAX) {
    if (!context.roCompat(EXT4_FEATURE_RO_COMPAT_DIR_NLINK)) {
      report(`it has ${counted} links, more than ${EXT4_LINK_MAX} without dir_nlink`);
    }
    if (inode.links !== 1) report(`links is ${inode.links}, expected 1 (too many to count)`);
    return;
  }
  // A directory that once had too many to count stays at 1.
  if (isDirectory && inode.links === 1 && inode.has(EXT4_INDEX_FL)) return;
  if (counted === inode.links) return;
  const text = `links is ${inode.links}, expected ${counted}`;
  if (!isDirectory || !context.fastCommits) report(text);
  else context.findings.note("ext.links", inode.where, `${text}: so Linux replays fast commits`);
}

function countedLinks(context: CheckContext, inode: CheckedInode): number {
  const counted = context.links.get(inode.ino - 1);
  if (counted > 0 || !inode.has(EXT4_EA_INODE_FL)) return counted;
  const references = context.valueInodes.get(inode.ino) ?? 0;
  if (references === 0) return 0;
  const { view } = inode;
  const stored = DI.ctime.get(view, 0) * 2 ** 32 + DI.version.get(view, 0);
  const old = DI.ctime.get(view, 0) === DI.atime.get(view, 0);
  if (stored !== references && !old) {
    const text = `its reference count is ${stored}, expected ${references}`;
    context.error("ext.xattr.refcount", inode.where, text);
  }
  return 1;
}
