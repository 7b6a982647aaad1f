/**
 * What is known of one inode of a mounted filesystem: its record, and what was read by it. All
 * objects that stand for the inode share it, so what one of them changes every other one sees.
 *
 * @module
 */
import type { Iomap } from "../../dax/iomap.ts";
import type { DaxError } from "../../lib/errno.ts";
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import type { Directory } from "./directory.ts";
import { nextGeneration } from "./generation.ts";
import type { DirectoryWriter } from "./directory-writer.ts";
import { FileMap } from "./file-map.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { Volume } from "./volume.ts";
import type { WaitingPages } from "./waiting-pages.ts";
import type { XattrEntry } from "./xattr-entries.ts";

/** The one mutable record of an inode, and caches over it. */
export class InodeState {
  readonly record: InodeRecord;
  readonly map: FileMap;
  inline: Iomap | undefined;
  directory: Directory | undefined;
  xattrs: Map<string, XattrEntry> | undefined;
  /** The name that a directory was last found not to have: who makes a file asks twice. */
  absent: string | undefined;
  /** What changes the names of a directory. */
  names: DirectoryWriter | undefined;
  /** Open files: the inode lives on without a name. */
  holds = 0;
  /** Made without a name (O_TMPFILE), and may get one. */
  linkable = false;
  /** The last transaction that changed it; 0: none of this mount. */
  transaction = 0;
  /** The last of these that changed what reading its data back takes. */
  dataTransaction = 0;
  /** Its size at that time. */
  notedSize: number;
  /** Contents that are in memory only. */
  waiting: WaitingPages | undefined;
  /** Where they end, if behind the size on the device; else 0. */
  delayedEnd = 0;
  /** What became of contents that waited, when somebody else had them written out. */
  writeError: DaxError | undefined;
  /** It was cut to nothing: what is written then gets its blocks when it is closed. */
  writesOutOnClose = false;
  /** The last transaction in which it was cut within a block. */
  cutIn = 0;
  /** The clock's tick at which it was written to last. */
  writtenAt = -1;
  /** The last run that was found to be the file's own, and no part of the filesystem. */
  proved: Iomap | undefined;
  /** Nobody keeps it up to date any more: the inode was deleted, or is read anew when used. */
  retired = false;
  /** Another number whenever the names of a directory have changed. */
  namesGeneration = nextGeneration();
  #inInode: boolean;

  constructor(volume: Volume, record: InodeRecord) {
    this.record = record;
    this.notedSize = record.size;
    this.#inInode = record.has(EXT4_INLINE_DATA_FL);
    this.map = new FileMap(volume, record);
  }

  /** Forgets what was read of the attributes, and of what lies beside them in the inode. */
  forgetAttributes(): void {
    this.xattrs = undefined;
    this.inline = undefined;
  }

  /** Names were put in or taken out. Only a directory in its inode has to be read anew then. */
  namesChanged(): void {
    this.namesGeneration = nextGeneration();
    this.absent = undefined;
    const inInode = this.record.has(EXT4_INLINE_DATA_FL);
    if (inInode || this.#inInode) this.forgetDirectory();
    this.#inInode = inInode;
  }

  /** Forgets what was read of a directory as a whole: its shape, or its parent, has changed. */
  forgetDirectory(): void {
    this.absent = undefined;
    this.directory = undefined;
    this.forgetAttributes();
  }
}
