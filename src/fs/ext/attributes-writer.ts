/**
 * chmod, chown, utimensat and chattr: what changes the attributes of an inode.
 *
 * @module
 */
import {
  EXT4_APPEND_FL,
  EXT4_CASEFOLD_FL,
  EXT4_COMPR_FL,
  EXT4_DAX_FL,
  EXT4_DIRSYNC_FL,
  EXT4_EXTENTS_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_JOURNAL_DATA_FL,
  EXT4_NOATIME_FL,
  EXT4_NODUMP_FL,
  EXT4_NOTAIL_FL,
  EXT4_PROJINHERIT_FL,
  EXT4_SECRM_FL,
  EXT4_SYNC_FL,
  EXT4_TOPDIR_FL,
  EXT4_UNRM_FL,
} from "../../format/ext-inode.ts";
import type { Timespec } from "../../lib/environment.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../../vfs/modes.ts";
import type { AttributeChange } from "../../vfs/writing.ts";
import { followMode } from "./acl-writer.ts";
import type { Handle } from "./handle.ts";
import { type InodeRecord, gidOf, uidOf } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { setFlags, setMode, setOwner, setTime } from "./inode-writer.ts";
import { assertFree, assertMutable, refusal } from "./new-names.ts";
import type { ExtWriting } from "./writing.ts";
import { XATTR_CREDITS, dropXattr } from "./xattr-writer.ts";
import { VISIBLE_FLAGS } from "./visible-flags.ts";
import { parseXattrName } from "./xattr-names.ts";
import { readXattrs } from "./xattr.ts";

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;
const PERMISSIONS = 0o7777;
const MOST_ID = 2 ** 32 - 1;
/** What a program may do that its owner may not; it goes with a change of owner. */
const CAPABILITY = "security.capability";

/** Of these, what users set. */
const SETTABLE =
  EXT4_SECRM_FL |
  EXT4_UNRM_FL |
  EXT4_COMPR_FL |
  EXT4_SYNC_FL |
  EXT4_IMMUTABLE_FL |
  EXT4_APPEND_FL |
  EXT4_NODUMP_FL |
  EXT4_NOATIME_FL |
  EXT4_NOTAIL_FL |
  EXT4_DIRSYNC_FL |
  EXT4_TOPDIR_FL |
  EXT4_DAX_FL |
  EXT4_PROJINHERIT_FL;
/** Of these, what may stand in a request beside the flag that the inode is immutable. */
const MODIFIABLE = (SETTABLE | EXT4_EXTENTS_FL | EXT4_JOURNAL_DATA_FL | EXT4_CASEFOLD_FL) >>> 0;
const OF_DIRECTORIES = EXT4_DIRSYNC_FL | EXT4_TOPDIR_FL | EXT4_PROJINHERIT_FL;
const OF_OTHERS = EXT4_NODUMP_FL | EXT4_NOATIME_FL;

/**
 * Changes mode, owner and times, whichever are given. A new owner takes setuid, setgid and
 * capabilities from what is no directory, as chown(2) does.
 * @throws EPERM, EINVAL, ENOSPC with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function change(writing: ExtWriting, state: InodeState, wanted: AttributeChange): void {
  if (isTouch(wanted)) assertMutable(state, "utimensat");
  else assertFree(state, "chmod");
  for (const id of [wanted.uid, wanted.gid]) {
    if (id === undefined || (Number.isInteger(id) && id >= 0 && id < MOST_ID)) continue;
    throw refusal("EINVAL", "chown", `id ${id}; from 0 to ${MOST_ID - 1}`);
  }
  for (const time of [wanted.atime, wanted.mtime]) assertTime(time);
  const { record } = state;
  const owns = wanted.uid !== undefined || wanted.gid !== undefined;
  const mode = modeAfter(record, wanted, owns);
  writing.operate(2 * XATTR_CREDITS + 1, (handle) => {
    if (mode !== record.mode) changeMode(writing, handle, state, mode);
    if (owns) changeOwner(writing, handle, state, wanted);
    const now = writing.editor.now();
    for (const which of ["atime", "mtime"] as const) {
      const time = wanted[which];
      if (time !== undefined) setTime(record, which, time === "now" ? now : time);
    }
    // The next write says when it was, though it be in the same tick as the last one.
    state.writtenAt = -1;
    writing.storeAttributes(handle, state, now);
  });
}

/** What anybody may do who may write: both times are those of now. */
function isTouch({ mode, uid, gid, atime, mtime }: AttributeChange): boolean {
  const others = mode !== undefined || uid !== undefined || gid !== undefined;
  return !others && atime === "now" && mtime === "now";
}

