/**
 * Directories in their inodes: changed there while they have room, and moved out to a block.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { writeFirstBlock } from "./directory-growth.ts";
import type { ExtEditor } from "./editor.ts";
import { EntryArea, type EntryPlace, type EntryTarget, entryLength } from "./entry-area.ts";
import type { FileMap } from "./file-map.ts";
import type { Handle } from "./handle.ts";
import { inlineRest } from "./inline.ts";
import { enterInode, leaveInode } from "./inline-state.ts";
import { inlineRoom, setInlineRest } from "./inode-attributes.ts";
import { I_BLOCK_SIZE, type InodeRecord } from "./inode-record.ts";
import { setBlockWord, setSize, storeRecord } from "./inode-writer.ts";

/** The parent's number comes before the entries. */
const PARENT = 4;

/** One inline directory. */
export class InlineDirectory {
  readonly #editor: ExtEditor;
  readonly #record: InodeRecord;

  constructor(editor: ExtEditor, record: InodeRecord) {
    this.#editor = editor;
    this.#record = record;
  }

  /** Puts a name in; false when the inode has no room for it. @throws EEXIST, EUCLEAN */
  add(handle: Handle, name: Uint8Array, target: EntryTarget): boolean {
    const done = this.#addTo(name, target) || (this.#grow() && this.#addTo(name, target));
    if (done) this.#store(handle);
    return done;
  }

  /** @throws ENOENT, EUCLEAN */
  remove(handle: Handle, name: Uint8Array): EntryTarget {
    const { area, place } = this.#find(name);
    area.remove(place);
    this.#store(handle);
    return { ino: place.ino, type: place.type };
  }

  /** @throws ENOENT, EUCLEAN */
  replace(handle: Handle, name: Uint8Array, target: EntryTarget): EntryTarget {
    const { area, place } = this.#find(name);
    area.replace(place.at, target);
    this.#store(handle);
    return { ino: place.ino, type: place.type };
  }

  setParent(handle: Handle, ino: number): void {
    setBlockWord(this.#record, 0, ino);
    this.#store(handle);
  }

  /** @throws EUCLEAN */
  get isEmpty(): boolean {
    return this.#areas().every((area) => area.list().length === 0);
  }

  /**
   * Moves everything to a block. Entries keep their distances, so cookies made of places hold.
   * @throws ENOSPC with nothing changed, EUCLEAN, EIO
   */
  moveOut(handle: Handle, map: FileMap): void {
    const record = this.#record;
    const { volume } = this.#editor;
    const parent = record.blockWord(0);
    const rest = inlineRest(volume, record);
    const entries = new Uint8Array(I_BLOCK_SIZE - PARENT + rest.length);
    entries.set(record.blockBytes().subarray(PARENT));
    entries.set(rest, I_BLOCK_SIZE - PARENT);
    leaveInode(this.#editor, handle, record, () => {
      writeFirstBlock(this.#editor, handle, record, map, parent, entries);
    });
  }

  #addTo(name: Uint8Array, target: EntryTarget): boolean {
    const areas = this.#areas();
    // Both say whether they have the name, before one of them is changed.
    const rooms = areas.map((area) => area.hasRoom(name));
    return areas.some((area, i) => rooms[i] === true && area.add(name, target));
  }

  /** Lets the attribute take all room that there is; false when that is too little to matter. */
  #grow(): boolean {
    const record = this.#record;
    const { volume } = this.#editor;
    const rest = inlineRest(volume, record);
    const room = inlineRoom(volume, record);
    if (room - rest.length < entryLength(1)) return false;
    const longer = new Uint8Array(room);
    longer.set(rest);
    setInlineRest(volume, record, longer);
    setSize(volume.superblock, record, I_BLOCK_SIZE + room);
    this.#restArea().extendFrom(rest.length);
    return true;
  }

  #areas(): EntryArea[] {
    const record = this.#record;
    const { superblock } = this.#editor.volume;
    const where = `inode ${record.ino} inline directory`;
    const first = new EntryArea(superblock, record.blockBytes(), PARENT, I_BLOCK_SIZE, where);
    return [first, this.#restArea()];
  }

  #restArea(): EntryArea {
    const { superblock } = this.#editor.volume;
    const rest = inlineRest(this.#editor.volume, this.#record);
    const where = `inode ${this.#record.ino} inline directory rest`;
    return new EntryArea(superblock, rest, 0, rest.length, where);
  }

  #find(name: Uint8Array): { area: EntryArea; place: EntryPlace } {
    for (const area of this.#areas()) {
      const place = area.find(name);
      if (place !== undefined) return { area, place };
    }
    throw new DaxError("ENOENT", { detail: `${JSON.stringify(decodeUtf8(name))} is not there` });
  }

  #store(handle: Handle): void {
    storeRecord(this.#editor.volume, handle, this.#record);
  }
}

/**
 * Makes a new directory an inline one, without entries; false when its inode has no room for that.
 * The record is stored.
 */
export function initInlineDirectory(
  editor: ExtEditor,
  handle: Handle,
  record: InodeRecord,
  parent: number,
): boolean {
  const { volume } = editor;
  if (inlineRoom(volume, record) < 0) return false;
  enterInode(volume, record);
  setBlockWord(record, 0, parent);
  new EntryArea(volume.superblock, record.blockBytes(), PARENT, I_BLOCK_SIZE, "new").setEntries([]);
  setSize(volume.superblock, record, I_BLOCK_SIZE);
  storeRecord(volume, handle, record);
  return true;
}
