/**
 * What the calls of one `volume.fs` share: the tree, the open descriptors, device numbers.
 *
 * @module
 */
import { DaxError, type ErrnoCode, isDaxError } from "../../lib/errno.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import type { Filesystem, Inode } from "../../vfs/filesystem.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import { type PathArgument, shownPath } from "./paths.ts";
import type { FilesystemFacts } from "./stats.ts";

/**
 * The first descriptor that is handed out. Real descriptors of a process are small: one of ours
 * that strays into `node:fs` gives EBADF there instead of reading some other file.
 */
const FIRST_DESCRIPTOR = 2 ** 20;
/** Descriptors that can be open at once; the kernel's usual hard limit. */
const MOST_DESCRIPTORS = 2 ** 20;
/** The first `st_dev`: a major number that no driver of Linux has. */
const FIRST_DEVICE = 0xf0000;

let devices = 0;

/** One filesystem facade; descriptors of one are not open in another. */
export class Context {
  readonly tree: FileTree;
  readonly #files = new Map<number, OpenFile>();
  readonly #free: number[] = [];
  readonly #facts = new WeakMap<Filesystem, FilesystemFacts>();

  constructor(tree: FileTree) {
    this.tree = tree;
  }

  /** What every inode of a filesystem shows alike. */
  readonly facts = ({ filesystem }: Inode): FilesystemFacts => {
    const known = this.#facts.get(filesystem);
    if (known !== undefined) return known;
    const facts = { dev: FIRST_DEVICE + ++devices, blksize: filesystem.statfs().blockSize };
    this.#facts.set(filesystem, facts);
    return facts;
  };

  /** A free descriptor for an open file. @throws EMFILE */
  add(file: OpenFile): number {
    if (this.#files.size >= MOST_DESCRIPTORS) {
      file.close();
      throw new DaxError("EMFILE", { syscall: "open", path: file.path });
    }
    const fd = this.#free.pop() ?? FIRST_DESCRIPTOR + this.#files.size;
    this.#files.set(fd, file);
    return fd;
  }

  /** What a descriptor stands for, if it is open. */
  openFile(fd: number): OpenFile | undefined {
    return this.#files.get(fd);
  }

  /** @throws EBADF */
  file(fd: number, syscall: string): OpenFile {
    const file = this.#files.get(fd);
    if (file === undefined || file.closed) throw new DaxError("EBADF", { syscall });
    return file;
  }

  /** @throws EBADF */
  close(fd: number): void {
    const file = this.file(fd, "close");
    this.#files.delete(fd);
    this.#free.push(fd);
    file.close();
  }

  /** Closes what is open. */
  closeAll(): void {
    for (const [fd, file] of this.#files) {
      if (file.closed) this.#files.delete(fd);
      else this.close(fd);
    }
  }
}

/** An error about a path, in Node's words. */
export function refusal(
  code: ErrnoCode,
  syscall: string,
  path?: PathArgument,
  dest?: PathArgument,
): DaxError {
  return new DaxError(code, {
    syscall,
    ...(path === undefined ? {} : { path: path.shown }),
    ...(dest === undefined ? {} : { dest: dest.shown }),
  });
}

/** Runs `body`; what it throws names the path as the caller gave it. */
export function onPath<T>(path: PathArgument, syscall: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (isDaxError(error) && (error.path !== path.shown || error.syscall !== syscall)) {
      throw error.at({ syscall, path: path.shown });
    }
    throw error;
  }
}

/** Runs `body` on an open file; bytes that are no UTF-8 in the path of an error are U+FFFD. */
export function onFile<T>(syscall: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const path = error.path === undefined ? {} : { path: shownPath(error.path) };
    throw error.at({ syscall, ...path });
  }
}
