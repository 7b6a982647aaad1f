/**
 * What a kernel is told of files, and what it changes of them: FUSE_GETATTR, FUSE_STATX,
 * FUSE_SETATTR and FUSE_STATFS.
 *
 * @module
 */
import { FuseAttr, FuseAttrOut, FuseEntryOut, FuseKstatfs, FuseSetattrIn } from "../format/fuse.ts";
import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_GID,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
} from "../format/fuse-flags.ts";
import { FuseStatx, FuseStatxOut } from "../format/fuse-calls.ts";
import type { Timespec } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import {
  changeMode,
  changeOwner,
  changeSize,
  changeTimes,
  dropPrivileges,
} from "../vfs/attribute-changes.ts";
import type { Attributes, Inode } from "../vfs/filesystem.ts";
import { S_IFMT, majorOf, minorOf } from "../vfs/modes.ts";
import type { AttributeChange } from "../vfs/writing.ts";
import { type Answer, type Conversation, IN_HEADER, OUT_HEADER } from "./conversation.ts";
import { encodeDevice } from "./device-numbers.ts";
import type { Node } from "./nodes.ts";

const TWO_32 = 2 ** 32;
const PERMISSIONS = 0o777;
/** A user that nobody is. */
const STRANGER = 0xffff_fffe;
/** STATX_BASIC_STATS, and with STATX_BTIME. */
const STATX_BASIC = 0x7ff;
const STATX_WITH_BTIME = 0xfff;
const BILLION = 1_000_000_000;
/** What a change can be about; a request may be about nothing. */
const SOMETHING = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME;
/** Bytes that tell of what a name leads to. */
export const ENTRY_SIZE = 128;
const ATTR_OUT_SIZE = 104;
const STATX_OUT_SIZE = 32;
const STATX_SIZE = 256;
const KSTATFS_SIZE = 80;
const SETATTR_SIZE = 88;

/** Somebody without rights has written: the file may not run as its owner or group any more. */
export function killPrivileges(inode: Inode): void {
  dropPrivileges(inode, { uid: STRANGER, gid: inode.attributes().gid });
}

/** FUSE_GETATTR. */
export function getattr(c: Conversation): Answer {
  return putAttrOut(c, c.node);
}

/**
 * FUSE_SETATTR. Who may is weighed by the kernel. A change of nothing is chown(2) to nobody, or a
 * write by somebody without rights is about to come: setuid and setgid go, as by any chown.
 */
export function setattr(c: Conversation): Answer {
  c.expect(SETATTR_SIZE);
  const { node, in: view } = c;
  const { inode } = node;
  const valid = FuseSetattrIn.valid.get(view, IN_HEADER);
  const change: AttributeChange = timesIn(view, valid);
  if ((valid & FATTR_SIZE) !== 0) cut(node, FuseSetattrIn.size.get(view, IN_HEADER), valid);
  if ((valid & (FATTR_UID | FATTR_GID)) !== 0 || (valid & SOMETHING) === 0) {
    const uid = (valid & FATTR_UID) === 0 ? undefined : FuseSetattrIn.uid.get(view, IN_HEADER);
    const gid = (valid & FATTR_GID) === 0 ? undefined : FuseSetattrIn.gid.get(view, IN_HEADER);
    changeOwner(inode, uid, gid);
  }
  if ((valid & FATTR_MODE) !== 0) changeMode(inode, FuseSetattrIn.mode.get(view, IN_HEADER));
  changeTimes(inode, change);
  c.tree.mounts.watches.tell("attributes", node);
  c.onlookers.changes(node);
  return putAttrOut(c, node);
}

/** @throws EFBIG, which the kernel leaves to us */
function cut(node: Node, size: number, valid: number): void {
  assertByte(size);
  changeSize(node.inode, size);
  // Behind it: a file that cannot be cut keeps them.
  if ((valid & FATTR_KILL_SUIDGID) !== 0) killPrivileges(node.inode);
  node.mount.watches.tell("modify", node);
}

/** @throws EFBIG for what is behind all files */
export function assertByte(offset: number): void {
  if (Number.isSafeInteger(offset)) return;
  throw new DaxError("EFBIG", { detail: `byte ${offset}; files end before 2^53` });
}

