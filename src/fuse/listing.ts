/**
 * Directories: FUSE_OPENDIR, FUSE_READDIR and FUSE_READDIRPLUS. A listing goes on behind a cookie,
 * so nothing is kept of it between two requests, and no directory need be opened.
 *
 * @module
 */
import { FuseFsyncIn, FuseDirent } from "../format/fuse-calls.ts";
import { FuseOpenOut, FuseReadIn } from "../format/fuse.ts";
import {
  FOPEN_CACHE_DIR,
  FOPEN_KEEP_CACHE,
  FUSE_FSYNC_FDATASYNC,
  FUSE_NO_OPENDIR_SUPPORT,
} from "../format/fuse-flags.ts";
import { isDaxError } from "../lib/errno.ts";
import { encodeUtf8, putAscii } from "../lib/utf8.ts";
import type { DirectoryEntry } from "../vfs/filesystem.ts";
import { ENTRY_SIZE, putEntry } from "./attributes.ts";
import { type Answer, type Conversation, IN_HEADER, OUT_HEADER, refusal } from "./conversation.ts";
import type { Node } from "./nodes.ts";

const READ_SIZE = 40;
const FSYNC_SIZE = 16;
const OPEN_OUT_SIZE = 16;
const DIRENT_SIZE = 24;
const DIRENT_ALIGNMENT = 8;

/** FUSE_OPENDIR. Where the kernel can do without, it asks once. */
export function opendir(c: Conversation): Answer {
  if ((c.flags & FUSE_NO_OPENDIR_SUPPORT) !== 0) return refusal("ENOSYS");
  c.clear(OUT_HEADER, OPEN_OUT_SIZE);
  FuseOpenOut.openFlags.set(c.out, OUT_HEADER, FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR);
  return OPEN_OUT_SIZE;
}

/** FUSE_RELEASEDIR. */
export function releasedir(): Answer {
  return 0;
}

/** FUSE_FSYNCDIR. */
export function fsyncdir(c: Conversation): Answer {
  c.expect(FSYNC_SIZE);
  const data = (FuseFsyncIn.fsyncFlags.get(c.in, IN_HEADER) & FUSE_FSYNC_FDATASYNC) !== 0;
  c.node.inode.writing?.sync(data ? "data" : "all");
  return 0;
}

/** FUSE_READDIR; EINVAL where not even one entry has room. */
export function readdir(c: Conversation): Answer {
  return list(c, 0);
}

/** FUSE_READDIRPLUS: with what a lookup of each name would say. */
export function readdirplus(c: Conversation): Answer {
  return list(c, ENTRY_SIZE);
}

function list(c: Conversation, plus: number): Answer {
  c.expect(READ_SIZE);
  const { node } = c;
  const cookie = FuseReadIn.offset.get(c.in, IN_HEADER);
  const stop = OUT_HEADER + Math.min(FuseReadIn.size.get(c.in, IN_HEADER), c.room);
  const base = c.nodes.baseOf(node.inode.filesystem);
  let at = OUT_HEADER;
  let last = cookie;
  node.mount.accessed(node.inode);
  // A kernel asks once more where there is no more.
  if (node.isListedTo(cookie)) return 0;
  for (const entry of node.inode.readdir(cookie)) {
    const size = putName(c, at + plus + DIRENT_SIZE, stop, entry.name);
    if (size < 0) return at === OUT_HEADER ? refusal("EINVAL") : at - OUT_HEADER;
    if (plus > 0) putFound(c, at, node, entry);
    putDirent(c, at + plus, entry, size, base);
    at += plus + align(DIRENT_SIZE + size);
    last = entry.cookie;
  }
  node.listed(last);
  return at - OUT_HEADER;
}

/** Puts a name where there is room for it, and for what it is rounded up to: its length, or -1. */
function putName({ reply }: Conversation, at: number, stop: number, name: string): number {
  if (at + name.length > stop) return -1;
  let { length } = name;
  if (!putAscii(name, reply.bytes, at)) {
    const bytes = encodeUtf8(name);
    length = bytes.length;
    if (at + length <= stop) reply.bytes.set(bytes, at);
  }
  return at - DIRENT_SIZE + align(DIRENT_SIZE + length) > stop ? -1 : length;
}

/** What an entry leads to; nothing for those that a kernel knows itself, or that lead nowhere. */
function putFound(c: Conversation, at: number, parent: Node, entry: DirectoryEntry): void {
  c.clear(at, ENTRY_SIZE);
  if (entry.name === "." || entry.name === "..") return;
  try {
    putEntry(c, at, parent, entry.name, parent.inode.filesystem.inode(entry.ino));
  } catch (error) {
    // The name is there: who looks at what it leads to hears what is wrong with that.
    if (!isDaxError(error)) throw error;
    c.clear(at, ENTRY_SIZE);
  }
}

/** What stands before a name that is there already, and the zeros behind it. */
function putDirent(
  c: Conversation,
  at: number,
  entry: DirectoryEntry,
  length: number,
  base: number,
): void {
  const { out } = c;
  c.clear(at, DIRENT_SIZE);
  c.clear(at + DIRENT_SIZE + length, align(DIRENT_SIZE + length) - DIRENT_SIZE - length);
  FuseDirent.ino.set(out, at, entry.ino + base);
  FuseDirent.off.set(out, at, entry.cookie);
  FuseDirent.namelen.set(out, at, length);
  FuseDirent.type.set(out, at, entry.type);
}

function align(size: number): number {
  return Math.ceil(size / DIRENT_ALIGNMENT) * DIRENT_ALIGNMENT;
}
