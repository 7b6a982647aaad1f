/**
 * Files: opening them, their bytes, and making those durable.
 *
 * @module
 */
import {
  FuseCreateIn,
  FuseOpenIn,
  FuseOpenOut,
  FuseReadIn,
  FuseReleaseIn,
  FuseWriteIn,
  FuseWriteOut,
} from "../format/fuse.ts";
import {
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  FOPEN_KEEP_CACHE,
  FOPEN_NOFLUSH,
  FOPEN_PARALLEL_DIRECT_WRITES,
  FUSE_FSYNC_FDATASYNC,
  FUSE_NO_OPEN_SUPPORT,
  FUSE_OPEN_KILL_SUIDGID,
  FUSE_WRITE_CACHE,
  FUSE_WRITE_KILL_SUIDGID,
  O_ACCMODE,
  O_APPEND,
  O_DSYNC,
  O_EXCL,
  O_RDWR,
  O_SYNC_BIT,
  O_TRUNC,
  O_WRONLY,
  SEEK_DATA,
  SEEK_HOLE,
} from "../format/fuse-flags.ts";
import {
  FuseCopyFileRangeIn,
  FuseCopyFileRangeOut,
  FuseFallocateIn,
  FuseFsyncIn,
  FuseLseekIn,
  FuseLseekOut,
} from "../format/fuse-calls.ts";
import { isDaxError } from "../lib/errno.ts";
import type { Inode } from "../vfs/filesystem.ts";
import { S_IFREG } from "../vfs/modes.ts";
import type { OpenFile } from "../vfs/open-file.ts";
import { type OpenOptions, assertMayOpen } from "../vfs/opening.ts";
import type { FallocateMode } from "../vfs/writing.ts";
import { ENTRY_SIZE, assertByte, killPrivileges, putEntry, putUnkept } from "./attributes.ts";
import { type Answer, type Conversation, IN_HEADER, OUT_HEADER, refusal } from "./conversation.ts";
import { makeOptions } from "./naming.ts";
import type { Node } from "./nodes.ts";

const PERMISSIONS = 0o7777;
const OPEN_SIZE = 8;
const OPEN_OUT_SIZE = 16;
const CREATE_SIZE = 16;
const READ_SIZE = 40;
const WRITE_SIZE = 40;
const WRITE_OUT_SIZE = 8;
const FSYNC_SIZE = 16;
const RELEASE_SIZE = 24;
const FALLOCATE_SIZE = 32;
const LSEEK_SIZE = 24;
const COPY_SIZE = 56;
/** Reads of fewer bytes are copied into the reply: that costs less than telling where they lie. */
const ALIASED_READ = 32_768;
/** Pieces that the kernel takes at once, and a head, are fewer than 1024. */
const MOST_PIECES = 64;
/** Bytes that one FUSE_COPY_FILE_RANGE copies at most: others wait for it. */
const MOST_COPIED = 2 ** 24;

const MODES: ReadonlyMap<number, FallocateMode> = new Map([
  [0, "allocate"],
  [FALLOC_FL_PUNCH_HOLE, "punch"],
  [FALLOC_FL_ZERO_RANGE, "zero"],
  [FALLOC_FL_COLLAPSE_RANGE, "collapse"],
  [FALLOC_FL_INSERT_RANGE, "insert"],
]);

function accessOf(flags: number): "read" | "write" | "readwrite" {
  const mode = flags & O_ACCMODE;
  return mode === O_RDWR ? "readwrite" : mode === O_WRONLY ? "write" : "read";
}

function openOptions(flags: number): OpenOptions {
  const append = (flags & O_APPEND) !== 0;
  return { access: accessOf(flags), append, truncate: (flags & O_TRUNC) !== 0 };
}

/** FUSE_OPEN. Who may is weighed by the kernel; that a file is immutable only we know. */
export function open(c: Conversation): Answer {
  if (c.shown.noOpen && (c.flags & FUSE_NO_OPEN_SUPPORT) !== 0) return refusal("ENOSYS");
  c.expect(OPEN_SIZE);
  const { node } = c;
  const options = openOptions(FuseOpenIn.flags.get(c.in, IN_HEADER));
  assertMayOpen(node.inode, options);
  if (options.truncate === true) {
    const kills = (FuseOpenIn.openFlags.get(c.in, IN_HEADER) & FUSE_OPEN_KILL_SUIDGID) !== 0;
    if (kills) killPrivileges(node.inode);
    node.file.truncate(0);
    c.onlookers.changes(node);
  }
  return putOpened(c, OUT_HEADER, node);
}

