/**
 * The contents of files on the device: bytes that no journal has a part in. They are where they
 * belong as soon as a call returns, and durable with the next flush.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import { storeExtent, zeroExtent } from "../../dax/file-io.ts";
import type { Iomap } from "../../dax/iomap.ts";
import { DaxError } from "../../lib/errno.ts";
import type { Handle } from "./handle.ts";
import type { Volume } from "./volume.ts";

/** Where contents are written to, and what is not durable of them yet. */
export class FileContents {
  readonly #volume: Volume;
  readonly #ordered: boolean;
  /** All of the device, as if it were a file. */
  readonly #whole: Iomap;
  #unflushed = false;
  /** The transaction that waits for what was written. */
  #joined = 0;

  /** `ordered`: a transaction waits for the contents that it makes part of files. */
  constructor(volume: Volume, ordered: boolean) {
    const { device } = volume;
    const length = device.sectors * SECTOR_SIZE;
    this.#volume = volume;
    this.#ordered = ordered;
    const place = { offset: 0, length, addr: 0, range: device.dax, store: device };
    this.#whole = { type: "mapped", ...place };
  }

  /** Writes all of `source` to byte `at` of the device. @throws EIO, ENXIO, EROFS */
  store(at: number, source: Uint8Array): void {
    this.#unflushed = true;
    const done = storeExtent(this.#whole, at, source);
    if (done === source.length) return;
    const detail = `byte ${at + done} of ${this.#volume.device.name} lies on memory that is gone`;
    throw new DaxError("EIO", { syscall: "write", detail });
  }

  /** Writes to byte `skip` of an extent; returns how many bytes came through. @throws as `store` */
  storeInto(map: Iomap, skip: number, source: Uint8Array): number {
    this.#unflushed = true;
    return storeExtent(map, skip, source);
  }

  /** Zeroes bytes from byte `at` of the device. @throws EIO, ENXIO, EROFS */
  zero(at: number, length: number): void {
    this.#unflushed = true;
    zeroExtent(this.#whole, at, length);
  }

  /**
   * What was written becomes part of a file with this handle's transaction, and is durable before
   * it counts.
   */
  join(handle: Handle): void {
    if (!this.#ordered || this.#joined === handle.transaction) return;
    this.#joined = handle.transaction;
    handle.onBeforeCommit(() => {
      // The commit flushes before anything of it counts, and ends the journal when it cannot.
      this.#unflushed = false;
    });
  }

  /** Makes everything durable that was written. @throws EIO */
  flush(): void {
    if (!this.#unflushed) return;
    this.#volume.device.flush();
    this.#unflushed = false;
  }
}
