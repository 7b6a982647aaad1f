/**
 * Making the calls of a workload on a mounted filesystem.
 *
 * @module
 */
import type { FileTree } from "../../vfs/file-tree.ts";
import type { Mapping } from "../../vfs/mapping.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { FallocateMode } from "../../vfs/writing.ts";
import { type Allocation, type Step, type Where, isPersistence } from "./workload.ts";

/** The attribute of `setxattr`. */
const XATTR = "user.ace";
const MODES: Readonly<Record<Allocation, readonly [mode: FallocateMode, keepSize: boolean]>> = {
  allocate: ["allocate", false],
  keep: ["allocate", true],
  punch: ["punch", true],
  zero: ["zero", false],
  zeroKeep: ["zero", true],
};

/** Runs steps on a tree; mappings stay until it is dropped. */
export class Performer {
  readonly #tree: FileTree;
  readonly #blockSize: number;
  readonly #mappings = new Map<string, Mapping>();
  #calls = 0;

  /** `blockSize`: what is written is measured in blocks. */
  constructor(tree: FileTree, blockSize: number) {
    this.#tree = tree;
    this.#blockSize = blockSize;
  }

  /** Makes one call. @throws what the filesystem throws */
  run(step: Step): void {
    if (!isPersistence(step)) this.#calls++;
    const tree = this.#tree;
    switch (step.do) {
      case "creat":
        tree.open(step.path, { create: true, exclusive: true, access: "write" }).close();
        return;
      case "mkdir":
      case "unlink":
      case "rmdir":
        tree[step.do](step.path);
        return;
      case "link":
      case "rename":
        tree[step.do](step.path, step.to);
        return;
      case "symlink":
        tree.symlink(step.path, step.to);
        return;
      case "setxattr":
        tree.setxattr(step.path, XATTR, this.#bytes(24));
        return;
      case "removexattr":
        tree.removexattr(step.path, XATTR);
        return;
      case "sync":
        tree.sync();
        return;
      default:
        this.#onFile(step);
    }
  }

  #onFile(step: Extract<Step, { readonly path: string }>): void {
    if (step.do === "msync") {
      this.#mappings.get(step.path)?.flush();
      return;
    }
    const access = step.do === "fsync" || step.do === "fdatasync" ? "read" : "readwrite";
    const file = this.#tree.open(step.path, { access });
    try {
      this.#on(file, step);
    } finally {
      file.close();
    }
  }

  #on(file: OpenFile, step: Step): void {
    switch (step.do) {
      case "fsync":
        return file.sync("all");
      case "fdatasync":
        return file.sync("data");
      case "truncate":
        return file.truncate(step.to === "aligned" ? this.#blockSize : this.#blockSize >> 1);
      case "write": {
        const [offset, length] = this.#range(file, step.where);
        file.pwrite(this.#bytes(length), offset);
        return undefined;
      }
      case "falloc": {
        const [offset, length] = this.#range(file, step.where);
        return file.fallocate(MODES[step.mode][0], offset, length, MODES[step.mode][1]);
      }
      case "mmapwrite":
        return this.#store(file, step.path, step.where);
      default:
        return undefined;
    }
  }

  /** Stores through a mapping, which stays; what is to be stored behind the end is made first. */
  #store(file: OpenFile, path: string, where: Where): void {
    const [offset, length] = this.#range(file, where);
    if (offset + length > file.attributes().size) file.truncate(offset + length);
    const mapping = file.map({ access: "write", offset, length });
    this.#mappings.set(path, mapping);
    mapping.copyIn(0, this.#bytes(length));
  }

  /** Behind the end; from the middle of a block to that of the next; from before the end on. */
  #range(file: OpenFile, where: Where): readonly [offset: number, length: number] {
    const { size } = file.attributes();
    const block = this.#blockSize;
    if (where === "append") return [size, block + (block >> 2)];
    if (where === "overlap") return [block >> 1, block >> 1];
    return [Math.max(0, size - (block >> 1)), block];
  }

  /** Bytes of which each call has its own; never zeros, nor what free blocks are full of. */
  #bytes(length: number): Uint8Array {
    return new Uint8Array(length).fill(32 + ((this.#calls * 7) % 90));
  }
}
