/**
 * Which pages of a file are dirty through mappings: Linux's DIRTY and TOWRITE marks. A mark says
 * that stores may have gone through a mapping since the lines were last written back.
 *
 * @module
 */
import { RadixTree } from "../lib/radix-tree.ts";

/** Stored to since the last write-back. */
const DIRTY = 0;
/** To be written back by the running write-back: it must not chase pages dirtied behind it. */
const TOWRITE = 1;

/** Marks of the pages of one file. */
export class PageTags {
  readonly #pages = new RadixTree<true>();

  /** Marks pages, by their index in the file. */
  markDirty(index: number, pages = 1): void {
    for (let page = index; page < index + pages; page++) {
      this.#pages.set(page, true);
      this.#pages.setTag(page, DIRTY);
    }
  }

  /** Whether a page is marked. */
  isDirty(index: number): boolean {
    return this.#pages.hasTag(index, DIRTY);
  }

  /** Dirty pages. */
  get dirty(): number {
    return this.#pages.size;
  }

  /**
   * Hands every dirty page of the range to `writePage`, ascending, and cleans it. A page that is
   * marked again meanwhile stays dirty; so does one whose `writePage` throws, and those behind it.
   * Returns how many pages were written.
   */
  writeBack(first: number, pages: number, writePage: (index: number) => void): number {
    const stop = first + pages;
    for (let page = this.#pages.next(first, DIRTY); page >= 0 && page < stop;) {
      this.#pages.setTag(page, TOWRITE);
      page = this.#pages.next(page + 1, DIRTY);
    }
    let written = 0;
    for (let page = this.#pages.next(first, TOWRITE); page >= 0 && page < stop;) {
      // Cleaned first: a store that comes while the lines are on their way must mark it again.
      this.#pages.delete(page);
      try {
        writePage(page);
      } catch (error) {
        this.markDirty(page);
        throw error;
      }
      written++;
      page = this.#pages.next(page + 1, TOWRITE);
    }
    return written;
  }

  /** Forgets the pages of a range: the file no longer has them. */
  drop(first: number, pages: number): void {
    const stop = first + pages;
    for (let page = this.#pages.next(first); page >= 0 && page < stop;) {
      this.#pages.delete(page);
      page = this.#pages.next(page + 1);
    }
  }
}
