/**
 * `fs.Dir`: a directory that is read entry by entry.
 *
 * @module
 */
import type { Dirent } from "node:fs";
import { join } from "node:path/posix";
import { isDaxError } from "../../lib/errno.ts";
import type { DirectoryEntry } from "../../vfs/filesystem.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import { type Function_, checkFunction, directoryClosed } from "./arguments.ts";
import { onFile } from "./context.ts";
import { nameAs } from "./paths.ts";
import { direntOf } from "./stats.ts";

/** How to read it. */
export interface DirectoryOptions {
  readonly encoding: string | null | undefined;
  readonly bufferSize: number;
  readonly recursive: boolean;
  /** Opens a directory below, for `recursive`. */
  readonly openBelow: (path: string) => OpenFile;
}

/** What waits to be read: a directory and the path it has in entries. */
interface Pending {
  readonly path: string;
  readonly open: () => OpenFile;
}

/** An open directory; the same members as Node's `fs.Dir`. */
export class Directory {
  readonly path: string;
  readonly #options: DirectoryOptions;
  readonly #pending: Pending[] = [];
  readonly #buffered: Dirent[] = [];
  #file: OpenFile | undefined;
  #parent: string;
  #closed = false;

  constructor(path: string, file: OpenFile, options: DirectoryOptions) {
    this.path = path;
    this.#parent = path;
    this.#file = file;
    this.#options = options;
  }

  /** The next entry; null behind the last. @throws ERR_DIR_CLOSED */
  readSync(): Dirent | null {
    if (this.#closed) throw directoryClosed();
    while (this.#buffered.length === 0 && this.#fill());
    return this.#buffered.shift() ?? null;
  }

  read(): Promise<Dirent | null>;
  read(callback: (error: Error | null, entry?: Dirent | null) => void): void;
  read(callback?: unknown): Promise<Dirent | null> | undefined {
    if (this.#closed) throw directoryClosed();
    return finish(callback, () => this.readSync());
  }

  /** @throws ERR_DIR_CLOSED */
  closeSync(): void {
    if (this.#closed) throw directoryClosed();
    this.#closed = true;
    this.#file?.close();
    this.#file = undefined;
  }

  close(): Promise<void>;
  close(callback: (error: Error | null) => void): void;
  close(callback?: unknown): Promise<void> | undefined {
    return finish(callback, () => this.closeSync());
  }

  async *entries(): AsyncGenerator<Dirent> {
    try {
      for (let entry = this.readSync(); entry !== null; entry = this.readSync()) yield entry;
    } finally {
      await this.close();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Dirent> {
    return this.entries();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) await this.close();
  }

  /** Reads some more entries; false when there are none. */
  #fill(): boolean {
    const file = this.#file ?? this.#next();
    if (file === undefined) return false;
    const entries = onFile("scandir", () => entriesOf(file, this.#options.bufferSize));
    if (entries.length === 0) {
      this.#file = undefined;
      file.close();
      return this.#pending.length > 0;
    }
    for (const { name, ino, type } of entries) {
      if (name === "." || name === "..") continue;
      const mode = type === 0 ? file.inode.filesystem.inode(ino).mode : type << 12;
      const entry = direntOf(nameAs(name, this.#options.encoding), mode, this.#parent);
      this.#buffered.push(entry);
      if (this.#options.recursive && entry.isDirectory()) this.#await(file, name);
    }
    return true;
  }

  #await(file: OpenFile, name: string): void {
    const inside = `${file.path}/${name}`;
    this.#pending.push({
      path: join(this.#parent, nameAs(name, "utf8") as string),
      open: () => this.#options.openBelow(inside),
    });
  }

  #next(): OpenFile | undefined {
    const next = this.#pending.shift();
    if (next === undefined) return undefined;
    this.#parent = next.path;
    this.#file = next.open();
    return this.#file;
  }
}

/** The next entries; a directory that was removed has none, as readdir(3) has it. */
function entriesOf(file: OpenFile, count: number): DirectoryEntry[] {
  try {
    return file.readdir(count);
  } catch (error) {
    if (isDaxError(error, "ENOENT")) return [];
    throw error;
  }
}

/** Runs `body` for a callback, or for a promise when there is none. */
function finish<T>(callback: unknown, body: () => T): Promise<T> | undefined {
  if (callback === undefined) {
    return new Promise((resolve) => {
      resolve(body());
    });
  }
  checkFunction(callback, "callback");
  const done: Function_ = callback;
  setImmediate(() => {
    let result: T;
    try {
      result = body();
    } catch (error) {
      done(error);
      return;
    }
    done(null, result);
  });
  return undefined;
}
