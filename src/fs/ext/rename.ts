/**
 * Renaming: one transaction, whatever is replaced or swapped by it.
 *
 * @module
 */
import { S_IFDIR } from "../../vfs/modes.ts";
import type { RenameOptions } from "../../vfs/writing.ts";
import { typeOfMode } from "./directory-types.ts";
import { CHANGE_ENTRY_CREDITS, addEntryCredits } from "./directory-writer.ts";
import type { EntryTarget } from "./entry-area.ts";
import { deletionCredits, finishDeletion } from "./deletion.ts";
import type { Handle } from "./handle.ts";
import type { InodeState } from "./inode-state.ts";
import {
  assertDirectory,
  assertMayCreate,
  assertMayDelete,
  assertRoomForDirectory,
  countDirectory,
  nameBytes,
  namesOf,
  refusal,
  uncountDirectory,
} from "./new-names.ts";
import { afterDrop, assertEmpty, assertSameProject, dropLink } from "./unlink.ts";
import type { ExtWriting } from "./writing.ts";

/** A name, and what it leads to. */
export interface Named {
  readonly directory: InodeState;
  readonly name: string;
  readonly inode: InodeState;
}

/** Where a name is to be; `inode`: what it leads to already. */
export interface Destination extends Omit<Named, "inode"> {
  readonly inode: InodeState | undefined;
}

/** Entries, both parents, the moved inode and its `..`. */
const MOVE_CREDITS = 4 * CHANGE_ENTRY_CREDITS + 4;

/**
 * Gives what `from` names the other name. @throws EEXIST, ENOENT, EPERM, ENOTDIR, EISDIR,
 *   ENOTEMPTY, EMLINK, EXDEV, ENOSPC, ENAMETOOLONG with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function rename(
  writing: ExtWriting,
  from: Named,
  to: Destination,
  { noReplace = false, exchange = false }: RenameOptions,
): void {
  if (noReplace && exchange) throw refusal("EINVAL", "rename", "NOREPLACE and EXCHANGE");
  assertDirectory(from.directory, "rename");
  assertDirectory(to.directory, "rename");
  const { inode: target } = to;
  if (noReplace && target !== undefined) throw refusal("EEXIST", "rename", "the name is taken");
  if (exchange) {
    if (target === undefined) throw refusal("ENOENT", "rename", "nothing to exchange with");
    swap(writing, from, { ...to, inode: target });
  } else move(writing, from, to);
}

function isDirectory({ record }: InodeState): boolean {
  return record.type === S_IFDIR;
}

function kindOf(state: InodeState): "directory" | "other" {
  return isDirectory(state) ? "directory" : "other";
}

function entryOf({ record }: InodeState): EntryTarget {
  return { ino: record.ino, type: typeOfMode(record.mode) };
}

function move(writing: ExtWriting, from: Named, to: Destination): void {
  const { inode } = from;
  const { inode: target } = to;
  if (target === inode) return;
  const moved = isDirectory(inode);
  assertMayDelete(from.directory, inode, kindOf(inode), "rename");
  if (target === undefined) assertMayCreate(to.directory, "rename");
  else assertMayDelete(to.directory, target, kindOf(inode), "rename");
  assertSameProject(to.directory.record, inode.record);
  if (moved && target !== undefined) assertEmpty(writing, target, "rename");
  else if (moved && to.directory !== from.directory) {
    assertRoomForDirectory(writing.editor, to.directory, "rename");
  }
  const names = [nameBytes(from.name, "rename"), nameBytes(to.name, "rename")] as const;
  const grows = target === undefined ? addEntryCredits(to.directory.record) : 0;
  const credits =
    MOVE_CREDITS + grows + (target === undefined ? 0 : deletionCredits(target.record));
  const goesOn = writing.operate(credits, (handle) => {
    moveEntry(writing, handle, from, to, names);
    return target !== undefined && replace(writing, handle, target);
  });
  if (goesOn && target !== undefined) finishDeletion(writing, target);
}

/** First what may find no room; until then nothing has changed. */
function moveEntry(
  writing: ExtWriting,
  handle: Handle,
  from: Named,
  to: Destination,
  [oldName, newName]: readonly [Uint8Array, Uint8Array],
): void {
  const { editor } = writing;
  const { inode } = from;
  const destination = namesOf(editor, to.directory);
  if (to.inode === undefined) destination.addEntry(handle, newName, entryOf(inode));
  else destination.replaceEntry(handle, newName, entryOf(inode));
  namesOf(editor, from.directory).removeEntry(handle, oldName);
  if (isDirectory(inode)) {
    if (from.directory !== to.directory) adopt(writing, handle, inode, to.directory);
    uncountDirectory(from.directory.record);
    if (to.inode === undefined) countDirectory(editor, to.directory.record);
  }
  writing.storeAttributes(handle, inode);
  storeDirectories(writing, handle, from, to);
}

/** What had the name has one less. */
function replace(writing: ExtWriting, handle: Handle, target: InodeState): boolean {
  dropLink(writing, target);
  return afterDrop(writing, handle, target);
}

function adopt(writing: ExtWriting, handle: Handle, child: InodeState, parent: InodeState): void {
  namesOf(writing.editor, child).setParent(handle, parent.record.ino);
  child.forgetDirectory();
}

function storeDirectories(
  writing: ExtWriting,
  handle: Handle,
  from: Omit<Named, "inode">,
  to: Omit<Named, "inode">,
): void {
  for (const directory of new Set([from.directory, to.directory])) {
    writing.storeDirectory(handle, directory);
  }
}

function swap(writing: ExtWriting, from: Named, to: Named): void {
  if (from.inode === to.inode) return;
  assertMayDelete(from.directory, from.inode, kindOf(from.inode), "rename");
  assertMayDelete(to.directory, to.inode, kindOf(to.inode), "rename");
  assertSameProject(to.directory.record, from.inode.record);
  assertSameProject(from.directory.record, to.inode.record);
  const apart = from.directory !== to.directory;
  const [down, up] = [isDirectory(from.inode), isDirectory(to.inode)];
  if (apart && down && !up) assertRoomForDirectory(writing.editor, to.directory, "rename");
  if (apart && up && !down) assertRoomForDirectory(writing.editor, from.directory, "rename");
  const names = [nameBytes(from.name, "rename"), nameBytes(to.name, "rename")] as const;
  writing.operate(2 * MOVE_CREDITS, (handle) => {
    const { editor } = writing;
    namesOf(editor, from.directory).replaceEntry(handle, names[0], entryOf(to.inode));
    namesOf(editor, to.directory).replaceEntry(handle, names[1], entryOf(from.inode));
    if (apart) swapParents(writing, handle, from, to);
    writing.storeAttributes(handle, from.inode);
    writing.storeAttributes(handle, to.inode);
    storeDirectories(writing, handle, from, to);
  });
}

function swapParents(writing: ExtWriting, handle: Handle, from: Named, to: Named): void {
  const { editor } = writing;
  const [down, up] = [isDirectory(from.inode), isDirectory(to.inode)];
  if (down) adopt(writing, handle, from.inode, to.directory);
  if (up) adopt(writing, handle, to.inode, from.directory);
  if (down === up) return;
  const [loses, gains] = down
    ? [from.directory.record, to.directory.record]
    : [to.directory.record, from.directory.record];
  uncountDirectory(loses);
  countDirectory(editor, gains);
}
