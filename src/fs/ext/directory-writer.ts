/**
 * Changing directories: names put in, taken out and led elsewhere, in whatever shape the directory
 * has: inline, linear, or with a hash tree.
 *
 * @module
 */
import { EXT4_NAME_LEN } from "../../format/ext-directory.ts";
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { EXT4_FEATURE_COMPAT_DIR_INDEX } from "../../format/ext-superblock.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { DirectoryBlocks } from "./directory-blocks.ts";
import { DirectoryEdit } from "./directory-edit.ts";
import { writeFirstBlock } from "./directory-growth.ts";
import type { ExtEditor } from "./editor.ts";
import type { EntryArea, EntryPlace, EntryTarget } from "./entry-area.ts";
import { hasCompat } from "./features.ts";
import { FileMap } from "./file-map.ts";
import type { Handle } from "./handle.ts";
import { findHashed } from "./htree.ts";
import { addHashed, canIndex, checkDots, makeIndexed } from "./htree-writer.ts";
import { InlineDirectory } from "./inline-directory.ts";
import type { InodeRecord } from "./inode-record.ts";
import { mapCredits } from "./map-writer.ts";
import type { JournaledBlock } from "./transaction.ts";

/**
 * Blocks that adding one name may change besides what giving out blocks takes: three levels of
 * index and a leaf, as many new ones, and the inode.
 */
const ADD_COPIES = 9;
/** Calls of `mapBlocks` that it may take: one for each new block when space is in pieces. */
const ADD_CALLS = 4;

/** Credits of an operation that adds a name. */
export function addEntryCredits(record: InodeRecord): number {
  return ADD_COPIES + ADD_CALLS * mapCredits(record);
}

/** Credits of an operation that takes a name out, or leads it or `..` elsewhere. */
export const CHANGE_ENTRY_CREDITS = 2;

/** Where a name stands in a directory with blocks. */
interface Found {
  readonly index: number;
  readonly block: JournaledBlock;
  readonly area: EntryArea;
  readonly place: EntryPlace;
}

/** One directory that is changed. The record is stored when it changes; its times are not set. */
export class DirectoryWriter {
  readonly record: InodeRecord;
  readonly #editor: ExtEditor;
  readonly #map: FileMap;
  #directory: DirectoryBlocks | undefined;

  /** `map` is of `record`, and is told what changes. */
  constructor(editor: ExtEditor, record: InodeRecord, map: FileMap) {
    this.record = record;
    this.#editor = editor;
    this.#map = map;
  }

