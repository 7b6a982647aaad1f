/**
 * An inode of a mounted filesystem, as the vfs and dax see it.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import type { Iomap, IomapIntent } from "../../dax/iomap.ts";
import {
  EXT4_DAX_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_JOURNAL_DATA_FL,
  EXT4_ROOT_INO,
  EXT4_VERITY_FL,
} from "../../format/ext-inode.ts";
import { EXT4_NAME_LEN } from "../../format/ext-directory.ts";
import { DaxError } from "../../lib/errno.ts";
import type { Range } from "../../lib/range-set.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import type { Attributes, DirectoryEntry, Filesystem, Inode } from "../../vfs/filesystem.ts";
import type { InodeWriting } from "../../vfs/writing.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../vfs/modes.ts";
import { corrupt } from "./corruption.ts";
import { mapForWriting } from "./data-mapping.ts";
import { type Directory, openDirectory } from "./directory.ts";
import { inlineContents } from "./inline.ts";
import { type InodeRecord, deviceOf, gidOf, statBlocks, timesOf, uidOf } from "./inode-record.ts";
import type { InodeState } from "./inode-state.ts";
import { ExtInodeWriting } from "./inode-writing.ts";
import { encodeName } from "./name-bytes.ts";
import { readTarget } from "./symlink.ts";
import { visibleFlags } from "./visible-flags.ts";
import type { Volume } from "./volume.ts";
import type { ExtWriting } from "./writing.ts";
import type { XattrEntry } from "./xattr-entries.ts";
import { readXattrs, xattrValue } from "./xattr.ts";

/** What an inode needs of the filesystem that it belongs to. */
export interface InodeOwner extends Filesystem {
  readonly volume: Volume;
  /** Which regular files reach the media without a page cache. */
  readonly daxPolicy: DaxPolicy;
  /** What the mount holds to change it; undefined when it is mounted for reading. */
  readonly writing: ExtWriting | undefined;
  /** The inode that an entry of `directory` names. @throws EUCLEAN when it is not in use */
  inodeOfEntry(ino: number, directory: number): ExtInode;
  /** A new inode joins those in use. */
  adopt(record: InodeRecord): ExtInode;
  /** What is known now of an inode whose state was retired. @throws ESTALE for a deleted one */
  renew(inode: ExtInode): InodeState;
}

/** `always` and `never` for all, `inode` by the flag of each; `never` where dax is impossible. */
export type DaxPolicy = "always" | "inode" | "never";

/** No dax for data that takes another way. */
const NO_DAX_FLAGS = [EXT4_JOURNAL_DATA_FL, EXT4_INLINE_DATA_FL, EXT4_VERITY_FL];

/** An inode in use. */
export class ExtInode implements Inode {
  readonly filesystem: InodeOwner;
  readonly ino: number;
  readonly generation: number;
  #state: InodeState;
  #writing: InodeWriting | undefined;

  constructor(filesystem: InodeOwner, state: InodeState) {
    this.filesystem = filesystem;
    this.ino = state.record.ino;
    this.generation = state.record.generation;
    this.#state = state;
  }