function timesIn(view: DataView, valid: number): AttributeChange {
  const { atimeLo, atimensec, mtimeLo, mtimensec } = FuseSetattrIn;
  const at = IN_HEADER;
  const change: { -readonly [K in "atime" | "mtime"]?: Timespec | "now" } = {};
  if ((valid & FATTR_ATIME_NOW) !== 0) change.atime = "now";
  else if ((valid & FATTR_ATIME) !== 0) {
    change.atime = timeIn(view, at + atimeLo.offset, atimensec.get(view, at));
  }
  if ((valid & FATTR_MTIME_NOW) !== 0) change.mtime = "now";
  else if ((valid & FATTR_MTIME) !== 0) {
    change.mtime = timeIn(view, at + mtimeLo.offset, mtimensec.get(view, at));
  }
  return change;
}

/** Signed seconds in two words, and nanoseconds. @throws EINVAL for those of another second */
function timeIn(view: DataView, at: number, nsec: number): Timespec {
  if (nsec >= BILLION) throw new DaxError("EINVAL", { detail: `${nsec} nanoseconds` });
  return { sec: view.getUint32(at, true) + view.getInt32(at + 4, true) * TWO_32, nsec };
}

/** FUSE_STATX. */
export function statx(c: Conversation): Answer {
  const { node, out, shown } = c;
  const at = OUT_HEADER;
  const { inode } = node;
  const attributes = node.attributes();
  c.clear(at, STATX_OUT_SIZE + STATX_SIZE);
  FuseStatxOut.attrValid.set(out, at, shown.seconds);
  FuseStatxOut.attrValidNsec.set(out, at, shown.nanoseconds);
  const base = at + STATX_OUT_SIZE;
  const { btime, rdev } = attributes;
  FuseStatx.mask.set(out, base, btime === undefined ? STATX_BASIC : STATX_WITH_BTIME);
  FuseStatx.blksize.set(out, base, c.blockSizeOf(inode.filesystem));
  FuseStatx.nlink.set(out, base, attributes.nlink);
  FuseStatx.uid.set(out, base, shown.uid ?? attributes.uid);
  FuseStatx.gid.set(out, base, shown.gid ?? attributes.gid);
  FuseStatx.mode.set(out, base, modeShown(c, attributes.mode));
  FuseStatx.ino.set(out, base, inode.ino + c.nodes.baseOf(inode.filesystem));
  FuseStatx.size.set(out, base, attributes.size);
  FuseStatx.blocks.set(out, base, attributes.blocks);
  putTime(out, base + FuseStatx.atimeLo.offset, attributes.atime);
  putTime(out, base + FuseStatx.ctimeLo.offset, attributes.ctime);
  putTime(out, base + FuseStatx.mtimeLo.offset, attributes.mtime);
  if (btime !== undefined) putTime(out, base + FuseStatx.btimeLo.offset, btime);
  c.onlookers.tell(node);
  FuseStatx.rdevMajor.set(out, base, majorOf(rdev));
  FuseStatx.rdevMinor.set(out, base, minorOf(rdev));
  return STATX_OUT_SIZE + STATX_SIZE;
}

/** Seconds in two words, and nanoseconds behind them, as in `fuse_sx_time`. */
function putTime(out: DataView, at: number, { sec, nsec }: Timespec): void {
  putSeconds(out, at, sec);
  out.setUint32(at + 8, nsec, true);
}

function putSeconds(out: DataView, at: number, sec: number): void {
  out.setUint32(at, sec >>> 0, true);
  out.setInt32(at + 4, Math.floor(sec / TWO_32), true);
}

/** FUSE_STATFS. */
export function statfs(c: Conversation): Answer {
  const { out } = c;
  const { filesystem } = c.nodeid === 0 ? c.nodes.root.inode : c.node.inode;
  const { blockSize, blocks, bfree, bavail, files, ffree, nameLength } = filesystem.statfs();
  c.clear(OUT_HEADER, KSTATFS_SIZE);
  FuseKstatfs.blocks.set(out, OUT_HEADER, blocks);
  FuseKstatfs.bfree.set(out, OUT_HEADER, bfree);
  FuseKstatfs.bavail.set(out, OUT_HEADER, bavail);
  FuseKstatfs.files.set(out, OUT_HEADER, files);
  FuseKstatfs.ffree.set(out, OUT_HEADER, ffree);
  FuseKstatfs.bsize.set(out, OUT_HEADER, blockSize);
  FuseKstatfs.namelen.set(out, OUT_HEADER, nameLength);
  FuseKstatfs.frsize.set(out, OUT_HEADER, blockSize);
  return KSTATFS_SIZE;
}