  /**
   * Puts a name in. A directory that is full grows: out of its inode, to a hash tree, by levels.
   * @throws EEXIST, ENAMETOOLONG, ENOSPC with nothing changed, EUCLEAN, EBADMSG, EIO
   */
  addEntry(handle: Handle, name: Uint8Array, target: EntryTarget): void {
    checkName(name);
    if (this.#isInline) {
      const inline = new InlineDirectory(this.#editor, this.record);
      if (inline.add(handle, name, target)) return;
      inline.moveOut(handle, this.#map);
    }
    const edit = this.#edit(handle);
    if (edit.directory.isIndexed) addHashed(edit, name, target);
    else this.#addLinear(edit, name, target);
  }

  /** Takes a name out; what it led to. @throws ENOENT, EUCLEAN, EBADMSG, EIO */
  removeEntry(handle: Handle, name: Uint8Array): EntryTarget {
    checkName(name);
    if (this.#isInline) return new InlineDirectory(this.#editor, this.record).remove(handle, name);
    const edit = this.#edit(handle);
    const { block, area, place } = this.#find(edit, name);
    area.remove(place);
    edit.sealLeaf(block);
    return { ino: place.ino, type: place.type };
  }

  /** Leads a name elsewhere; what it led to before. @throws ENOENT, EUCLEAN, EBADMSG, EIO */
  replaceEntry(handle: Handle, name: Uint8Array, target: EntryTarget): EntryTarget {
    checkName(name);
    if (this.#isInline) {
      return new InlineDirectory(this.#editor, this.record).replace(handle, name, target);
    }
    const edit = this.#edit(handle);
    const { block, area, place } = this.#find(edit, name);
    area.replace(place.at, target);
    edit.sealLeaf(block);
    return { ino: place.ino, type: place.type };
  }

  /** Makes `..` lead to another inode. @throws EUCLEAN, EBADMSG, EIO */
  setParent(handle: Handle, ino: number): void {
    if (this.#isInline) {
      new InlineDirectory(this.#editor, this.record).setParent(handle, ino);
      return;
    }
    const edit = this.#edit(handle);
    const block = edit.open(0);
    checkDots(edit, block);
    setParentIn(block, ino);
    if (edit.directory.isIndexed) edit.sealIndex(block, 0);
    else edit.sealLeaf(block);
  }

  /** Whether there are no names but `.` and `..`. @throws EUCLEAN, EBADMSG, EIO */
  get isEmpty(): boolean {
    if (this.#isInline) return new InlineDirectory(this.#editor, this.record).isEmpty;
    const directory = this.#blocks();
    for (let index = 0; index < directory.count; index++) {
      const scanner = directory.scan(directory.get(index), index);
      for (let position = index === 0 ? 0 : 2; scanner.next(); position++) {
        if (position >= 2 && scanner.inode !== 0) return false;
      }
    }
    return true;
  }

  get #isInline(): boolean {
    return this.record.has(EXT4_INLINE_DATA_FL);
  }

  #blocks(): DirectoryBlocks {
    const { volume } = this.#editor;
    return (this.#directory ??= new DirectoryBlocks(volume, this.record, this.#map));
  }

  #edit(handle: Handle): DirectoryEdit {
    return new DirectoryEdit(this.#editor, handle, this.#blocks(), this.#map);
  }

  #addLinear(edit: DirectoryEdit, name: Uint8Array, target: EntryTarget): void {
    const { directory } = edit;
    const { superblock } = this.#editor.volume;
    for (let index = 0; index < directory.count; index++) {
      const room = edit.room(index, name);
      if (room === undefined) continue;
      const block = edit.open(index);
      edit.area(block, index).put(room, name, target);
      edit.sealLeaf(block);
      return;
    }
    const indexes = hasCompat(superblock, EXT4_FEATURE_COMPAT_DIR_INDEX) && canIndex(edit);
    if (directory.count === 1 && indexes) {
      makeIndexed(edit, name, target);
      return;
    }
    const index = directory.count;
    const [block] = edit.append(1) as [JournaledBlock];
    edit.area(block, index).setEntries([{ name, ...target }]);
    edit.sealLeaf(block);
  }

  /** @throws ENOENT */
  #find(edit: DirectoryEdit, name: Uint8Array): Found {
    const { directory } = edit;
    const index = directory.isIndexed
      ? findHashed(directory, name)?.index
      : findLinear(directory, name);
    if (index === undefined) throw missing(name);
    const block = edit.open(index);
    const area = edit.area(block, index);
    const place = area.find(name);
    assert(place !== undefined, "a name that was just seen");
    return { index, block, area, place };
  }
}

/**
 * Gives a new directory its first block, with `.` and `..`; the record is stored. An inode in which
 * entries are to be kept (`inline_data`) is made by `initInlineDirectory` instead.
 * @throws ENOSPC with nothing changed, EUCLEAN, EIO
 */
export function initDirectory(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  parent: number,
): void {
  writeFirstBlock(editor, handle, record, new FileMap(editor.volume, record), parent);
}

function setParentIn(block: JournaledBlock, ino: number): void {
  block.memory.setUint32(12, ino, true);
}

function findLinear(directory: DirectoryBlocks, name: Uint8Array): number | undefined {
  for (let index = 0; index < directory.count; index++) {
    const scanner = directory.scan(directory.get(index), index);
    while (scanner.next()) if (scanner.matches(name)) return index;
  }
  return undefined;
}

/** @throws ENAMETOOLONG; everything else that is no name is the caller's to refuse */
function checkName(name: Uint8Array): void {
  if (name.length > EXT4_NAME_LEN) {
    const detail = `a name of ${name.length} bytes; ${EXT4_NAME_LEN} at most`;
    throw new DaxError("ENAMETOOLONG", { detail });
  }
  const dots = name.length < 3 && name.every((byte) => byte === 0x2e);
  assert(!dots && !name.includes(0) && !name.includes(0x2f), "no name for an entry");
}

function missing(name: Uint8Array): DaxError {
  return new DaxError("ENOENT", { detail: `${JSON.stringify(decodeUtf8(name))} is not there` });
}
