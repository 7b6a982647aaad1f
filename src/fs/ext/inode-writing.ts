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
import { access } from "./access-time.ts";
import { removeAttribute, setAttribute } from "./attribute-values.ts";
import { change, changeFlags } from "./attributes-writer.ts";
import { mayBeDelayed, overwrite, writeData } from "./data-writer.ts";
import { fallocate } from "./fallocate.ts";
import { finishDeletion } from "./deletion.ts";
import type { FileRange } from "./delayed-writes.ts";
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
      // `auto_da_alloc`: who takes a name over is to have its contents when the name is durable.
      if (target !== undefined && options.exchange !== true) {
        writing.delayed?.allocate(from.inode);
      }
      rename(writing, from, { directory: to.state, name: newName, inode: target }, options);
    });
  }

  change(wanted: AttributeChange): void {
    this.#call((writing, { state }) => change(writing, state, wanted));
  }

  accessed(rule: "relative" | "strict"): boolean {
    return access(this.#writing, this.#inode.state, rule);
  }

  truncate(size: number): void {
    this.#call((writing, { state }) => {
      this.#assertRegular("truncate");
      writing.delayed?.beforeResize(this.#inode, size);
      truncate(writing, state, size);
      writing.delayed?.resized(state, size);
      if (size === 0 && writing.delayed !== undefined) state.writesOutOnClose = true;
    });
  }

  write(source: Uint8Array, offset: number): number {
    const { state } = this.#inode;
    this.#writing.assertChangeable("write");
    const done = this.#write(state, source, offset);
    if ((state.record.flags & EXT4_SYNC_FL) !== 0) this.sync("data");
    return done;
  }

  fallocate(mode: FallocateMode, offset: number, length: number, keepSize?: boolean): void {
    this.#call((writing, { state }) => {
      if (mode === "allocate") writing.delayed?.settle(state);
      else this.#writeOut(state);
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
    return this.#inode.flags;
  }

  set flags(flags: number) {
    this.#call((writing, { state }) => {
      // What nobody may write to any more has what was written before.
      this.#writeOut(state);
      changeFlags(writing, state, flags);
    });
  }

  sync(how: "all" | "data", range?: FileRange): void {
    const { state } = this.#inode;
    this.#writing.assertUsable();
    this.#writeOut(state, range);
    this.#tellError(state);
    const transaction = how === "all" ? state.transaction : state.dataTransaction;
    if (this.#writing.syncedAlone(state, transaction)) return;
    this.#writing.syncThrough(transaction);
  }

  hold(): void {
    const { state } = this.#inode;
    if (state.holds++ === 0) this.#writing.inodes.hold(this.#inode);
  }

  release(): void {
    const { state } = this.#inode;
    if (state.holds === 0) return;
    const { usable } = this.#writing;
    if (state.writesOutOnClose && usable) {
      state.writesOutOnClose = false;
      // As in Linux closing tells nobody; who syncs the file hears of it.
      this.#writing.delayed?.allocate(state);
    }
    if (--state.holds > 0) return;
    const nameless = state.record.links === 0;
    if (nameless) this.#writing.delayed?.drop(state);
    if (nameless && this.#writing.deletesLater(this.#inode)) return;
    if (this.#writing.delayed?.holds(state) !== true) {
      this.#writing.inodes.release(this.#inode.ino);
    }
    if (nameless && usable) finishDeletion(this.#writing, state);
  }

  /** Damage that a call meets before it has changed anything is dealt with as `errors=` says. */
  #call<T>(body: (writing: ExtWriting, inode: ExtInode) => T): T {
    this.#writing.assertChangeable("write");
    try {
      return body(this.#writing, this.#inode);
    } catch (error) {
      throw this.#met(error);
    }
  }

  /** No closure here: a write that only copies makes no object. */
  #write(state: InodeState, source: Uint8Array, offset: number): number {
    try {
      const { delayed } = this.#writing;
      if (delayed === undefined || delayed.overwrites(state) || this.#inode.isDax) {
        const done = overwrite(this.#writing, state, source, offset);
        if (done === source.length && done > 0) return done;
      }
      this.#assertRegular("write");
      if (this.#keeps(source, offset)) return source.length;
      return writeData(this.#writing, state, source, offset);
    } catch (error) {
      throw this.#met(error);
    }
  }

  /** Whether the bytes wait in memory. */
  #keeps(source: Uint8Array, offset: number): boolean {
    const { delayed } = this.#writing;
    const { state } = this.#inode;
    if (delayed === undefined || this.#inode.isDax) return false;
    if (!mayBeDelayed(this.#writing, state, source.length, offset)) delayed.writeOut(state);
    else if (delayed.keep(this.#inode, source, offset)) return true;
    // Room is short: what waits gets its blocks before others take them.
    else delayed.writeOutAll();
    return false;
  }

  #writeOut(state: InodeState, range?: FileRange): void {
    if (state.waiting !== undefined) this.#writing.delayed?.writeOut(state, range);
  }

  /** Once, what became of contents that others had written out. @throws EIO, ENOSPC */
  #tellError(state: InodeState): void {
    const { writeError } = state;
    state.writeError = undefined;
    if (writeError !== undefined) throw writeError;
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
