/**
 * The blocks of a directory during one operation: opened to be changed, and sealed.
 *
 * @module
 */
import type { DirectoryBlocks } from "./directory-blocks.ts";
import { countLimitOffset, leafRoom, sealIndex, sealLeaf } from "./directory-seal.ts";
import { appendBlocks } from "./directory-growth.ts";
import type { ExtEditor } from "./editor.ts";
import { EntryArea, type EntryRoom } from "./entry-area.ts";
import type { FileMap } from "./file-map.ts";
import type { Handle } from "./handle.ts";
import type { JournaledBlock } from "./transaction.ts";

/** One directory with blocks, under one handle. */
export class DirectoryEdit {
  readonly editor: ExtEditor;
  readonly handle: Handle;
  readonly directory: DirectoryBlocks;
  readonly #map: FileMap;

  constructor(editor: ExtEditor, handle: Handle, directory: DirectoryBlocks, map: FileMap) {
    this.editor = editor;
    this.handle = handle;
    this.directory = directory;
    this.#map = map;
  }

  /** A block that is to be changed, its checksum verified first. @throws EUCLEAN, EBADMSG, EIO */
  open(index: number): JournaledBlock {
    const { number } = this.directory.get(index);
    return this.handle.get(number, this.directory.where(index));
  }

  /** The entries of an open leaf. */
  area(block: JournaledBlock, index: number): EntryArea {
    const { superblock } = this.editor.volume;
    const where = this.directory.where(index);
    const limit = leafRoom(superblock);
    return new EntryArea(superblock, block.bytes, 0, limit, where, block.memory);
  }

  /** A leaf was changed: readers see it, and its checksum follows with the commit. */
  sealLeaf(block: JournaledBlock): void {
    const { volume } = this.editor;
    const { seed } = this.directory.record;
    volume.blocks.putUnsealed(this.handle, block, "directory leaf", seed, () => {
      sealLeaf(volume.superblock, seed, block.bytes);
    });
  }

  /** An index block was changed. */
  sealIndex(block: JournaledBlock, index: number): void {
    const { volume } = this.editor;
    const { seed } = this.directory.record;
    volume.blocks.putUnsealed(this.handle, block, "directory index", seed, () => {
      sealIndex(volume.superblock, seed, block.bytes, countLimitOffset(index));
    });
  }

  /** Where a leaf has room for a name; it is only read. @throws EEXIST when it has the name */
  room(index: number, name: Uint8Array): EntryRoom | undefined {
    const { superblock } = this.editor.volume;
    const { bytes, view } = this.directory.get(index);
    const where = this.directory.where(index);
    const limit = leafRoom(superblock);
    return new EntryArea(superblock, bytes, 0, limit, where, view).room(name);
  }

  /** Blocks at the end, as {@link appendBlocks}. @throws ENOSPC, EUCLEAN, EIO */
  append(count: number): JournaledBlock[] {
    const { editor, handle, directory } = this;
    return appendBlocks(editor, handle, directory.record, this.#map, count);
  }
}
