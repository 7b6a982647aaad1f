/**
 * The writing half of an inode, as the vfs sees it: each family of calls is a file of its own.
 *
 * @module
 */
import { EXT4_SYNC_FL } from "../../format/ext-inode.ts";
import { isDaxError } from "../../lib/errno.ts";
import { S_IFREG } from "../../vfs/modes.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import type {
  AttributeChange,
  FallocateMode,
  InodeWriting,
  NewFile,
  RenameOptions,
} from "../../vfs/writing.ts";
import { removeAttribute, setAttribute } from "./attribute-values.ts";
import { change, changeFlags, visibleFlags } from "./attributes-writer.ts";
import { overwrite, writeData } from "./data-writer.ts";
import { finishDeletion } from "./deletion.ts";
import { fallocate } from "./fallocate.ts";
import type { ExtInode } from "./inode.ts";
import type { InodeState } from "./inode-state.ts";
import { make, makeUnnamed } from "./make.ts";
import { refusal } from "./new-names.ts";
import { rename } from "./rename.ts";
import { truncate } from "./resize.ts";
import { link, rmdir, unlink } from "./unlink.ts";
import type { ExtWriting } from "./writing.ts";

/** What changes one inode. */
export class ExtInodeWriting implements InodeWriting {
  readonly #writing: ExtWriting;
  readonly #inode: ExtInode;

  constructor(writing: ExtWriting, inode: ExtInode) {
    this.#writing = writing;
    this.#inode = inode;
  }

  make(name: string, file: NewFile): ExtInode {
    return this.#call((writing, { filesystem, state }) => {
      this.#assertFree(name, "open");
      return filesystem.adopt(make(writing, state, name, file));
    });
  }

  makeUnnamed(file: NewFile): ExtInode {
    return this.#call((writing, { filesystem, state }) => {
      const inode = filesystem.adopt(makeUnnamed(writing, state, file));
      inode.state.linkable = true;
      return inode;
    });
  }

  link(name: string, target: Inode): void {
    this.#call((writing, { state }) => {
      this.#assertFree(name, "link");
      link(writing, state, name, this.#own(target, "link").state);
    });
  }

  unlink(name: string): void {
    this.#call((writing, { state }) => {
      unlink(writing, state, name, this.#find(name, "unlink"));
    });
  }

  rmdir(name: string): void {
    this.#call((writing, { state }) => {
      rmdir(writing, state, name, this.#find(name, "rmdir"));
    });
  }

  rename(name: string, directory: Inode, newName: string, options: RenameOptions = {}): void {
    this.#call((writing, { state }) => {
      const to = this.#own(directory, "rename");
      const from = { directory: state, name, inode: this.#find(name, "rename") };
      const target = to.lookup(newName)?.state;
      rename(writing, from, { directory: to.state, name: newName, inode: target }, options);
    });
  }

  change(wanted: AttributeChange): void {
    this.#call((writing, { state }) => change(writing, state, wanted));
  }

  truncate(size: number): void {
    this.#call((writing, { state }) => {
      this.#assertRegular("truncate");
      truncate(writing, state, size);
    });
  }

  write(source: Uint8Array, offset: number): number {
    const { state } = this.#inode;
    this.#writing.assertUsable();
    const done = this.#write(state, source, offset);
    if ((state.record.flags & EXT4_SYNC_FL) !== 0) this.sync("data");
    return done;
  }

  fallocate(mode: FallocateMode, offset: number, length: number, keepSize?: boolean): void {
    this.#call((writing, { state }) => {
      fallocate(writing, state, mode, { offset, length }, keepSize);
    });
  }

  setxattr(name: string, value: Uint8Array, how?: "create" | "replace"): void {
    this.#call((writing, { state }) => setAttribute(writing, state, name, value, how ?? "any"));
  }

  removexattr(name: string): void {
    this.#call((writing, { state }) => removeAttribute(writing, state, name));
  }

  get flags(): number {
    return visibleFlags(this.#inode.state);
  }

  set flags(flags: number) {
    this.#call((writing, { state }) => changeFlags(writing, state, flags));
  }

  sync(how: "all" | "data"): void {
    const { state } = this.#inode;
    this.#writing.syncThrough(how === "all" ? state.transaction : state.dataTransaction);
  }

  hold(): void {
    const { state } = this.#inode;
    if (state.holds++ === 0) this.#writing.inodes.hold(this.#inode);
  }

  release(): void {
    const { state } = this.#inode;
    if (state.holds === 0 || --state.holds > 0) return;
    this.#writing.inodes.release(this.#inode.ino);
    const nameless = state.record.links === 0 && this.#writing.journal.error === undefined;
    if (nameless) finishDeletion(this.#writing, state);
  }

  /** Damage that a call meets before it has changed anything is dealt with as `errors=` says. */
  #call<T>(body: (writing: ExtWriting, inode: ExtInode) => T): T {
    this.#writing.assertUsable();
    try {
      return body(this.#writing, this.#inode);
    } catch (error) {
      throw this.#met(error);
    }
  }

  /** No closure here: a write that only copies makes no object. */
  #write(state: InodeState, source: Uint8Array, offset: number): number {
    try {
      const done = overwrite(this.#writing, state, source, offset);
      if (done === source.length && done > 0) return done;
      this.#assertRegular("write");
      return writeData(this.#writing, state, source, offset);
    } catch (error) {
      throw this.#met(error);
    }
  }

  #met(error: unknown): unknown {
    if (isDaxError(error, "EUCLEAN", "EBADMSG")) this.#writing.metDamage(error);
    return error;
  }

  #assertFree(name: string, syscall: string): void {
    if (this.#inode.lookup(name) === undefined) return;
    throw refusal("EEXIST", syscall, `directory ${this.#inode.ino} has that name`);
  }

  #find(name: string, syscall: string): InodeState {
    const found = this.#inode.lookup(name);
    if (found !== undefined) return found.state;
    throw refusal("ENOENT", syscall, `directory ${this.#inode.ino} has no such name`);
  }

  /** An inode of this filesystem. @throws EXDEV */
  #own(inode: Inode, syscall: string): ExtInode {
    if (inode.filesystem === this.#inode.filesystem) return inode as ExtInode;
    throw refusal("EXDEV", syscall, "the two are on different filesystems");
  }

  #assertRegular(syscall: string): void {
    if (this.#inode.state.record.type === S_IFREG) return;
    throw refusal("EINVAL", syscall, `inode ${this.#inode.ino} is no regular file`);
  }
}
