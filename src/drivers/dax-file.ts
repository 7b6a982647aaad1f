/**
 * The character device of a device-dax instance. It is mapped, and nothing else: reads and writes
 * are refused, and there is nothing to sync, since stores are the program's own to flush.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { type RawMapOptions, RawMapping } from "../dax/raw-mapping.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { pagesOf, physicalOf } from "./dax-ranges.ts";
import type { DevDax } from "./device-dax.ts";

/** An open `/dev/daxR.N`. */
export class DaxFile {
  readonly device: DevDax;
  readonly #dax: DaxDevice;
  readonly #pages: DaxDevice;
  #open = true;

  /** `pages` is the memory behind `dax`, which itself has no operations. */
  constructor(device: DevDax, dax: DaxDevice, pages: DaxDevice) {
    this.device = device;
    this.#dax = dax;
    this.#pages = pages;
  }

  /** @throws EINVAL, always: there is no read(2) */
  read(): never {
    throw this.#refusal("EINVAL", "read", "device-dax is mapped, not read");
  }

  /** @throws EINVAL, always: there is no write(2) */
  write(): never {
    throw this.#refusal("EINVAL", "write", "device-dax is mapped, not written");
  }

  /** Nothing to do: whoever stores flushes. @throws EBADF when closed */
  fsync(): void {
    this.#assertOpen("fsync");
  }

  /**
   * Aliases the device: a mapping of all of it, or of a part that starts and ends on multiples of
   * its alignment. It outlives the open file.
   * @throws EBADF when closed, ENXIO when the driver was taken off, EINVAL off the alignment and
   *   for a private mapping
   */
  map(options: RawMapOptions = {}): RawMapping {
    this.#assertOpen("mmap");
    const { ranges, align, name } = this.device;
    const size = pagesOf(ranges) * PAGE_SIZE;
    const target = {
      name,
      device: this.#pages,
      start: 0,
      readOnly: this.device.region.options.media.readOnly,
      align,
      wholeUnits: true,
      size: () => size,
      isAlive: () => this.#dax.alive,
      hasUnit: (offset: number) => physicalOf(ranges, offset / PAGE_SIZE, align) !== undefined,
    };
    return new RawMapping(target, options);
  }

  /** Idempotent. */
  close(): void {
    this.#open = false;
  }

  #assertOpen(syscall: string): void {
    if (!this.#open) throw this.#refusal("EBADF", syscall, "the file was closed");
  }

  #refusal(code: "EBADF" | "EINVAL", syscall: string, detail: string): DaxError {
    return new DaxError(code, { syscall, path: `/dev/${this.device.name}`, detail });
  }
}
