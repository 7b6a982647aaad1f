/**
 * Rules that Linux has for names that appear in directories and go from them: what may be refused
 * before anything is changed, in Linux's order (`may_create`, `may_delete`).
 *
 * @module
 */
import { EXT4_NAME_LEN } from "../../format/ext-directory.ts";
import {
  EXT4_APPEND_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_VERITY_FL,
} from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK,
} from "../../format/ext-superblock.ts";
import { DaxError, type ErrnoCode } from "../../lib/errno.ts";
import { S_IFDIR } from "../../vfs/modes.ts";
import { DirectoryWriter } from "./directory-writer.ts";
import type { ExtEditor } from "./editor.ts";
import { hasCompat, hasRoCompat } from "./features.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { setLinks } from "./inode-writer.ts";
import { encodeName } from "./name-bytes.ts";
import type { Superblock } from "./superblock.ts";

/** Links that an inode can have (`EXT4_LINK_MAX`). */
export const EXT4_LINK_MAX = 65_000;

/** An error of a call on an inode. */
export function refusal(code: ErrnoCode, syscall: string, detail: string): DaxError {
  return new DaxError(code, { syscall, detail });
}

/** A name as it is stored. @throws ENAMETOOLONG */
export function nameBytes(name: string, syscall: string): Uint8Array {
  const bytes = encodeName(name);
  if (bytes.length <= EXT4_NAME_LEN) return bytes;
  throw refusal("ENAMETOOLONG", syscall, `a name of ${bytes.length} bytes; ${EXT4_NAME_LEN}`);
}

/** @throws ENOTDIR */
export function assertDirectory({ record }: InodeState, syscall: string): void {
  if (record.type !== S_IFDIR) {
    throw refusal("ENOTDIR", syscall, `inode ${record.ino} is no directory`);
  }
}

/** @throws EPERM for what may not change at all */
export function assertMutable({ record }: InodeState, syscall: string): void {
  if (!record.has(EXT4_IMMUTABLE_FL)) return;
  throw refusal("EPERM", syscall, `inode ${record.ino} is immutable; chattr -i changes that`);
}

/** The contents may change. @throws EPERM for what is immutable, or proved by fs-verity */
export function assertContents(state: InodeState, syscall: string): void {
  assertMutable(state, syscall);
  if (!state.record.has(EXT4_VERITY_FL)) return;
  const detail = `inode ${state.record.ino} is sealed by fs-verity, for good; write to a copy`;
  throw refusal("EPERM", syscall, detail);
}

/** @throws EPERM for what may not change, or only grow */
export function assertFree(state: InodeState, syscall: string): void {
  assertMutable(state, syscall);
  if (!state.record.has(EXT4_APPEND_FL)) return;
  throw refusal(
    "EPERM",
    syscall,
    `inode ${state.record.ino} is append-only; chattr -a changes that`,
  );
}

/** A name may appear in a directory. @throws ENOENT for one that was removed, EPERM */
export function assertMayCreate(directory: InodeState, syscall: string): void {
  if (directory.record.links === 0) {
    throw refusal("ENOENT", syscall, `directory ${directory.record.ino} was removed`);
  }
  assertMutable(directory, syscall);
}

/** A name may go from a directory. @throws EPERM; ENOTDIR, EISDIR for what is not `wanted` */
export function assertMayDelete(
  directory: InodeState,
  victim: InodeState,
  wanted: "directory" | "other",
  syscall: string,
): void {
  assertFree(directory, syscall);
  assertFree(victim, syscall);
  const is = victim.record.type === S_IFDIR ? "directory" : "other";
  if (is === wanted) return;
  const detail = `inode ${victim.record.ino} is ${is === "directory" ? "a" : "no"} directory`;
  throw refusal(is === "directory" ? "EISDIR" : "ENOTDIR", syscall, detail);
}

function mayCountNoMore(superblock: Superblock, record: InodeRecord): boolean {
  return hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_DIR_NLINK) && isIndexed(superblock, record);
}

function isIndexed(superblock: Superblock, record: InodeRecord): boolean {
  return hasCompat(superblock, EXT4_FEATURE_COMPAT_DIR_INDEX) && record.has(EXT4_INDEX_FL);
}

/** Another directory may be in this one. @throws EMLINK */
export function assertRoomForDirectory(
  { volume }: ExtEditor,
  { record }: InodeState,
  syscall: string,
): void {
  if (record.links < EXT4_LINK_MAX || mayCountNoMore(volume.superblock, record)) return;
  const detail = `directory ${record.ino} has ${record.links} links, and no more can be counted`;
  throw refusal("EMLINK", syscall, detail);
}

/**
 * One directory more in this one. A directory with an index that has too many counts them no more:
 * it has one link from then on (`ext4_inc_count`).
 */
export function countDirectory({ volume }: ExtEditor, record: InodeRecord): void {
  const links = record.links + 1;
  const uncounted = links > EXT4_LINK_MAX || links === 2;
  setLinks(record, uncounted && isIndexed(volume.superblock, record) ? 1 : links);
}

/** One directory less in this one (`ext4_dec_count`). */
export function uncountDirectory(record: InodeRecord): void {
  if (record.links > 2) setLinks(record, record.links - 1);
}

/** What changes the names of a directory. */
export function namesOf(editor: ExtEditor, state: InodeState): DirectoryWriter {
  return (state.names ??= new DirectoryWriter(editor, state.record, state.map));
}
