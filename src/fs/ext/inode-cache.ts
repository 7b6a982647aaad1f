/**
 * The inodes that are remembered, in two generations as in `recent.ts`. Where files are written,
 * one that is forgotten is retired: whoever still has it finds out, and asks for what is known now.
 *
 * @module
 */
import type { ExtInode } from "./inode.ts";

/** Inodes that are remembered, those not used for longest going first. */
const CACHED_INODES = 4096;

/** Inodes by number, never two with states of their own while something can change them. */
export class InodeCache {
  readonly #retires: boolean;
  readonly #half = CACHED_INODES / 2;
  #young = new Map<number, ExtInode>();
  #old = new Map<number, ExtInode>();
  /** Whether inodes were forgotten that something may have changed. */
  hasForgotten = false;
  /** Those that open files hold are never forgotten. */
  readonly #held = new Map<number, ExtInode>();

  /** `retires`: the filesystem is mounted for writing. */
  constructor(retires: boolean) {
    this.#retires = retires;
  }

  get(ino: number): ExtInode | undefined {
    const young = this.#young.get(ino);
    if (young !== undefined) return young;
    const found = this.#old.get(ino) ?? this.#held.get(ino);
    if (found !== undefined) this.set(found);
    return found;
  }

  set(inode: ExtInode): void {
    // Out of those that a turn drops: it is wanted now, and must not be retired by that.
    this.#old.delete(inode.ino);
    if (this.#young.size >= this.#half) this.#turn();
    this.#young.set(inode.ino, inode);
  }

  /** An open file holds it from now on. */
  hold(inode: ExtInode): void {
    if (!this.#held.has(inode.ino)) this.#held.set(inode.ino, inode);
  }

  /** Nobody holds it any more. */
  release(ino: number): void {
    const inode = this.#held.get(ino);
    if (inode === undefined) return;
    this.#held.delete(ino);
    this.set(inode);
  }

  /** What open files hold now. */
  get held(): readonly ExtInode[] {
    return [...this.#held.values()];
  }

  /** Forgets an inode that was deleted: its number may name another one soon. */
  delete(ino: number): void {
    const inode = this.#young.get(ino) ?? this.#old.get(ino) ?? this.#held.get(ino);
    this.#young.delete(ino);
    this.#old.delete(ino);
    this.#held.delete(ino);
    if (inode !== undefined) inode.state.retired = true;
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#held.clear();
  }

  #turn(): void {
    const dropped = this.#old;
    this.#old = this.#young;
    this.#young = new Map();
    if (!this.#retires) return;
    for (const [ino, inode] of dropped) {
      if (this.#old.has(ino) || this.#held.has(ino)) continue;
      inode.state.retired = true;
      this.hasForgotten = true;
    }
  }
}
