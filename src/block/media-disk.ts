/**
 * A disk over a range of media: the block side of pmem and brd. Requests are served at once and in
 * order by copying; durability is a fence.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import type { DaxRange } from "../dax/iomap.ts";
import type { MediaRange } from "../dax/media-range.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import type { Memo } from "../lib/memo.ts";
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "./block-device.ts";
import { DeviceFreeze } from "./device-freeze.ts";
import type { SectorRange } from "./device-users.ts";
import { PoisonMap } from "./poison-map.ts";
import { checkBytes, checkRequest, checkSectors, checkWritable, refuseDiscard } from "./request.ts";

/** How a disk over media is made. */
export interface MediaDiskOptions {
  readonly name: string;
  readonly range: MediaRange;
  /** Its dax device: counts, gates write-back, and ends the disk when it is killed. */
  readonly device: DaxDevice;
  readonly poison?: PoisonMap;
  readonly readOnly?: boolean;
  readonly limits?: QueueLimits;
  /** Every write is durable when it returns, as with Linux 4.1's uncached mapping. */
  readonly uncached?: boolean;
}

/** A disk whose sectors are bytes of a media. Its size is fixed, even if the media grows. */
export class MediaDisk implements BlockDevice {
  readonly name: string;
  /** A tail of less than a sector is no part of the disk. */
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly freezing = new DeviceFreeze(this);
  readonly readOnly: boolean;
  /** Whole pages; the few sectors of a ragged tail are reached by `read` and `write` only. */
  readonly dax: DaxRange;
  readonly poison: PoisonMap;
  readonly #range: MediaRange;
  readonly #device: DaxDevice;
  readonly #uncached: boolean;

  constructor(options: MediaDiskOptions) {
    const { name, range, device } = options;
    this.name = name;
    this.sectors = Math.floor(range.length / SECTOR_SIZE);
    this.limits = options.limits ?? { logicalBlockSize: SECTOR_SIZE, physicalBlockSize: 4096 };
    this.readOnly = options.readOnly ?? range.media.readOnly;
    this.dax = { device, start: 0, length: device.pages * PAGE_SIZE };
    this.poison = options.poison ?? new PoisonMap(range);
    this.#range = range;
    this.#device = device;
    this.#uncached = options.uncached ?? false;
  }

  /**
   * Of a disk that begins with its media, as what is remembered goes by places in that; and none
   * while it may answer otherwise than with what lies there.
   */
  get memo(): Memo | undefined {
    const { start, media, bad } = this.#range;
    const fails = !this.#device.alive || bad.length > 0 || this.poison.table.total > 0;
    return start === 0 && !fails ? media.memo : undefined;
  }

  hold(user: DeviceUser, range?: SectorRange): () => void {
    return this.freezing.users.hold(user, range);
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.freezing.users.of(range);
  }

  read(sector: number, target: Uint8Array): void {
    this.#checkAlive("read");
    checkRequest(this, "read", sector, target.length);
    this.#load(sector * SECTOR_SIZE, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#checkAlive("write");
    checkWritable(this);
    checkRequest(this, "write", sector, source.length);
    this.#store(sector * SECTOR_SIZE, source);
    if (flags?.fua === true) this.flush();
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#checkAlive("write_zeroes");
    checkWritable(this);
    checkSectors(this, "write_zeroes", sector, sectors);
    const [offset, length] = [sector * SECTOR_SIZE, sectors * SECTOR_SIZE];
    // Of a partition that is frozen nothing changes by way of its disk either.
    this.#device.gate?.pass(offset, length, "write_zeroes");
    this.#heal("write_zeroes", offset, length);
    this.#range.zero(offset, length);
    this.poison.forget(offset, length);
    if (this.#uncached) this.flush();
  }

  discard(): void {
    refuseDiscard(this);
  }

  /** A fence; nothing for memory that needs none. */
  flush(): void {
    this.#checkAlive("flush");
    if (this.#device.writeCache) this.#device.fence();
  }

  readBytes(offset: number, target: Uint8Array): void {
    this.#checkAlive("read");
    checkBytes(this, "read", offset, target.length);
    this.#load(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    this.#checkAlive("write");
    checkWritable(this);
    checkBytes(this, "write", offset, source.length);
    this.#store(offset, source);
  }

  #load(offset: number, target: Uint8Array): void {
    const bad = this.poison.first(offset, target.length);
    if (bad !== undefined) this.#refusePoison("read", bad);
    this.#range.read(offset, target);
    this.#device.counters.copiedOut += target.length;
  }

  #store(offset: number, source: Uint8Array): void {
    this.#device.gate?.pass(offset, source.length, "write");
    this.#heal("write", offset, source.length);
    this.#device.counters.copiedIn += this.#range.write(offset, [source]);
    this.poison.forget(offset, source.length);
    if (this.#uncached) this.flush();
  }

  /** Poison goes before the bytes come; part of a bad sector would have to be read first. */
  #heal(syscall: string, offset: number, length: number): void {
    const bad = this.poison.first(offset, length);
    if (bad === undefined) return;
    const whole = offset % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0;
    if (!whole || !this.poison.clear(offset, length)) this.#refusePoison(syscall, bad);
  }

  #refusePoison(syscall: string, bad: number): never {
    throw new DaxError("EIO", {
      syscall,
      path: this.name,
      detail: `sector ${Math.floor(bad / SECTOR_SIZE)} is bad; only overwriting all of it heals it`,
    });
  }

  #checkAlive(syscall: string): void {
    if (this.#device.alive) return;
    throw new DaxError("ENXIO", { syscall, path: this.name, detail: "the device was removed" });
  }
}