/**
 * Tells of what a name leads to, and returns the node that the kernel knows by that. It is counted
 * when nothing can fail any more: what is not told will not be forgotten either.
 */
export function putEntry(
  c: Conversation,
  at: number,
  parent: Node,
  name: string,
  inode: Inode,
): Node {
  const { out, shown, nodes } = c;
  const found = c.tree.mounts.across({ inode, mount: parent.mount, parent, name });
  c.clear(at, ENTRY_SIZE);
  FuseEntryOut.generation.set(out, at, found.inode.generation >>> 0);
  FuseEntryOut.entryValid.set(out, at, shown.seconds);
  FuseEntryOut.entryValidNsec.set(out, at, shown.nanoseconds);
  FuseEntryOut.attrValid.set(out, at, shown.seconds);
  FuseEntryOut.attrValidNsec.set(out, at, shown.nanoseconds);
  putAttr(c, at + FuseEntryOut.attr.offset, found.inode, found.inode.attributes());
  const node = nodes.meet(found, parent);
  c.onlookers.tell(node);
  parent.askName(name);
  FuseEntryOut.nodeid.set(out, at, node.id);
  return node;
}

/** What was told of a file by {@link putEntry} is asked for again before it is used. */
export function putUnkept({ out }: Conversation, at: number): void {
  FuseEntryOut.attrValid.set(out, at, 0);
  FuseEntryOut.attrValidNsec.set(out, at, 0);
}

/** Tells that there is nothing; the kernel remembers that, too. */
export function putNoEntry(c: Conversation, at: number): number {
  const { out, shown } = c;
  c.clear(at, ENTRY_SIZE);
  FuseEntryOut.entryValid.set(out, at, shown.seconds);
  FuseEntryOut.entryValidNsec.set(out, at, shown.nanoseconds);
  return ENTRY_SIZE;
}

function putAttrOut(c: Conversation, node: Node): number {
  const { out, shown } = c;
  c.clear(OUT_HEADER, ATTR_OUT_SIZE);
  FuseAttrOut.attrValid.set(out, OUT_HEADER, shown.seconds);
  FuseAttrOut.attrValidNsec.set(out, OUT_HEADER, shown.nanoseconds);
  putAttr(c, OUT_HEADER + FuseAttrOut.attr.offset, node.inode, node.attributes());
  c.onlookers.tell(node);
  return ATTR_OUT_SIZE;
}

function putAttr(c: Conversation, at: number, inode: Inode, attributes: Attributes): void {
  const { out, shown } = c;
  const { atime, mtime, ctime } = attributes;
  FuseAttr.ino.set(out, at, inode.ino + c.nodes.baseOf(inode.filesystem));
  FuseAttr.size.set(out, at, attributes.size);
  FuseAttr.blocks.set(out, at, attributes.blocks);
  putSeconds(out, at + FuseAttr.atimeLo.offset, atime.sec);
  putSeconds(out, at + FuseAttr.mtimeLo.offset, mtime.sec);
  putSeconds(out, at + FuseAttr.ctimeLo.offset, ctime.sec);
  FuseAttr.atimensec.set(out, at, atime.nsec);
  FuseAttr.mtimensec.set(out, at, mtime.nsec);
  FuseAttr.ctimensec.set(out, at, ctime.nsec);
  FuseAttr.mode.set(out, at, modeShown(c, attributes.mode));
  FuseAttr.nlink.set(out, at, attributes.nlink);
  FuseAttr.uid.set(out, at, shown.uid ?? attributes.uid);
  FuseAttr.gid.set(out, at, shown.gid ?? attributes.gid);
  FuseAttr.rdev.set(out, at, encodeDevice(attributes.rdev));
  FuseAttr.blksize.set(out, at, c.blockSizeOf(inode.filesystem));
}

function modeShown({ shown: { umask } }: Conversation, mode: number): number {
  return umask === undefined ? mode : (mode & S_IFMT) | (PERMISSIONS & ~umask);
}