/** FUSE_CREATE: makes a file, and opens it. */
export function create(c: Conversation): Answer {
  c.expect(CREATE_SIZE);
  const flags = FuseCreateIn.flags.get(c.in, IN_HEADER);
  const name = c.name(IN_HEADER + CREATE_SIZE);
  try {
    const inode = make(c, name);
    c.onlookers.changes(c.node);
    const node = putEntry(c, OUT_HEADER, c.node, name, inode);
    return ENTRY_SIZE + putOpened(c, OUT_HEADER + ENTRY_SIZE, node);
  } catch (error) {
    // A kernel asks for this where it knows of nothing: that somebody was faster is rare.
    if ((flags & O_EXCL) !== 0 || !isDaxError(error, "EEXIST")) throw error;
  }
  const options = { ...openOptions(flags), from: c.node, create: true, noFollow: true };
  return adopt(c, c.node, name, c.tree.open(name, options));
}

function make(c: Conversation, name: string): Inode {
  const mode = S_IFREG | (FuseCreateIn.mode.get(c.in, IN_HEADER) & PERMISSIONS);
  const umask = FuseCreateIn.umask.get(c.in, IN_HEADER);
  // In one piece: objects that are put together from others are slow to make.
  const owner = { uid: c.uid, gid: c.gid };
  return c.tree.mknod(name, { from: c.node, mode, umask, owner, syscall: "open" });
}

/** FUSE_TMPFILE: makes a file without a name, and opens it. */
export function tmpfile(c: Conversation): Answer {
  c.expect(CREATE_SIZE);
  const mode = FuseCreateIn.mode.get(c.in, IN_HEADER);
  const umask = FuseCreateIn.umask.get(c.in, IN_HEADER);
  const options = { ...makeOptions(c, mode, umask), unnamed: true, access: "readwrite" } as const;
  const { node: parent } = c;
  const file = c.tree.open(".", options);
  return adopt(c, parent, file.location.name, file, true);
}

/** The file becomes that of a node, which holds it itself. */
function adopt(
  c: Conversation,
  parent: Node,
  name: string,
  file: OpenFile,
  nameless = false,
): Answer {
  try {
    const node = putEntry(c, OUT_HEADER, parent, name, file.inode);
    // While the first one still holds it.
    if (nameless) node.hold();
    // The kernel takes it for new: it would put this over what a later call has told it.
    else putUnkept(c, OUT_HEADER);
    return ENTRY_SIZE + putOpened(c, OUT_HEADER + ENTRY_SIZE, node);
  } finally {
    file.close();
  }
}

function putOpened(c: Conversation, at: number, node: Node): number {
  node.open();
  c.clear(at, OPEN_OUT_SIZE);
  FuseOpenOut.fh.set(c.out, at, node.id);
  const flags = FOPEN_KEEP_CACHE | FOPEN_NOFLUSH | FOPEN_PARALLEL_DIRECT_WRITES;
  FuseOpenOut.openFlags.set(c.out, at, flags);
  return OPEN_OUT_SIZE;
}

/** FUSE_RELEASE. */
export function release(c: Conversation): Answer {
  c.expect(RELEASE_SIZE);
  if (FuseReleaseIn.fh.get(c.in, IN_HEADER) === c.nodeid) c.node.close();
  return 0;
}

/** FUSE_FLUSH: nothing is kept back that closing a file would have to write. */
export function flush(): Answer {
  return refusal("ENOSYS");
}

/** FUSE_READ. */
export function read(c: Conversation): Answer {
  c.expect(READ_SIZE);
  const { node } = c;
  const offset = FuseReadIn.offset.get(c.in, IN_HEADER);
  const size = Math.min(FuseReadIn.size.get(c.in, IN_HEADER), c.shown.maxWrite);
  if (!Number.isSafeInteger(offset)) return 0;
  if (size >= ALIASED_READ && hasDax(node) && alias(c, node.reader, offset, size)) return 0;
  c.reply.pieceCount = 0;
  return readAll(node.file, c.target(size), offset);
}

/**
 * Reads up to the end of the file, or not at all: to a kernel fewer bytes mean that the file ends
 * there, and it cuts what it shows. @throws EIO for bytes that cannot be read, wherever they are
 */
