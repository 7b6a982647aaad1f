/**
 * Names given to files that are there, and taken from them.
 *
 * @module
 */
import { EXT4_PROJINHERIT_FL, Ext4InodeExtra } from "../../format/ext-inode.ts";
import { S_IFDIR } from "../../vfs/modes.ts";
import { typeOfMode } from "./directory-types.ts";
import { CHANGE_ENTRY_CREDITS, addEntryCredits } from "./directory-writer.ts";
import { deletionCredits, finishDeletion, lastNameGone } from "./deletion.ts";
import type { Handle } from "./handle.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { setLinks, setSize } from "./inode-writer.ts";
import {
  EXT4_LINK_MAX,
  assertDirectory,
  assertFree,
  assertMayCreate,
  assertMayDelete,
  nameBytes,
  namesOf,
  refusal,
  uncountDirectory,
} from "./new-names.ts";
import { ORPHAN_CREDITS } from "./orphans.ts";
import type { ExtWriting } from "./writing.ts";

/** Gives a file another name. @throws EXDEV, EPERM, ENOENT, EMLINK, ENOSPC with nothing changed */
export function link(
  writing: ExtWriting,
  directory: InodeState,
  name: string,
  target: InodeState,
): void {
  const { editor, orphans } = writing;
  const bytes = nameBytes(name, "link");
  assertDirectory(directory, "link");
  assertMayCreate(directory, "link");
  const { record } = target;
  assertFree(target, "link");
  if (record.type === S_IFDIR) throw refusal("EPERM", "link", `inode ${record.ino} is a directory`);
  if (record.links === 0 && !target.linkable) {
    throw refusal("ENOENT", "link", `inode ${record.ino} was deleted`);
  }
  if (record.links >= EXT4_LINK_MAX) {
    throw refusal("EMLINK", "link", `inode ${record.ino} has ${record.links} links`);
  }
  assertSameProject(directory.record, record);
  const credits = addEntryCredits(directory.record) + 2 + ORPHAN_CREDITS;
  writing.operate(credits, (handle) => {
    const entry = { ino: record.ino, type: typeOfMode(record.mode) };
    namesOf(editor, directory).addEntry(handle, bytes, entry);
    if (record.links === 0) orphans.remove(handle, record);
    target.linkable = false;
    setLinks(record, record.links + 1);
    writing.storeAttributes(handle, target);
    writing.storeDirectory(handle, directory);
  });
}

/** Space is accounted to projects by directory. @throws EXDEV */
export function assertSameProject(directory: InodeRecord, record: InodeRecord): void {
  if (!directory.has(EXT4_PROJINHERIT_FL)) return;
  const [here, there] = [directory, record].map((one) => one.extra(Ext4InodeExtra.projid));
  if (here === there) return;
  const detail = `inode ${record.ino} belongs to project ${there}, its directory to ${here}`;
  throw refusal("EXDEV", "link", detail);
}

/** Takes a name from a file that is no directory. @throws EPERM, EISDIR with nothing changed */
export function unlink(
  writing: ExtWriting,
  directory: InodeState,
  name: string,
  victim: InodeState,
): void {
  assertMayDelete(directory, victim, "other", "unlink");
  remove(writing, directory, name, victim);
}

/** Removes an empty directory. @throws EPERM, ENOTDIR, ENOTEMPTY with nothing changed */
export function rmdir(
  writing: ExtWriting,
  directory: InodeState,
  name: string,
  victim: InodeState,
): void {
  assertMayDelete(directory, victim, "directory", "rmdir");
  assertEmpty(writing, victim, "rmdir");
  remove(writing, directory, name, victim);
}

/** @throws ENOTEMPTY */
export function assertEmpty({ editor }: ExtWriting, victim: InodeState, syscall: string): void {
  if (namesOf(editor, victim).isEmpty) return;
  throw refusal("ENOTEMPTY", syscall, `directory ${victim.record.ino} has names in it`);
}

/** An inode has a name less; a directory has none then. */
export function dropLink(writing: ExtWriting, { record }: InodeState): void {
  const isDirectory = record.type === S_IFDIR;
  setLinks(record, isDirectory ? 0 : record.links - 1);
  if (isDirectory) setSize(writing.editor.volume.superblock, record, 0);
}

/** Stores an inode that has a name less; whether {@link finishDeletion} has to go on. */
export function afterDrop(writing: ExtWriting, handle: Handle, victim: InodeState): boolean {
  const { record, holds } = victim;
  if (record.links > 0 || holds > 0) writing.storeAttributes(handle, victim);
  return record.links === 0 && lastNameGone(writing, handle, victim);
}

function remove(
  writing: ExtWriting,
  directory: InodeState,
  name: string,
  victim: InodeState,
): void {
  const { record } = victim;
  const bytes = nameBytes(name, "unlink");
  const credits = CHANGE_ENTRY_CREDITS + 2 + deletionCredits(record);
  const goesOn = writing.operate(credits, (handle) => {
    namesOf(writing.editor, directory).removeEntry(handle, bytes);
    dropLink(writing, victim);
    if (record.type === S_IFDIR) uncountDirectory(directory.record);
    writing.storeDirectory(handle, directory);
    return afterDrop(writing, handle, victim);
  });
  if (goesOn) finishDeletion(writing, victim);
}
