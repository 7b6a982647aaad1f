/**
 * Making files of every type, with a name or without one.
 *
 * @module
 */
import {
  EXT4_DAX_FL,
  EXT4_COMPR_FL,
  EXT4_DIRSYNC_FL,
  EXT4_JOURNAL_DATA_FL,
  EXT4_NOATIME_FL,
  EXT4_NODUMP_FL,
  EXT4_NOTAIL_FL,
  EXT4_PROJINHERIT_FL,
  EXT4_SECRM_FL,
  EXT4_SYNC_FL,
  EXT4_TOPDIR_FL,
  EXT4_UNRM_FL,
  Ext4InodeExtra,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
} from "../../format/ext-superblock.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
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
import type { NewFile } from "../../vfs/writing.ts";
import { inheritAcl } from "./acl-writer.ts";
import { isFatal } from "./corruption.ts";
import { typeOfMode } from "./directory-types.ts";
import { addEntryCredits, initDirectory } from "./directory-writer.ts";
import type { ExtEditor } from "./editor.ts";
import { unmake } from "./deletion.ts";
import { hasIncompat } from "./features.ts";
import type { Handle } from "./handle.ts";
import { INODE_CREDITS } from "./inode-allocator.ts";
import { initInlineDirectory } from "./inline-directory.ts";
import { type InodeRecord, I_BLOCK_SIZE, gidOf } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import {
  initExtents,
  newRecord,
  setBlockBytes,
  setDevice,
  setSize,
  storeRecord,
} from "./inode-writer.ts";
import { mapBlocks, mapCredits } from "./map-writer.ts";
import {
  assertDirectory,
  assertMayCreate,
  assertRoomForDirectory,
  countDirectory,
  nameBytes,
  namesOf,
  refusal,
} from "./new-names.ts";
import { ORPHAN_CREDITS } from "./orphans.ts";
import type { ExtWriting } from "./writing.ts";
import { XATTR_CREDITS } from "./xattr-writer.ts";
import { readXattrs } from "./xattr.ts";

const S_ISGID = 0o2000;
const NO_TARGET = new Uint8Array(0);
const PERMISSIONS = 0o7777;
const TYPES = new Set([S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK]);
/** Bytes of a target that readlink(2) can still give back. */
const MOST_TARGET = 4095;
/** Minor numbers have 20 bits and major numbers 12; both lie below this in Linux's 64-bit form. */
const MOST_DEVICE = 2 ** 32;

/** Flags that a directory hands down (`EXT4_FL_INHERITED`). */
const INHERITED =
  EXT4_SECRM_FL |
  EXT4_UNRM_FL |
  EXT4_COMPR_FL |
  EXT4_SYNC_FL |
  EXT4_NODUMP_FL |
  EXT4_NOATIME_FL |
  EXT4_JOURNAL_DATA_FL |
  EXT4_NOTAIL_FL |
  EXT4_DIRSYNC_FL |
  EXT4_PROJINHERIT_FL |
  EXT4_DAX_FL;
const OF_DIRECTORIES = EXT4_DIRSYNC_FL | EXT4_TOPDIR_FL | EXT4_PROJINHERIT_FL;
const OF_OTHERS = EXT4_NODUMP_FL | EXT4_NOATIME_FL;

/** A file to be made, checked. */
interface Plan {
  readonly mode: number;
  readonly file: NewFile;
  /** Bytes of a symbolic link's target. */
  readonly target: Uint8Array;
  /** Whether the directory has a default ACL. */
  readonly inheritsAcl: boolean;
}

/**
 * Makes a file under a name that is free.
 * @throws ENAMETOOLONG, ENOENT, EINVAL, EMLINK, ENOSPC, EPERM with nothing changed; EUCLEAN, EIO
 */
export function make(
  writing: ExtWriting,
  directory: InodeState,
  name: string,
  file: NewFile,
): InodeRecord {
  const bytes = nameBytes(name, "open");
  const plan = planFor(writing.editor, directory, file);
  const isDirectory = (plan.mode & S_IFMT) === S_IFDIR;
  if (isDirectory) assertRoomForDirectory(writing.editor, directory, "mkdir");
  const credits = makeCredits(plan, directory.record) + addEntryCredits(directory.record);
  return writing.operate(credits, (handle) => {
    const record = create(writing, handle, directory.record, plan);
    undoing(writing, handle, record, () => {
      const target = { ino: record.ino, type: typeOfMode(plan.mode) };
      namesOf(writing.editor, directory).addEntry(handle, bytes, target);
    });
    if (isDirectory) countDirectory(writing.editor, directory.record);
    writing.storeDirectory(handle, directory);
    return record;
  });
}

/**
 * Makes a regular file without a name: an orphan until it is given one.
 * @throws as {@link make}
 */
export function makeUnnamed(
  writing: ExtWriting,
  directory: InodeState,
  file: NewFile,
): InodeRecord {
  const plan = planFor(writing.editor, directory, file);
  if ((plan.mode & S_IFMT) !== S_IFREG) {
    throw refusal("EINVAL", "open", "only regular files are made without a name");
  }
  const credits = makeCredits(plan, directory.record) + ORPHAN_CREDITS;
  return writing.operate(credits, (handle) => {
    const record = create(writing, handle, directory.record, plan, 0);
    writing.orphans.add(handle, record);
    return record;
  });
}

