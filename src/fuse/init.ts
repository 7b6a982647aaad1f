/**
 * FUSE_INIT: what the two sides settle before anything else.
 *
 * @module
 */
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_OLDEST_MINOR_VERSION,
} from "../format/fuse.ts";
import {
  FUSE_ABORT_ERROR,
  FUSE_ASYNC_DIO,
  FUSE_ASYNC_READ,
  FUSE_ATOMIC_O_TRUNC,
  FUSE_BIG_WRITES,
  FUSE_CACHE_SYMLINKS,
  FUSE_DIRECT_IO_ALLOW_MMAP,
  FUSE_DONT_MASK,
  FUSE_DO_READDIRPLUS,
  FUSE_EXPLICIT_INVAL_DATA,
  FUSE_HANDLE_KILLPRIV_V2,
  FUSE_HAS_IOCTL_DIR,
  FUSE_INIT_EXT,
  FUSE_MAX_PAGES,
  FUSE_NO_EXPORT_SUPPORT,
  FUSE_NO_OPENDIR_SUPPORT,
  FUSE_NO_OPEN_SUPPORT,
  FUSE_PARALLEL_DIROPS,
  FUSE_POSIX_ACL,
  FUSE_READDIRPLUS_AUTO,
  FUSE_SETXATTR_EXT,
  FUSE_WRITEBACK_CACHE,
} from "../format/fuse-flags.ts";
import { FuseInitIn, FuseInitOut } from "../format/fuse-calls.ts";
import { DaxError } from "../lib/errno.ts";
import { type Answer, type Conversation, IN_HEADER, OUT_HEADER } from "./conversation.ts";

const INIT_SIZE = 16;
const INIT_EXT_SIZE = 64;
const INIT_OUT_SIZE = 64;
const PAGE = 4096;
/** Requests that the kernel has under way in the background, and where writers begin to wait. */
const MAX_BACKGROUND = 128;
const CONGESTION = 96;

/** All that is taken where the kernel offers it. */
const WANTED =
  FUSE_ASYNC_READ |
  FUSE_ATOMIC_O_TRUNC |
  FUSE_BIG_WRITES |
  FUSE_DONT_MASK |
  FUSE_HAS_IOCTL_DIR |
  FUSE_DO_READDIRPLUS |
  FUSE_READDIRPLUS_AUTO |
  FUSE_ASYNC_DIO |
  FUSE_PARALLEL_DIROPS |
  FUSE_POSIX_ACL |
  FUSE_ABORT_ERROR |
  FUSE_MAX_PAGES |
  FUSE_CACHE_SYMLINKS |
  FUSE_NO_OPENDIR_SUPPORT |
  FUSE_EXPLICIT_INVAL_DATA |
  FUSE_HANDLE_KILLPRIV_V2 |
  FUSE_SETXATTR_EXT |
  FUSE_INIT_EXT;
const WANTED_2 = FUSE_DIRECT_IO_ALLOW_MMAP | FUSE_NO_EXPORT_SUPPORT;

/** FUSE_INIT. A kernel with a newer major version hears ours, and asks again. */
export function init(c: Conversation): Answer {
  c.expect(INIT_SIZE);
  const { in: view, out, shown } = c;
  const major = FuseInitIn.major.get(view, IN_HEADER);
  const minor = FuseInitIn.minor.get(view, IN_HEADER);
  if (major < FUSE_KERNEL_VERSION || (major === FUSE_KERNEL_VERSION && isTooOld(minor))) {
    throw new DaxError("EPROTO", {
      detail: `the kernel speaks FUSE ${major}.${minor}; 7.${FUSE_OLDEST_MINOR_VERSION} is needed`,
    });
  }
  c.clear(OUT_HEADER, INIT_OUT_SIZE);
  FuseInitOut.major.set(out, OUT_HEADER, FUSE_KERNEL_VERSION);
  FuseInitOut.minor.set(out, OUT_HEADER, FUSE_KERNEL_MINOR_VERSION);
  if (major > FUSE_KERNEL_VERSION) return INIT_OUT_SIZE;
  c.minor = Math.min(minor, FUSE_KERNEL_MINOR_VERSION);
  FuseInitOut.minor.set(out, OUT_HEADER, c.minor);
  const offered = FuseInitIn.flags.get(view, IN_HEADER);
  const extended = c.length >= IN_HEADER + INIT_EXT_SIZE && (offered & FUSE_INIT_EXT) !== 0;
  const offered2 = extended ? FuseInitIn.flags2.get(view, IN_HEADER) : 0;
  c.flags = offered & wanted(c);
  FuseInitOut.flags.set(out, OUT_HEADER, c.flags);
  FuseInitOut.flags2.set(out, OUT_HEADER, offered2 & WANTED_2);
  const readAhead = FuseInitIn.maxReadahead.get(view, IN_HEADER);
  FuseInitOut.maxReadahead.set(out, OUT_HEADER, Math.min(readAhead, shown.readAhead));
  FuseInitOut.maxBackground.set(out, OUT_HEADER, MAX_BACKGROUND);
  FuseInitOut.congestionThreshold.set(out, OUT_HEADER, CONGESTION);
  FuseInitOut.maxWrite.set(out, OUT_HEADER, shown.maxWrite);
  FuseInitOut.timeGran.set(out, OUT_HEADER, 1);
  FuseInitOut.maxPages.set(out, OUT_HEADER, shown.maxWrite / PAGE);
  return INIT_OUT_SIZE;
}

function isTooOld(minor: number): boolean {
  return minor < FUSE_OLDEST_MINOR_VERSION;
}

function wanted({ shown }: Conversation): number {
  let flags = WANTED;
  if (shown.writebackCache) flags |= FUSE_WRITEBACK_CACHE;
  // Where the kernel does not open files, nobody would hear of an O_TRUNC that comes with it.
  if (shown.noOpen) flags = (flags & ~FUSE_ATOMIC_O_TRUNC) | FUSE_NO_OPEN_SUPPORT;
  // Permissions that are the same for all have no lists beside them.
  if (shown.umask !== undefined) flags &= ~FUSE_POSIX_ACL;
  return flags;
}
