/**
 * FUSE_IOCTL: the flags of files, in chattr's words and in XFS's. A kernel passes on what it does
 * not know itself; everything else is refused as by a file that knows no such call.
 *
 * @module
 */
import {
  FS_IOC32_GETFLAGS,
  FS_IOC32_SETFLAGS,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_GETVERSION,
  FS_IOC_SETFLAGS,
} from "../format/fuse-flags.ts";
import { FuseIoctlIn, FuseIoctlOut, Fsxattr } from "../format/fuse-calls.ts";
import { DaxError } from "../lib/errno.ts";
import { writingOf } from "../vfs/calls.ts";
import type { Inode } from "../vfs/filesystem.ts";
import { type Answer, type Conversation, IN_HEADER, OUT_HEADER, refusal } from "./conversation.ts";

const IOCTL_SIZE = 32;
const IOCTL_OUT_SIZE = 16;
const FLAGS_SIZE = 4;
const FSXATTR_SIZE = 28;

/** The same flag in both words: FS_*_FL and FS_XFLAG_*. */
const FLAG_PAIRS: readonly (readonly [flag: number, xflag: number])[] = [
  [0x0000_0010, 0x0000_0008],
  [0x0000_0020, 0x0000_0010],
  [0x0000_0008, 0x0000_0020],
  [0x0000_0080, 0x0000_0040],
  [0x0000_0040, 0x0000_0080],
  [0x0200_0000, 0x0000_8000],
  [0x2000_0000, 0x0000_0200],
];

/** FUSE_IOCTL. */
export function ioctl(c: Conversation): Answer {
  c.expect(IOCTL_SIZE);
  const { inode } = c.node;
  const room = FuseIoctlIn.outSize.get(c.in, IN_HEADER);
  switch (FuseIoctlIn.cmd.get(c.in, IN_HEADER)) {
    case FS_IOC_GETFLAGS:
    case FS_IOC32_GETFLAGS:
      return putWord(c, room, flagsOf(inode));
    case FS_IOC_SETFLAGS:
    case FS_IOC32_SETFLAGS:
      setFlags(c, inode, argument(c, FLAGS_SIZE).getUint32(0, true));
      return putResult(c, 0);
    case FS_IOC_FSGETXATTR:
      return putFsxattr(c, room, flagsOf(inode));
    case FS_IOC_FSSETXATTR:
      return setFsxattr(c, inode);
    case FS_IOC_GETVERSION:
      return putWord(c, room, inode.generation >>> 0);
    default:
      return refusal("ENOTTY");
  }
}

/** @throws ENOTTY where there are no flags */
function flagsOf({ flags }: Inode): number {
  if (flags !== undefined) return flags;
  throw new DaxError("ENOTTY", { detail: "this filesystem has no flags of files" });
}

function setFlags(c: Conversation, inode: Inode, flags: number): void {
  writingOf(inode).flags = flags;
  c.tree.mounts.watches.tell("attributes", c.node);
  // To the kernel it was a call like any other.
  c.onlookers.forget(c.node);
}

function setFsxattr(c: Conversation, inode: Inode): Answer {
  const view = argument(c, FSXATTR_SIZE);
  const xflags = Fsxattr.xflags.get(view, 0);
  let flags = flagsOf(inode);
  let known = 0;
  for (const [flag, xflag] of FLAG_PAIRS) {
    known |= xflag;
    flags = (xflags & xflag) === 0 ? flags & ~flag : flags | flag;
  }
  const odd = (xflags & ~known) !== 0 || Fsxattr.extsize.get(view, 0) !== 0;
  if (odd || Fsxattr.projid.get(view, 0) !== 0) {
    throw new DaxError("EOPNOTSUPP", {
      detail: `xflags 0x${xflags.toString(16)}: no extent sizes and no projects here`,
    });
  }
  setFlags(c, inode, flags >>> 0);
  return putResult(c, 0);
}

/** What the caller hands in. @throws EINVAL when it is too short */
function argument(c: Conversation, size: number): DataView {
  const given = FuseIoctlIn.inSize.get(c.in, IN_HEADER);
  if (given < size) throw new DaxError("EINVAL", { detail: `${given} bytes of ${size}` });
  const bytes = c.payload(IN_HEADER + IOCTL_SIZE, size);
  return new DataView(bytes.buffer, bytes.byteOffset, size);
}

function putResult(c: Conversation, size: number): Answer {
  c.clear(OUT_HEADER, IOCTL_OUT_SIZE);
  FuseIoctlOut.result.set(c.out, OUT_HEADER, 0);
  return IOCTL_OUT_SIZE + size;
}

function putWord(c: Conversation, room: number, word: number): Answer {
  if (room < FLAGS_SIZE) return refusal("EINVAL");
  c.out.setUint32(OUT_HEADER + IOCTL_OUT_SIZE, word, true);
  return putResult(c, FLAGS_SIZE);
}

function putFsxattr(c: Conversation, room: number, flags: number): Answer {
  if (room < FSXATTR_SIZE) return refusal("EINVAL");
  const at = OUT_HEADER + IOCTL_OUT_SIZE;
  c.clear(at, FSXATTR_SIZE);
  let xflags = 0;
  for (const [flag, xflag] of FLAG_PAIRS) if ((flags & flag) !== 0) xflags |= xflag;
  Fsxattr.xflags.set(c.out, at, xflags);
  return putResult(c, FSXATTR_SIZE);
}