/** The inode, its number, its first block, its lists, and the directory that it is in. */
function makeCredits({ inheritsAcl }: Plan, directory: InodeRecord): number {
  return INODE_CREDITS + 3 + mapCredits(directory) + (inheritsAcl ? 2 * XATTR_CREDITS : 0);
}

function planFor(editor: ExtEditor, directory: InodeState, file: NewFile): Plan {
  assertDirectory(directory, "open");
  assertMayCreate(directory, "open");
  const type = file.mode & S_IFMT;
  if (!TYPES.has(type)) {
    throw refusal("EINVAL", "mknod", `mode 0o${file.mode.toString(8)} has no known type`);
  }
  const { rdev = 0 } = file;
  if (!(Number.isInteger(rdev) && rdev >= 0 && rdev < MOST_DEVICE)) {
    throw refusal("EINVAL", "mknod", `device ${rdev}; 12 bits of major and 20 of minor number`);
  }
  const setgid = type === S_IFDIR && (directory.record.mode & S_ISGID) !== 0 ? S_ISGID : 0;
  const permissions = type === S_IFLNK ? 0o777 : file.mode & PERMISSIONS;
  const { volume } = editor;
  const xattrs = (directory.xattrs ??= readXattrs(volume, directory.record));
  return {
    mode: type | permissions | setgid,
    file,
    target: targetOf(editor, type, file),
    inheritsAcl: type !== S_IFLNK && xattrs.has("system.posix_acl_default"),
  };
}

function targetOf({ volume }: ExtEditor, type: number, { target = "" }: NewFile): Uint8Array {
  if (type !== S_IFLNK) return NO_TARGET;
  const bytes = encodeUtf8(target);
  if (bytes.length === 0) throw refusal("ENOENT", "symlink", "a target is never empty");
  if (bytes.includes(0)) throw refusal("EINVAL", "symlink", "a target has no NUL byte");
  const most = Math.min(volume.superblock.blockSize - 1, MOST_TARGET);
  if (bytes.length <= most) return bytes;
  throw refusal("ENAMETOOLONG", "symlink", `a target of ${bytes.length} bytes; at most ${most}`);
}

/** The inode with all that it has before it has a name; on ENOSPC nothing of it is left. */
function create(
  writing: ExtWriting,
  handle: Handle,
  directory: InodeRecord,
  plan: Plan,
  links?: number,
): InodeRecord {
  const { editor } = writing;
  const { volume } = editor;
  const { mode, file } = plan;
  const isDirectory = (mode & S_IFMT) === S_IFDIR;
  const topdir = directory.has(EXT4_TOPDIR_FL);
  const request = { parent: directory.ino, directory: isDirectory, topdir };
  const ino = editor.inodes.allocate(handle, request);
  const inherits = directory.has(EXT4_PROJINHERIT_FL);
  const record = newRecord(volume, ino, {
    mode,
    uid: file.uid,
    gid: (directory.mode & S_ISGID) === 0 ? file.gid : gidOf(directory),
    links: links ?? (isDirectory ? 2 : 1),
    flags: inheritedFlags(directory.flags, mode),
    generation: editor.random(),
    time: editor.now(),
    project: inherits ? directory.extra(Ext4InodeExtra.projid) : 0,
  });
  undoing(writing, handle, record, () => {
    fill(editor, handle, directory, record, plan);
    // The umask was applied by the caller.
    if (plan.inheritsAcl) inheritAcl(editor, handle, directory, record, 0);
    else storeRecord(volume, handle, record);
  });
  return record;
}

function inheritedFlags(flags: number, mode: number): number {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return flags & INHERITED;
  return flags & INHERITED & (type === S_IFREG ? ~OF_DIRECTORIES : OF_OTHERS);
}

function fill(
  editor: ExtEditor,
  handle: Handle,
  directory: InodeRecord,
  record: InodeRecord,
  { file, target }: Plan,
): void {
  const { superblock } = editor.volume;
  const { type } = record;
  if (type === S_IFDIR) {
    const inline = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_INLINE_DATA);
    if (inline && initInlineDirectory(editor, handle, record, directory.ino)) return;
    initDirectory(editor, handle, record, directory.ino);
  } else if (type === S_IFLNK) putTarget(editor, handle, record, target);
  else if (type === S_IFCHR || type === S_IFBLK) setDevice(record, file.rdev ?? 0);
}

/** In the inode up to 59 bytes, else in a block that is journalled as metadata is. */
function putTarget(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  target: Uint8Array,
): void {
  const { superblock } = editor.volume;
  if (target.length < I_BLOCK_SIZE) setBlockBytes(record, target);
  else {
    if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_EXTENTS)) initExtents(record);
    const { block } = mapBlocks(editor, handle, record, 0, 1);
    handle.create(block).bytes.set(target);
  }
  setSize(superblock, record, target.length);
  storeRecord(editor.volume, handle, record);
}

/** Runs a step in making an inode; when there is no room for it, the inode goes again. */
function undoing(writing: ExtWriting, handle: Handle, record: InodeRecord, step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!isFatal(error)) unmake(writing, handle, record);
    throw error;
  }
}
