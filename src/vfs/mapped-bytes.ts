/**
 * How much a file may map. Nothing of a file is decoded before it is asked about, so a pointer
 * block that names itself makes a file of a few kilobytes map terabytes: whoever walks a whole
 * mapping notices here that it holds more than there is.
 *
 * @module
 */
import type { Iomap, Iomappable } from "../dax/iomap.ts";
import { DaxError } from "../lib/errno.ts";
import type { Inode } from "./filesystem.ts";

const SECTOR_SIZE = 512;

/** A file; of an inode it is known what its device holds. */
export type WalkedFile = Iomappable & Partial<Pick<Inode, "filesystem" | "ino">>;

/** Counts the bytes that a walk over a file's mapping has met. */
export class MappedBytes {
  readonly #file: WalkedFile;
  readonly #most: number;
  #bytes = 0;

  constructor(file: WalkedFile) {
    const sectors = file.filesystem?.device.sectors;
    this.#file = file;
    this.#most = sectors === undefined ? Number.POSITIVE_INFINITY : sectors * SECTOR_SIZE;
  }

  /**
   * Counts what comes next.
   * @throws EUCLEAN when the file maps more than its device holds; shared blocks do not count
   */
  add({ type, length, shared = false }: Pick<Iomap, "type" | "length" | "shared">): void {
    if (shared || type === "hole") return;
    this.#bytes += length;
    if (this.#bytes <= this.#most) return;
    const { ino } = this.#file;
    throw new DaxError("EUCLEAN", {
      syscall: "fiemap",
      detail:
        `inode ${ino} maps more than the ${this.#most} bytes of its device: ` +
        "blocks are used twice; run a check",
    });
  }
}
