/**
 * A disk whose writes, flushes and discards are recorded, as dm-log-writes does it: a device that
 * wraps a device.
 *
 * @module
 */
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "./block-device.ts";
import type { DeviceFreeze } from "./device-freeze.ts";
import type { SectorRange } from "./device-users.ts";
import { readBytesBySector, writeBytesBySector } from "./request.ts";
import type { LogWriter } from "./write-log-writer.ts";

/**
 * See the module. A request stands in the log once it has succeeded, and before the caller hears
 * so. Nothing goes around requests: the device shows no dax.
 */
export class RecordedDevice implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  readonly dax = undefined;
  readonly metadataBySector = true;
  readonly inner: BlockDevice;
  readonly #log: LogWriter;

  constructor(inner: BlockDevice, log: LogWriter) {
    this.inner = inner;
    this.name = inner.name;
    this.sectors = inner.sectors;
    this.limits = inner.limits;
    this.readOnly = inner.readOnly;
    this.#log = log;
  }

  get freezing(): DeviceFreeze | undefined {
    return this.inner.freezing;
  }

  hold(user: DeviceUser, range?: SectorRange): () => void {
    return this.inner.hold?.(user, range) ?? (() => {});
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.inner.users?.(range) ?? [];
  }

  read(sector: number, target: Uint8Array): void {
    this.inner.read(sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.inner.write(sector, source, flags);
    this.#log.write(sector * SECTOR_SIZE, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    this.inner.writeZeroes(sector, sectors);
    this.#log.writeZeroes(sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
  }

  discard(sector: number, sectors: number): void {
    this.inner.discard(sector, sectors);
    this.#log.discard(sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
  }

  flush(): void {
    this.inner.flush();
    this.#log.flush();
  }

  readBytes(offset: number, target: Uint8Array): void {
    readBytesBySector(this, offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    writeBytesBySector(this, offset, source);
  }
}