function readAll(file: OpenFile, target: Uint8Array, offset: number): number {
  let done = file.pread(target, offset);
  const wanted = Math.min(target.length, file.inode.size - offset);
  while (done > 0 && done < wanted) {
    const count = file.pread(target.subarray(done), offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Whether the bytes of files are in memory: elsewhere each view of them is a copy. */
function hasDax({ inode }: Node): boolean {
  return inode.filesystem.device.dax !== undefined;
}

/** Says where the bytes lie; false when they lie in too many places. */
function alias({ reply }: Conversation, file: OpenFile, offset: number, size: number): boolean {
  file.mount.accessed(file.inode);
  let done = 0;
  while (done < size) {
    if (reply.pieceCount === MOST_PIECES) return false;
    const piece = file.view(offset + done, size - done);
    if (piece.length === 0) break;
    reply.pieces[reply.pieceCount++] = piece;
    done += piece.length;
  }
  return true;
}

/** FUSE_WRITE. */
export function write(c: Conversation): Answer {
  c.expect(WRITE_SIZE);
  const { node, in: view } = c;
  const size = FuseWriteIn.size.get(view, IN_HEADER);
  const writeFlags = FuseWriteIn.writeFlags.get(view, IN_HEADER);
  const flags = FuseWriteIn.flags.get(view, IN_HEADER);
  const offset = FuseWriteIn.offset.get(view, IN_HEADER);
  assertByte(offset + size);
  const source = c.payload(IN_HEADER + WRITE_SIZE, size);
  if ((writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0) killPrivileges(node.inode);
  // What the kernel writes back belongs where it says, whatever file it found open.
  const appends = (flags & O_APPEND) !== 0 && (writeFlags & FUSE_WRITE_CACHE) === 0;
  const { file } = node;
  const count = file.pwrite(source, appends ? node.inode.size : offset);
  c.onlookers.changes(node);
  if ((flags & O_DSYNC) !== 0) file.sync((flags & O_SYNC_BIT) === 0 ? "data" : "all");
  FuseWriteOut.size.set(c.out, OUT_HEADER, count);
  FuseWriteOut.padding.set(c.out, OUT_HEADER, 0);
  return WRITE_OUT_SIZE;
}

/** FUSE_FSYNC. */
export function fsync(c: Conversation): Answer {
  c.expect(FSYNC_SIZE);
  const data = (FuseFsyncIn.fsyncFlags.get(c.in, IN_HEADER) & FUSE_FSYNC_FDATASYNC) !== 0;
  const { node } = c;
  node.mount.writeBack(node.inode);
  node.inode.writing?.sync(data ? "data" : "all");
  return 0;
}

/** FUSE_SYNCFS. */
export function syncfs(c: Conversation): Answer {
  c.node.mount.sync();
  return 0;
}

/** FUSE_FALLOCATE. */
export function fallocate(c: Conversation): Answer {
  c.expect(FALLOCATE_SIZE);
  const flags = FuseFallocateIn.mode.get(c.in, IN_HEADER);
  const offset = FuseFallocateIn.offset.get(c.in, IN_HEADER);
  const length = FuseFallocateIn.length.get(c.in, IN_HEADER);
  assertByte(offset + length);
  const mode = MODES.get(flags & ~FALLOC_FL_KEEP_SIZE);
  if (mode === undefined) return refusal("EOPNOTSUPP");
  c.node.file.fallocate(mode, offset, length, (flags & FALLOC_FL_KEEP_SIZE) !== 0);
  killForOthers(c, c.node);
  c.onlookers.changes(c.node);
  return 0;
}

/** These requests have no flag for it. Nor do they tell of CAP_FSETID, but user 0 has it. */
function killForOthers(c: Conversation, node: Node): void {
  if (c.uid !== 0) killPrivileges(node.inode);
}

/** FUSE_LSEEK: data and holes; the rest the kernel knows by itself. */
export function lseek(c: Conversation): Answer {
  c.expect(LSEEK_SIZE);
  const offset = FuseLseekIn.offset.get(c.in, IN_HEADER);
  const whence = FuseLseekIn.whence.get(c.in, IN_HEADER);
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return refusal("EINVAL");
  if (!Number.isSafeInteger(offset)) return refusal("ENXIO");
  const found = c.node.file.seek(offset, whence === SEEK_DATA ? "data" : "hole");
  FuseLseekOut.offset.set(c.out, OUT_HEADER, found);
  return 8;
}

/** FUSE_COPY_FILE_RANGE. */
export function copyFileRange(c: Conversation): Answer {
  FuseWriteOut.size.set(c.out, OUT_HEADER, copied(c));
  FuseWriteOut.padding.set(c.out, OUT_HEADER, 0);
  return WRITE_OUT_SIZE;
}

/** FUSE_COPY_FILE_RANGE_64. */
export function copyFileRange64(c: Conversation): Answer {
  FuseCopyFileRangeOut.bytesCopied.set(c.out, OUT_HEADER, copied(c));
  return 8;
}

/** Copies a part of what is asked; who asked goes on behind it. */
function copied(c: Conversation): number {
  c.expect(COPY_SIZE);
  const { in: view } = c;
  const source = c.node.file;
  const goal = c.nodes.get(FuseCopyFileRangeIn.nodeidOut.get(view, IN_HEADER));
  const target = goal.file;
  const from = FuseCopyFileRangeIn.offIn.get(view, IN_HEADER);
  const to = FuseCopyFileRangeIn.offOut.get(view, IN_HEADER);
  const wanted = Math.min(FuseCopyFileRangeIn.len.get(view, IN_HEADER), MOST_COPIED);
  assertByte(from + wanted);
  assertByte(to + wanted);
  let done = 0;
  try {
    while (done < wanted) {
      const bytes = c.target(Math.min(wanted - done, c.shown.maxWrite));
      const count = source.pread(bytes, from + done);
      if (count === 0) break;
      done += target.pwrite(bytes.subarray(0, count), to + done);
    }
  } catch (error) {
    if (done === 0 || !isDaxError(error)) throw error;
  }
  if (done > 0) killForOthers(c, goal);
  c.onlookers.changes(goal);
  return done;
}