function assertTime(time: Timespec | "now" | undefined): void {
  if (time === undefined || time === "now") return;
  const { sec, nsec } = time;
  if (Number.isSafeInteger(sec) && Number.isInteger(nsec) && nsec >= 0 && nsec < 1e9) return;
  throw refusal("EINVAL", "utimensat", `a time of ${sec} seconds and ${nsec} nanoseconds`);
}

function modeAfter(record: InodeRecord, { mode }: AttributeChange, owns: boolean): number {
  const after = mode === undefined ? record.mode : record.type | (mode & PERMISSIONS);
  if (!owns || record.type === S_IFDIR) return after;
  return after & ~(S_ISUID | ((after & S_IXGRP) === 0 ? 0 : S_ISGID));
}

/** The list first: it may find no room. */
function changeMode({ editor }: ExtWriting, handle: Handle, state: InodeState, mode: number): void {
  const { record } = state;
  const before = record.mode;
  setMode(record, mode);
  try {
    followMode(editor, handle, record);
  } catch (error) {
    setMode(record, before);
    throw error;
  }
  state.forgetAttributes();
}

function changeOwner(
  { editor }: ExtWriting,
  handle: Handle,
  state: InodeState,
  { uid, gid }: AttributeChange,
): void {
  const { record } = state;
  if (record.type === S_IFREG && readXattrs(editor.volume, record).has(CAPABILITY)) {
    dropXattr(editor, handle, record, parseXattrName(CAPABILITY));
    state.forgetAttributes();
  }
  setOwner(record, uid ?? uidOf(record), gid ?? gidOf(record));
}

/**
 * Sets the flags that users set; the others stay.
 * @throws ENOTSUP for one that cannot be set, on this type of file or at all; EPERM for an
 *   immutable inode that is to stay so
 */
export function changeFlags(writing: ExtWriting, state: InodeState, flags: number): void {
  const { record } = state;
  const changed = ((flags ^ record.flags) & VISIBLE_FLAGS) >>> 0;
  const odd =
    ((flags & ~VISIBLE_FLAGS) | (flags & ~allowed(record.mode)) | (changed & ~SETTABLE)) >>> 0;
  if (odd !== 0) {
    const detail = `flags 0x${odd.toString(16)} cannot be changed on inode ${record.ino}`;
    throw refusal("ENOTSUP", "ioctl", detail);
  }
  assertChangeable(record, flags);
  writing.operate(1, (handle) => {
    setFlags(record, record.flags ^ changed);
    writing.storeAttributes(handle, state);
  });
}

/**
 * Nothing changes while an inode is immutable (`ext4_ioctl_check_immutable`). As in Linux that it
 * keeps its data in itself, or has an index, counts as a change when it is made immutable again.
 */
function assertChangeable(record: InodeRecord, flags: number): void {
  if (!record.has(EXT4_IMMUTABLE_FL) || (flags & EXT4_IMMUTABLE_FL) === 0) return;
  if (record.flags === (flags & MODIFIABLE) >>> 0) return;
  throw refusal("EPERM", "ioctl", `inode ${record.ino} is immutable; chattr -i changes that`);
}

/** What a type of file can have at all (`ext4_mask_flags`). */
function allowed(mode: number): number {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return VISIBLE_FLAGS;
  return type === S_IFREG
    ? VISIBLE_FLAGS & ~OF_DIRECTORIES
    : OF_OTHERS | (VISIBLE_FLAGS & ~SETTABLE);
}
