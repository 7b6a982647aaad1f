/**
 * A file that holds one state of a disk after the other, for programs that look at it.
 *
 * @module
 */
import { closeSync, fstatSync, ftruncateSync, futimesSync, openSync, writeSync } from "node:fs";
import { type BlockImage, NOTED_BYTES } from "../../crash/block-image.ts";
import type { DiskMap } from "../../crash/disk-map.ts";
import { typed } from "../system-error.ts";

/** The time of the file while nobody but us has written to it: seconds since the epoch. */
const UNTOUCHED = 1;

/** See the module. */
export class StateFile {
  readonly path: string;
  readonly #fd: number;
  readonly #image: BlockImage;
  readonly #map: DiskMap;
  /** It holds what the image held when it was last brought up to date. */
  #ours = false;

  /** Makes the file, or empties it; `map` says where the image's bytes go. @throws as open(2) */
  constructor(path: string, image: BlockImage, map: DiskMap) {
    this.path = path;
    this.#map = map;
    this.#image = image;
    this.#fd = typed(path, () => openSync(path, "w+"));
  }

  /** Makes the file hold the image as it is now. @throws ENOSPC, EIO */
  update(): void {
    typed(this.path, () => {
      const { mtimeMs, size } = fstatSync(this.#fd);
      const all = this.#map.size;
      // Who checks may repair, too: then all of it is written again.
      const ours = this.#ours && mtimeMs === UNTOUCHED * 1000 && size === all;
      const changes = this.#image.takeChanges();
      if (ours) this.#write(changes);
      else {
        ftruncateSync(this.#fd, 0);
        ftruncateSync(this.#fd, all);
        this.#write(this.#image.touched());
      }
      futimesSync(this.#fd, UNTOUCHED, UNTOUCHED);
    });
    this.#ours = true;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Pages next to each other go in one call. */
  #write(pages: Iterable<number>): void {
    let first = -1;
    let next = -1;
    let place = -1;
    for (const page of pages) {
      const before = place;
      place = this.#map.diskAt(page * NOTED_BYTES);
      if (page !== next || place !== before + NOTED_BYTES) {
        this.#writeRun(first, next);
        first = page;
      }
      next = page + 1;
    }
    this.#writeRun(first, next);
  }

  #writeRun(first: number, next: number): void {
    if (first < 0) return;
    const { bytes } = this.#image;
    const shift = this.#map.diskAt(first * NOTED_BYTES) - first * NOTED_BYTES;
    for (let at = first * NOTED_BYTES; at < next * NOTED_BYTES;) {
      at += writeSync(this.#fd, bytes, at, next * NOTED_BYTES - at, at + shift);
    }
  }
}
