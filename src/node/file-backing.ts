/**
 * A file behind buffered media: what plain Node can do with one.
 *
 * @module
 */
import { fdatasyncSync, readSync, writeSync } from "node:fs";
import { DaxError } from "../lib/errno.ts";
import type { Durability } from "../media/media.ts";
import { type Backing, BufferedMedia } from "./buffered-media.ts";
import { closeUnlocked } from "./file-lock.ts";
import { whyNoLibc } from "./libc.unsafe.ts";
import { growFile, type MediaFile, type OpenFileOptions, presentBytes } from "./media-file.ts";
import { typed } from "./system-error.ts";

/** Serves where foreign calls cannot be made; see {@link BufferedMedia}. */
export class BufferedFileMedia extends BufferedMedia {
  readonly #file: MediaFile;

  /**
   * @param mostBytes of the file that may be in memory
   * @throws ENOTSUP when cache-line write-back is demanded
   */
  constructor(file: MediaFile, options: OpenFileOptions, mostBytes?: number) {
    if (options.flush === "cache-line") {
      throw new DaxError("ENOTSUP", {
        syscall: "open",
        path: file.path,
        detail: `no cache-line write-back without mapping; install koffi (${whyNoLibc()})`,
      });
    }
    super(new FileBacking(file), {
      ...(options.domain === undefined ? {} : { domain: options.domain }),
      ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }),
      ...(mostBytes === undefined ? {} : { mostBytes }),
      limitHint: `install koffi (${whyNoLibc()})`,
    });
    this.#file = file;
  }

  /** The file, for somebody who reads and writes it by calls: this media has no windows then. */
  lend(): MediaFile {
    this.leave();
    return this.#file;
  }
}

/** An open file, read and written by copies. */
class FileBacking implements Backing {
  readonly path: string;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly blockBytes = 1;
  readonly #file: MediaFile;
  #size: number;

  constructor(file: MediaFile) {
    this.#file = file;
    this.#size = file.size;
    this.path = file.path;
    this.readOnly = file.readOnly;
    this.durability = file.inRam ? "volatile" : "fsync";
  }

  get size(): number {
    return this.#size;
  }

  /** @throws EIO where the file ends before: it was cut behind our back */
  read(offset: number, target: Uint8Array): void {
    const { fd } = this.#file;
    for (let done = 0; done < target.length;) {
      const count = typed(this.path, () =>
        readSync(fd, target, done, target.length - done, offset + done),
      );
      if (count === 0) {
        throw new DaxError("EIO", {
          syscall: "read",
          path: this.path,
          detail: `it ends at ${offset + done}: it was cut behind our back`,
        });
      }
      done += count;
    }
  }

  write(offset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length;) {
      done += typed(this.path, () =>
        writeSync(this.#file.fd, source, done, source.length - done, offset + done),
      );
    }
  }

  persist(): void {
    typed(this.path, () => fdatasyncSync(this.#file.fd));
  }

  /** Writing beyond the end would make a file of which a part is lost look whole. */
  checkWhole(): void {
    const present = presentBytes(this.#file, this.#size);
    if (present === this.#size) return;
    throw new DaxError("EIO", {
      syscall: "fence",
      path: this.path,
      detail: `the file was cut to ${present} of ${this.#size} bytes behind our back`,
    });
  }

  close(): void {
    closeUnlocked(this.#file.fd);
  }

  grow(size: number): void {
    growFile(this.#file, this.#size, size);
    this.#size = size;
  }
}