  /** What is known of it; for the parts of this driver. @throws ESTALE when it was deleted */
  get state(): InodeState {
    const state = this.#state;
    return state.retired ? (this.#state = this.filesystem.renew(this)) : state;
  }

  get mode(): number {
    return this.state.record.mode;
  }

  get size(): number {
    const { record, delayedEnd } = this.state;
    return Math.max(record.size, delayedEnd);
  }

  get flags(): number {
    return visibleFlags(this.state.record);
  }

  get mapGeneration(): number {
    return this.state.map.generation;
  }

  /** What this is about; undefined where the map is known anew. */
  mapChangesSince(generation: number): Iterable<Range> | undefined {
    return this.state.map.changesSince(generation);
  }

  get namesGeneration(): number {
    return this.state.namesGeneration;
  }

  get writing(): InodeWriting | undefined {
    const { writing } = this.filesystem;
    if (writing === undefined) return undefined;
    return (this.#writing ??= new ExtInodeWriting(writing, this));
  }

  /** As Linux decides S_DAX (`ext4_should_enable_dax`). */
  get isDax(): boolean {
    const { daxPolicy } = this.filesystem;
    const { record } = this.state;
    if (daxPolicy === "never" || record.type !== S_IFREG) return false;
    if (NO_DAX_FLAGS.some((flag) => record.has(flag))) return false;
    return daxPolicy === "always" || record.has(EXT4_DAX_FL);
  }

  attributes(): Attributes {
    const { record } = this.state;
    const { atime, mtime, ctime, btime } = timesOf(record);
    return {
      mode: record.mode,
      nlink: record.links,
      uid: uidOf(record),
      gid: gidOf(record),
      rdev: deviceOf(record),
      size: this.size,
      blocks: this.#statBlocks(),
      atime,
      mtime,
      ctime,
      btime,
    };
  }

  /** With those that are still to be allocated: who finds none takes all for a hole (`tar -S`). */
  #statBlocks(): number {
    const { record, waiting } = this.state;
    const { superblock } = this.filesystem.volume;
    const reserved = waiting?.reserved ?? 0;
    return statBlocks(superblock, record) + (reserved * superblock.blockSize) / SECTOR_SIZE;
  }

  /**
   * As {@link Inode.lookup}. A directory that is found must name this one as its parent, so that
   * no walk downwards can go in circles.
   */
  lookup(name: string): ExtInode | undefined {
    if (this.#isRemoved) return undefined;
    const directory = this.#openDirectory("lookup");
    if (name === ".") return this;
    if (name === "..") return this.filesystem.inodeOfEntry(directory.parent, this.ino);
    const { state } = this;
    if (state.absent === name) return undefined;
    const bytes = encodeName(name);
    if (bytes.length === 0 || bytes.length > EXT4_NAME_LEN) return undefined;
    if (name.includes("/") || name.includes("\0")) return undefined;
    const ino = directory.lookup(bytes);
    if (ino === 0) {
      state.absent = name;
      return undefined;
    }
    if (ino === this.ino || ino === EXT4_ROOT_INO) {
      const where = `inode ${this.ino} directory`;
      throw corrupt(where, "entry inode", ino, "that would be a loop");
    }
    const child = this.filesystem.inodeOfEntry(ino, this.ino);
    child.checkParent(this.ino);
    return child;
  }

  readdir(cookie: number): Iterable<DirectoryEntry> {
    if (this.#isRemoved) {
      throw new DaxError("ENOENT", { syscall: "readdir", detail: `${this.#name} was removed` });
    }
    return this.#openDirectory("readdir").entries(cookie);
  }

  readlink(): string {
    const { record, map } = this.state;
    if (record.type !== S_IFLNK) {
      const detail = `${this.#name} is no symbolic link`;
      throw new DaxError("EINVAL", { syscall: "readlink", detail });
    }
    return decodeUtf8(readTarget(this.filesystem.volume, record, map));
  }

  listxattr(): readonly string[] {
    return [...this.#readXattrs().keys()];
  }

  getxattr(name: string): Uint8Array | undefined {
    const entry = this.#readXattrs().get(name);
    if (entry === undefined) return undefined;
    return xattrValue(this.filesystem.volume, this.state.record, entry);
  }

  // One question in a read; what it decoded stays, and the answer is the same object every time.
  iomapBegin(offset: number, length: number, intent: IomapIntent): Iomap {
    const { state } = this;
    if (state.waiting !== undefined) {
      if (intent === "read") return this.peek(offset, length);
      this.filesystem.writing?.delayed?.writeOut(state);
    }
    if (intent !== "read" && intent !== "report") {
      return mapForWriting(this.#writable(), state, { offset, length }, intent);
    }
    return this.#mapOf(offset);
  }

  /** What `read` is answered, with whatever waits in memory for its place. */
  peek(offset: number, length: number): Iomap {
    const { waiting, record, delayedEnd } = this.state;
    const page = waiting?.at(offset);
    if (page !== undefined) {
      const { offset: start, bytes: inline } = page;
      return { ...this.#hole(start), type: "inline", length: inline.length, inline };
    }
    // Behind the size on the device nothing is the file's but what waits: a cut may have left more.
    const shown = delayedEnd > record.size ? record.size : Number.MAX_SAFE_INTEGER;
    const map = offset < shown ? this.#mapOf(offset) : this.#hole(offset);
    const end = Math.min(map.offset + map.length, offset + length);
    const stop = offset < shown ? Math.min(end, shown) : end;
    const limit = waiting?.next(offset, stop) ?? stop;
    return { ...map, length: limit - map.offset };
  }

  #mapOf(offset: number): Iomap {
    const { record, map } = this.state;
    if (record.has(EXT4_INLINE_DATA_FL)) return this.#inlineMap(offset);
    if (record.type === S_IFREG || record.type === S_IFDIR) return map.iomap(offset);
    return this.#hole(0);
  }

  /** @throws EROFS, EINVAL for what is no regular file */
  #writable(): ExtWriting {
    const { writing } = this.filesystem;
    const detail = `${this.#name} is not to be written to`;
    if (writing === undefined) throw new DaxError("EROFS", { syscall: "write", detail });
    if (this.state.record.type === S_IFREG) return writing;
    throw new DaxError("EINVAL", { syscall: "write", detail });
  }

  /** @throws EUCLEAN when this is a directory whose `..` is not `parent` */
  checkParent(parent: number): void {
    if (this.state.record.type !== S_IFDIR) return;
    const { parent: own } = this.#openDirectory("lookup");
    if (own !== parent) {
      throw corrupt(`${this.#name} directory`, "'..'", own, `inode ${parent} holds it`);
    }
  }

  get #name(): string {
    return `inode ${this.ino}`;
  }

  /** A directory that somebody still has open: nothing is found in it. */
  get #isRemoved(): boolean {
    const { record } = this.state;
    return record.links === 0 && record.type === S_IFDIR && this.filesystem.writing !== undefined;
  }

  #openDirectory(syscall: string): Directory {
    const { state } = this;
    const known = state.directory;
    if (known !== undefined) return known;
    if (state.record.type !== S_IFDIR) {
      throw new DaxError("ENOTDIR", { syscall, detail: this.#name });
    }
    const { volume } = this.filesystem;
    return (state.directory = openDirectory(volume, state.record, state.map));
  }

  #readXattrs(): Map<string, XattrEntry> {
    const { state } = this;
    return (state.xattrs ??= readXattrs(this.filesystem.volume, state.record));
  }

  #inlineMap(offset: number): Iomap {
    const map = (this.state.inline ??= this.#makeInlineMap());
    return offset < map.length ? map : this.#hole(map.length);
  }

  #makeInlineMap(): Iomap {
    const { device, volume } = this.filesystem;
    const inline = inlineContents(volume, this.state.record);
    const place = { offset: 0, length: inline.length, addr: 0, range: device.dax, store: device };
    return { type: "inline", ...place, inline };
  }

  #hole(offset: number): Iomap {
    const { device } = this.filesystem;
    const length = Number.MAX_SAFE_INTEGER - offset;
    return { type: "hole", offset, length, addr: 0, range: device.dax, store: device };
  }
}
